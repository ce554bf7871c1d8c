//! The sandboxes that work on this machine. Without one a test says so and passes, or fails if RAZOR_REQUIRE_SANDBOX is 1.

use std::env;
use std::path::PathBuf;

use razor_benchmarks::sandbox::{Backend, Sandbox, SandboxOptions};

/// Every isolating backend that passes its probe.
pub(crate) fn sandboxes() -> Vec<Sandbox> {
    let mut found = Vec::new();
    for backend in [Backend::Bubblewrap, Backend::Namespaces] {
        let options = SandboxOptions {
            backend: Some(backend),
            helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_razor-sandbox"))),
            ..SandboxOptions::default()
        };
        match Sandbox::probe(&options) {
            Ok(sandbox) => found.push(sandbox),
            Err(error) => println!("SKIPPED {backend}: {error}"),
        }
    }
    let required = env::var_os("RAZOR_REQUIRE_SANDBOX").is_some_and(|value| value == "1");
    assert!(!(required && found.is_empty()), "RAZOR_REQUIRE_SANDBOX is set and no backend works");
    found
}
