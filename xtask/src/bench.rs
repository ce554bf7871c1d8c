//! `cargo xtask bench parity`: the speed of `razor` beside PyTorch's, measured alternately in one run.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use lexopt::prelude::*;
use serde_json::Value as Json;

use crate::backend::Backend;
use crate::cargo;
use crate::comparison::Comparison;
use crate::usage::UsageError;

pub(crate) const HELP: &str = "\
Measures training and evaluation of the ParityMNIST network on all cores, with razor and with PyTorch.

Usage: cargo xtask bench parity [--python PATH] [--seconds S] [--json]

Three rounds, each first razor, then tests/peers/parity_bench.py; medians over the rounds and their ratios are printed,
and the share of the machine's measured matrix-product rate that training reaches. Above 1, razor is faster.
Leave the machine alone meanwhile. LD_PRELOAD another malloc to give PyTorch (and not razor, which brings its own) one.

Options:
  --python PATH   a Python with torch and numpy (default: python3); without them razor is measured alone
  --seconds S     length of one measurement (default: 2)
  --json          print one JSON object, every round included

Example:
  python3 -m venv target/venv && target/venv/bin/pip install torch numpy
  cargo xtask bench parity --python target/venv/bin/python
";

/// Alternating rounds, so that a change of the machine's load meets both sides.
const N_ROUNDS: usize = 3;

struct Options {
    /// Given by the user; otherwise `python3`, which need not have torch.
    python: Option<OsString>,
    seconds: f64,
    is_json: bool,
}

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let options = parse(args)?;
    let peer = find_peer(options.python.as_deref())?;
    let razor = cargo::build_razor(Backend::Flex)?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for round in 1..=N_ROUNDS {
        eprintln!("bench: round {round} of {N_ROUNDS}: razor");
        ours.push(measure(&mut razor_command(&razor, options.seconds))?);
        if let Some(python) = &peer {
            eprintln!("bench: round {round} of {N_ROUNDS}: PyTorch");
            theirs.push(measure(&mut peer_command(python, options.seconds))?);
        }
    }
    let comparison = Comparison::new(ours, theirs)?;
    if options.is_json {
        println!("{}", comparison.to_json(options.seconds));
    } else {
        print!("{}", comparison.to_table());
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(args: Vec<OsString>) -> anyhow::Result<Options> {
    let mut options = Options { python: None, seconds: 2.0, is_json: false };
    let mut subject = None;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("python") => options.python = Some(parser.value()?),
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("json") => options.is_json = true,
            Value(name) if subject.is_none() => subject = Some(name.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if subject.as_deref() != Some("parity") {
        let found = subject.unwrap_or_else(|| "nothing".into());
        return Err(UsageError::new(format!("expected `bench parity`, found {found}")).into());
    }
    if !(options.seconds.is_finite() && options.seconds > 0.0) {
        return Err(UsageError::new(format!("--seconds must be above 0, found {}", options.seconds)).into());
    }
    Ok(options)
}

/// The Python to use, or none with an explanation on standard error.
///
/// # Errors
/// When a Python that the user named lacks torch or numpy.
fn find_peer(named: Option<&OsStr>) -> anyhow::Result<Option<OsString>> {
    let python = named.unwrap_or(OsStr::new("python3"));
    let probe = Command::new(python).args(["-c", "import torch, numpy"]).output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        return Ok(Some(python.to_owned()));
    }
    let shown = python.display();
    if named.is_some() {
        bail!("--python {shown}: it does not run, or `import torch, numpy` fails there");
    }
    eprintln!(
        "bench: `{shown}` has no torch and numpy, so razor is measured alone and there are no ratios; to get them:\n  \
         python3 -m venv target/venv && target/venv/bin/pip install torch numpy\n  \
         cargo xtask bench parity --python target/venv/bin/python"
    );
    Ok(None)
}

fn razor_command(razor: &Path, seconds: f64) -> Command {
    let mut command = Command::new(razor);
    command.args(["bench", "parity", "--json", "--seconds", &seconds.to_string()]).env_remove("LD_PRELOAD");
    command
}

fn peer_command(python: &OsStr, seconds: f64) -> Command {
    let mut command = Command::new(python);
    command.arg(cargo::root().join("tests/peers/parity_bench.py"));
    // One repeat: the rounds are the repeats.
    command.args(["--json", "--repeats", "1", "--seconds", &seconds.to_string()]);
    command
}

/// Runs one side once; it prints one JSON object.
fn measure(command: &mut Command) -> anyhow::Result<Json> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", cargo::shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", cargo::shown(command), output.status);
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{}` printed something else than one JSON object", cargo::shown(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> anyhow::Result<Options> {
        parse(args.iter().map(OsString::from).collect())
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_subject() {
        for args in [["--seconds", "0.5", "parity"], ["parity", "--seconds", "0.5"]] {
            assert_eq!(parsed(&args).expect("well formed").seconds, 0.5);
        }
    }

    #[test]
    fn a_length_that_measures_nothing_is_bad_usage() {
        for seconds in ["0", "-1", "nan", "inf", "two"] {
            let error = parsed(&["parity", "--seconds", seconds]).err().expect("refused");
            assert!(crate::usage::is_usage_error(&error), "{seconds}: {error}");
        }
    }

    #[test]
    fn a_python_that_the_user_named_must_work() {
        assert!(find_peer(Some(OsStr::new("no-such-python"))).is_err());
    }
}
