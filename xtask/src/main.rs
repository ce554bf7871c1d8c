//! `cargo xtask`: the commands that build, check and run the project.
//!
//! It compiles in seconds because it depends on no crate of the workspace; whatever needs Burn is built by the cargo
//! that it calls. It must never hold logic of a study: those live in `razor`, and arguments are handed through.
//!
//! Exit codes: 0 on success, 1 on failure, 2 on bad usage; a command that ends in `razor` or `cargo test` ends with
//! their code.

mod backend;
mod bench;
mod bench_llm;
mod bench_parity;
mod bench_train;
mod build;
mod cargo;
mod ci;
mod comparison;
mod data;
mod golden;
mod llvm;
mod reproduce;
mod test;
mod usage;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use usage::{UsageError, is_usage_error};

/// One word after `cargo xtask`.
struct Subcommand {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(Vec<OsString>) -> anyhow::Result<ExitCode>,
}

#[rustfmt::skip] // a table reads best with one row per line
const SUBCOMMANDS: [Subcommand; 7] = [
    Subcommand { name: "reproduce", summary: "build razor and run a study", help: reproduce::HELP, run: reproduce::run },
    Subcommand { name: "test", summary: "run every test", help: test::HELP, run: test::run },
    Subcommand { name: "ci", summary: "everything that must pass before a commit", help: ci::HELP, run: ci::run },
    Subcommand { name: "build", summary: "build razor for a backend", help: build::HELP, run: build::run },
    Subcommand { name: "data", summary: "list, fetch, verify or show the data sets", help: data::HELP, run: data::run },
    Subcommand { name: "bench", summary: "measure speed beside other libraries", help: bench::HELP, run: bench::run },
    Subcommand { name: "golden", summary: "remake the fixtures that tests compare with", help: golden::HELP, run: golden::run },
];

fn main() -> ExitCode {
    match dispatch(env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            if is_usage_error(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let Some(name) = args.first().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(UsageError::new(format!("a command is missing\n\n{}", overview())).into());
    };
    if usage::is_help(&args[0]) || name == "help" {
        print!("{}", overview());
        return Ok(ExitCode::SUCCESS);
    }
    let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) else {
        return Err(UsageError::new(format!("unknown command `{name}`\n\n{}", overview())).into());
    };
    args.remove(0);
    if usage::asks_for_help(&args) {
        print!("{}", subcommand.help);
        return Ok(ExitCode::SUCCESS);
    }
    (subcommand.run)(args)
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND [ARGUMENTS]\n\nCommands:\n");
    for subcommand in &SUBCOMMANDS {
        text.push_str(&format!("  {:<10} {}\n", subcommand.name, subcommand.summary));
    }
    text.push_str("\n`cargo xtask COMMAND --help` says more.\n\nExample:\n  cargo xtask reproduce parity --preset smoke\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_text_has_a_usage_line_and_an_example() {
        for subcommand in &SUBCOMMANDS {
            let usage = format!("Usage: cargo xtask {}", subcommand.name);
            assert!(subcommand.help.contains(&usage), "{} lacks `{usage}`", subcommand.name);
            assert!(subcommand.help.contains("Example"), "{} lacks an example", subcommand.name);
        }
    }

    #[test]
    fn unknown_and_missing_commands_are_usage_errors() {
        for args in [vec![], vec![OsString::from("reprodcue")]] {
            let error = dispatch(args).expect_err("no such command");
            assert!(is_usage_error(&error), "{error}");
        }
    }
}
