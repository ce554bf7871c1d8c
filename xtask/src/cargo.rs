//! Calling cargo, and the `razor` that it builds.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::backend::Backend;
use crate::llvm;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}

/// A cargo that works in the workspace root.
///
/// `cargo run` tells `xtask` its own package through `CARGO_*` variables. Some build scripts watch those, so a nested
/// cargo that inherited them would rebuild crates that a plain `cargo` had just built, and the other way round.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// The program with its arguments and the variables set for it, as one would type them.
pub(crate) fn shown(command: &Command) -> String {
    let quoted = |word: &OsStr| {
        let text = word.to_string_lossy();
        if text.contains(' ') { format!("'{text}'") } else { text.into_owned() }
    };
    let set =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value?))));
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    set.chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Builds `razor` in the release profile with one backend and returns the path of the binary.
///
/// Cargo's progress goes to the terminal; its messages on standard output are read for the path, which holds
/// whatever the target directory is.
///
/// # Errors
/// When something that the backend needs is missing, or the build fails.
pub(crate) fn build_razor(backend: Backend) -> anyhow::Result<PathBuf> {
    if backend == Backend::Cuda {
        llvm::check()?;
    }
    let mut command = cargo();
    command.args(["build", "--release", "--package", "razor-cli"]).args(backend.cargo_flags());
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", shown(&command)))?;
    let messages = BufReader::new(child.stdout.take().expect("standard output was piped"));
    let mut razor = None;
    for line in messages.lines() {
        razor = razor_path(&line.context("cannot read cargo's messages")?).or(razor);
    }
    if !child.wait().context("cannot wait for cargo")?.success() {
        bail!("`cargo build` failed: razor with backend {backend} was not built");
    }
    razor.context("cargo built no binary named `razor`; does `crates/cli/Cargo.toml` still define it?")
}

/// The path of the binary, when the message of cargo is about it.
fn razor_path(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["target"]["name"] != "razor" {
        return None;
    }
    Some(PathBuf::from(message["executable"].as_str()?))
}

/// Builds `razor`, then becomes it, in the caller's directory.
///
/// # Errors
/// As [`build_razor`], and when the binary cannot be started.
pub(crate) fn run_razor(backend: Backend, args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut razor = Command::new(build_razor(backend)?);
    razor.args(args);
    become_command(razor)
}

/// Ends this program in another one, whose exit code is passed through.
///
/// On Unix the process is replaced (cargo has already done the same for `xtask`), so Ctrl-C and every other signal
/// reach the program itself and nothing is left waiting for it.
///
/// # Errors
/// When the program cannot be started.
pub(crate) fn become_command(mut command: Command) -> anyhow::Result<ExitCode> {
    #[cfg(unix)]
    let status: std::io::Result<std::process::ExitStatus> =
        Err(std::os::unix::process::CommandExt::exec(&mut command));
    #[cfg(not(unix))]
    let status = command.status();
    let status = status.with_context(|| format!("cannot start `{}`", shown(&command)))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_the_messages_of_cargo() {
        let built =
            r#"{"reason":"compiler-artifact","target":{"name":"razor"},"executable":"t/release/razor"}"#;
        assert_eq!(razor_path(built), Some(PathBuf::from("t/release/razor")));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"razor_core"},"executable":null}"#;
        assert_eq!(razor_path(library), None);
        assert_eq!(razor_path("a line that a build script printed"), None);
    }

    #[test]
    fn a_shown_command_can_be_typed() {
        let mut command = Command::new("cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env_remove("CARGO_PKG_NAME");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }
}
