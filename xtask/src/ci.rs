//! `cargo xtask ci`: everything that must pass before a commit, cheapest first.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use lexopt::prelude::*;

use crate::backend::Backend;
use crate::cargo;
use crate::usage::UsageError;

pub(crate) const HELP: &str = "\
Runs the checks that must pass before a commit and stops at the first that fails.

Usage: cargo xtask ci [STEP]... [--backend ndarray]

Steps, in order; all of them without STEP:
  format    rustfmt leaves every file alone
  clippy    no lint fires in any target
  docs      the documentation builds without a warning
  test      unit, doc and cross-crate tests
  wgpu      razor type-checks for wgpu
  cuda      razor type-checks for cuda (needs no LLVM)

Options:
  --backend ndarray   only the cross-check of losses and gradients between flex and ndarray

Examples:
  cargo xtask ci
  cargo xtask ci format clippy
  cargo xtask ci --backend ndarray
";

/// One check.
struct Step {
    name: &'static str,
    command: fn() -> Command,
}

const STEPS: [Step; 6] = [
    Step { name: "format", command: format },
    Step { name: "clippy", command: clippy },
    Step { name: "docs", command: docs },
    Step { name: "test", command: test },
    Step { name: "wgpu", command: wgpu },
    Step { name: "cuda", command: cuda },
];

const NDARRAY_STEP: Step = Step { name: "ndarray", command: ndarray_cross_check };

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    run_steps(&chosen_steps(args)?)?;
    Ok(ExitCode::SUCCESS)
}

fn chosen_steps(args: Vec<OsString>) -> anyhow::Result<Vec<&'static Step>> {
    let mut names = Vec::new();
    let mut cross_check = false;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("backend") => {
                let backend: Backend = parser.value()?.string()?.parse()?;
                if backend != Backend::Ndarray {
                    let message =
                        format!("`ci --backend {backend}`: only `ndarray` has a cross-check of its own");
                    return Err(UsageError::new(message).into());
                }
                cross_check = true;
            }
            Value(name) => names.push(name.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        let known = STEPS.map(|step| step.name).join(", ");
        return Err(UsageError::new(format!("unknown step `{unknown}`; expected {known}")).into());
    }
    let mut steps: Vec<_> = STEPS.iter().filter(|step| names.iter().any(|name| name == step.name)).collect();
    if cross_check {
        steps.push(&NDARRAY_STEP);
    }
    Ok(if steps.is_empty() { STEPS.iter().collect() } else { steps })
}

fn run_steps(steps: &[&Step]) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for step in steps {
        let mut command = (step.command)();
        println!("ci: {}: {}", step.name, cargo::shown(&command));
        let start = Instant::now();
        let status =
            command.status().with_context(|| format!("cannot start `{}`", cargo::shown(&command)))?;
        let seconds = start.elapsed().as_secs_f64();
        if !status.success() {
            let left = steps.len() - times.len() - 1;
            bail!("ci: {} FAILED after {seconds:.1} s ({status}); steps that did not run: {left}", step.name);
        }
        println!("ci: {} passed in {seconds:.1} s", step.name);
        times.push(format!("{} {seconds:.1} s", step.name));
    }
    println!("ci: all passed: {}", times.join(", "));
    Ok(())
}

fn format() -> Command {
    let mut command = cargo::cargo();
    command.args(["fmt", "--all", "--check"]);
    command
}

/// Clippy needs metadata only, so it shares no library with the tests. In the release profile it does share their build
/// scripts and procedural macros (which `dev` would optimise besides, through its `package."*"`), and its metadata of
/// dependencies serves `docs`, `wgpu` and `cuda`: two cores check most crates once instead of four times.
/// `-D warnings` goes behind `--`: as RUSTFLAGS it would make every dependency a different, second build.
fn clippy() -> Command {
    let mut command = cargo::cargo();
    command.args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    command
}

fn docs() -> Command {
    let mut command = cargo::cargo();
    command.args(["doc", "--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn test() -> Command {
    // Through xtask itself: `ci test` and `test` then cannot drift apart.
    let mut command = cargo::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--", "test"]);
    command
}

fn wgpu() -> Command {
    type_check(Backend::Wgpu)
}

/// With `DOCS_RS` the build scripts of the CUDA backend skip LLVM. They watch it, so a real CUDA build in the same target
/// directory would start over after each check; `cargo::build_razor` gives that build a directory of its own.
fn cuda() -> Command {
    let mut command = type_check(Backend::Cuda);
    command.env("DOCS_RS", "1");
    command
}

fn type_check(backend: Backend) -> Command {
    let mut command = cargo::cargo();
    command.args(["check", "--release", "--package", "razor-cli"]).args(backend.cargo_flags());
    command
}

/// The whole workspace is selected although one test runs: cargo then resolves the same features as for the other
/// tests and takes flex and most dependencies from their build. With `--package razor-tests` it would build flex again.
fn ndarray_cross_check() -> Command {
    let mut command = cargo::cargo();
    command.args([
        "test",
        "--release",
        "--workspace",
        "--features",
        "razor-tests/ndarray",
        "--test",
        "backends",
    ]);
    command
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn chosen(args: &[&str]) -> Vec<&'static str> {
        let steps = chosen_steps(args.iter().map(OsString::from).collect()).expect("well formed");
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_run_in_the_order_of_the_table_whatever_the_order_asked_for() {
        assert_eq!(chosen(&["clippy", "format"]), ["format", "clippy"]);
        assert_eq!(chosen(&[]), STEPS.map(|step| step.name));
        assert_eq!(chosen(&["--backend", "ndarray"]), ["ndarray"]);
    }

    #[test]
    fn the_help_text_names_every_step() {
        assert!(STEPS.iter().all(|step| HELP.contains(&format!("\n  {} ", step.name))));
    }

    #[test]
    fn a_failing_step_is_named_and_ends_the_run() {
        let failing = Step {
            name: "broken",
            command: || {
                let mut command = cargo::cargo();
                command.arg("no-such-command").stderr(Stdio::null());
                command
            },
        };
        let message = run_steps(&[&failing, &STEPS[0]]).expect_err("cargo has no such command").to_string();
        assert!(message.contains("broken FAILED") && message.contains("did not run: 1"), "{message}");
    }

    #[test]
    fn unknown_steps_and_backends_are_bad_usage() {
        for args in [&["lint"][..], &["--backend", "cuda"], &["--backend", "tpu"]] {
            let error = chosen_steps(args.iter().map(OsString::from).collect()).err().expect("refused");
            assert!(crate::usage::is_usage_error(&error), "{error}");
        }
    }
}
