//! Why a program could not be run at all. A program that fails its checks is no error.

use std::io;
use std::path::PathBuf;

use crate::sandbox::Backend;

/// Why the sandbox could not be made, or could not run a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum SandboxError {
    #[error("no Python found: {reason}; install python3, or name one in the options")]
    NoPython { reason: String },
    #[error(
        "generated programs cannot be isolated here: {tried}; install bubblewrap 0.7 or newer (`apt-get install bubblewrap`) \
         and allow user namespaces, or accept the risk with the option `unsafe_without_sandbox`"
    )]
    NoIsolation { tried: String },
    #[error("cannot start the program in {backend}: {message}")]
    Start { backend: Backend, message: String },
    #[error("cannot run {path}")]
    Spawn { path: PathBuf, source: io::Error },
    #[error("cannot prepare a run: {what}")]
    Prepare { what: &'static str, source: io::Error },
    #[error("the system-call filter cannot be built: {reason}")]
    Filter { reason: String },
}
