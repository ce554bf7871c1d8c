//! `cargo xtask bench`: the speed of `razor` beside that of other libraries, measured alternately in one run.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use lexopt::prelude::*;
use serde_json::Value as Json;

use crate::cargo;
use crate::usage::UsageError;
use crate::{bench_llm, bench_parity, bench_train};

pub(crate) const HELP: &str = "\
Measures razor on all cores beside other libraries.

Usage: cargo xtask bench parity [--python PATH] [--seconds S] [--json]
       cargo xtask bench llm [--python PATH] [--candle] [--layers N] [--seconds S] [--json]
       cargo xtask bench train [--python PATH] [--seconds S] [--json]

  parity   training and evaluation of the ParityMNIST network; PyTorch (tests/peers/parity_bench.py)
  llm      reading and writing with random weights of Qwen2.5-0.5B's shape; transformers (tests/peers/llm_bench.py)
           and, with --candle, candle (tests/peers/candle_bench)
  train    steps of SFT and GRPO of a model of a million parameters and of one with Qwen2.5-0.5B's width and head;
           PyTorch and transformers (tests/peers/train_bench.py)

Three rounds, in each first razor, then its peers; medians over the rounds and their ratios are printed. Above 1, razor is
faster. Leave the machine alone meanwhile. LD_PRELOAD another malloc to give the peers (and not razor, which brings its
own) one.

Options:
  --python PATH   a Python with torch and numpy (parity) or torch and transformers (llm, train) (default: python3); without
                  them razor is measured without PyTorch
  --candle        build candle's side in target/candle_bench, which takes minutes the first time, and measure it
  --layers N      layers of the network, 1 to 24 (default: 24); the head stays whole
  --seconds S     length of one measurement (default: 2)
  --json          print one JSON object, every round included

Example:
  python3 -m venv target/venv && target/venv/bin/pip install torch numpy transformers
  cargo xtask bench llm --candle --python target/venv/bin/python
";

/// Alternating rounds, so that a change of the machine's load meets all sides.
pub(crate) const N_ROUNDS: usize = 3;

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Options {
    subject: Subject,
    /// Given by the user; otherwise `python3`, which need not have torch.
    python: Option<OsString>,
    /// Length of one measurement.
    pub(crate) seconds: f64,
    pub(crate) is_json: bool,
    /// Layers of the language model.
    pub(crate) layers: usize,
    pub(crate) has_candle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Parity,
    Llm,
    Train,
}

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let options = parse(args)?;
    match options.subject {
        Subject::Parity => bench_parity::run(&options),
        Subject::Llm => bench_llm::run(&options),
        Subject::Train => bench_train::run(&options),
    }
}

fn parse(args: Vec<OsString>) -> anyhow::Result<Options> {
    let (mut python, mut seconds, mut is_json) = (None, 2.0_f64, false);
    let (mut subject, mut layers, mut has_candle) = (None, None, false);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("python") => python = Some(parser.value()?),
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("json") => is_json = true,
            Long("layers") => layers = Some(parser.value()?.parse()?),
            Long("candle") => has_candle = true,
            Value(name) if subject.is_none() => subject = Some(name.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let refused = |message: String| Err(UsageError::new(message).into());
    let subject = match subject.as_deref() {
        Some("parity") => Subject::Parity,
        Some("llm") => Subject::Llm,
        Some("train") => Subject::Train,
        other => {
            let found = other.unwrap_or("nothing");
            return refused(format!("expected `bench parity`, `bench llm` or `bench train`, found {found}"));
        }
    };
    if subject != Subject::Llm && (layers.is_some() || has_candle) {
        return refused("--layers and --candle belong to `bench llm`".to_owned());
    }
    if !(seconds.is_finite() && seconds > 0.0) {
        return refused(format!("--seconds must be above 0, found {seconds}"));
    }
    let layers = layers.unwrap_or(24);
    if !(1..=24).contains(&layers) {
        return refused(format!("--layers must be 1 to 24, found {layers}"));
    }
    Ok(Options { subject, python, seconds, is_json, layers, has_candle })
}

/// The Python to use, or none with an explanation on standard error.
///
/// # Errors
/// When a Python that the user named lacks a module.
pub(crate) fn find_python(options: &Options, modules: &[&str]) -> anyhow::Result<Option<OsString>> {
    let named = options.python.as_deref();
    let python = named.unwrap_or(OsStr::new("python3"));
    let import = format!("import {}", modules.join(", "));
    let probe = Command::new(python).args(["-c", &import]).output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        return Ok(Some(python.to_owned()));
    }
    let shown = python.display();
    if named.is_some() {
        bail!("--python {shown}: it does not run, or `{import}` fails there");
    }
    let subject = match options.subject {
        Subject::Parity => "parity",
        Subject::Llm => "llm",
        Subject::Train => "train",
    };
    eprintln!(
        "bench: `{shown}` has no {}, so razor is measured without PyTorch; to get its ratios:\n  \
         python3 -m venv target/venv && target/venv/bin/pip install {}\n  \
         cargo xtask bench {subject} --python target/venv/bin/python",
        modules.join(" and "),
        modules.join(" ")
    );
    Ok(None)
}

pub(crate) fn razor_command(razor: &Path, subject: &str, seconds: f64) -> Command {
    let mut command = Command::new(razor);
    command.args(["bench", subject, "--json", "--seconds", &seconds.to_string()]).env_remove("LD_PRELOAD");
    command
}

pub(crate) fn python_command(python: &OsStr, script: &str, seconds: f64) -> Command {
    let mut command = Command::new(python);
    command.arg(cargo::root().join("tests/peers").join(script));
    // One repeat: the rounds are the repeats.
    command.args(["--json", "--repeats", "1", "--seconds", &seconds.to_string()]);
    command
}

/// Runs one side once; it prints one JSON object.
pub(crate) fn measure(command: &mut Command) -> anyhow::Result<Json> {
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
        for args in [["--seconds", "0.5", "parity"], ["llm", "--seconds", "0.5"]] {
            assert_eq!(parsed(&args).expect("well formed").seconds, 0.5);
        }
    }

    #[test]
    fn a_length_that_measures_nothing_is_bad_usage() {
        for seconds in ["0", "-1", "nan", "inf", "two"] {
            let error = parsed(&["parity", "--seconds", seconds]).expect_err("refused");
            assert!(crate::usage::is_usage_error(&error), "{seconds}: {error}");
        }
    }

    #[test]
    fn options_of_the_other_subject_and_absurd_layers_are_bad_usage() {
        for args in [
            ["parity", "--layers", "2"],
            ["train", "--layers", "2"],
            ["llm", "--layers", "0"],
            ["llm", "--layers", "25"],
        ] {
            let error = parsed(&args).expect_err("refused");
            assert!(crate::usage::is_usage_error(&error), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_python_that_the_user_named_must_work() {
        let options = parsed(&["parity", "--python", "no-such-python"]).expect("well formed");
        assert!(find_python(&options, &["torch"]).is_err());
    }
}
