//! `cargo xtask test`: the one test command of the README.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::Backend;
use crate::cargo;

pub(crate) const HELP: &str = "\
Runs every unit, doc and cross-crate test in the release profile, the one that studies run in.

Usage: cargo xtask test [ARGUMENTS OF cargo test]

Without --package it covers the workspace and builds the razor binary first, which some tests start.

Examples:
  cargo xtask test
  cargo xtask test --package razor-core
  cargo xtask test -- --nocapture matched
";

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    if !names_a_package(&args) {
        cargo::build_razor(Backend::Flex)?;
    }
    let mut command = cargo::cargo();
    command.args(["test", "--release"]);
    if !names_a_package(&args) {
        command.arg("--workspace");
    }
    command.args(args);
    cargo::become_command(command)
}

fn names_a_package(args: &[OsString]) -> bool {
    args.iter().take_while(|argument| *argument != "--").any(|argument| {
        let text = argument.to_string_lossy();
        text.starts_with("-p") || text == "--package" || text.starts_with("--package=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_recognised_in_each_of_cargos_spellings() {
        for args in
            [&["-p", "razor-core"][..], &["-prazor-core"], &["--package", "razor-core"], &["--package=x"]]
        {
            assert!(names_a_package(&args.iter().map(OsString::from).collect::<Vec<_>>()), "{args:?}");
        }
        for args in [&["--doc"][..], &["--", "-p"], &[]] {
            assert!(!names_a_package(&args.iter().map(OsString::from).collect::<Vec<_>>()), "{args:?}");
        }
    }
}
