//! `cargo xtask reproduce`: from a fresh clone to a study's report.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::Backend;
use crate::cargo;
use crate::usage::{UsageError, take_option};

pub(crate) const HELP: &str = "\
Builds razor in the release profile and runs a study with it.

Usage: cargo xtask reproduce STUDY [--backend BACKEND] [OPTIONS OF razor reproduce]

Studies: parity, llm, theory

Options:
  --backend BACKEND   flex (default), ndarray, wgpu or cuda; `cuda` says first what is missing to build it

Everything else goes to `razor reproduce`, which runs in the current directory and whose exit code is kept:
  --preset NAME       parity and theory: smoke, quick (default), standard or paper; llm: smoke, tiny (default), tiny-full,
                      small or paper
  --data DIR          real data (otherwise $RAZOR_DATA, then datasets/raw, then the hub, then procedural)
  --procedural        stand-in images even when the real ones are here
  --require-real      fail rather than use stand-ins
  --out DIR           folder of the study (default: runs/STUDY-PRESET)
  --seed N            seed of everything that is random
  --resume            continue a study that was stopped
  --workers N         runs at a time, one core each
  --set KEY=VALUE     override one value of the preset
  --dry-run           print the plan, the expected time and memory, and stop
  --quiet, --json     less to read; the result as JSON

Examples:
  cargo xtask reproduce parity
  cargo xtask reproduce llm
  cargo xtask reproduce parity --preset standard --data datasets/raw --out runs/parity
";

/// Studies that `razor reproduce` runs.
const AVAILABLE: [&str; 3] = ["parity", "llm", "theory"];
/// Studies that the project will have.
const LATER: [&str; 2] = ["robotics", "circuits"];

pub(crate) fn run(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let backend = match take_option(&mut args, "--backend")? {
        Some(name) => name.parse()?,
        None => Backend::default(),
    };
    check_study(args.first())?;
    args.insert(0, "reproduce".into());
    cargo::run_razor(backend, args)
}

/// Refuses an unknown study before minutes are spent on building.
fn check_study(study: Option<&OsString>) -> Result<(), UsageError> {
    let available = AVAILABLE.join(", ");
    let Some(study) = study.map(|study| study.to_string_lossy()) else {
        return Err(UsageError::new(format!("a study is missing; expected one of {available}")));
    };
    if AVAILABLE.contains(&study.as_ref()) {
        return Ok(());
    }
    Err(UsageError::new(if LATER.contains(&study.as_ref()) {
        format!("study `{study}` is not available yet; available now: {available}")
    } else if study.starts_with('-') {
        format!("the study comes before `{study}`; expected one of {available}")
    } else {
        format!("unknown study `{study}`; expected one of {available}")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_studies_that_exist_are_built_for() {
        for study in AVAILABLE {
            assert!(check_study(Some(&study.into())).is_ok());
        }
        for (study, reason) in [
            ("robotics", "not available yet"),
            ("partiy", "unknown study"),
            ("--preset", "the study comes before"),
        ] {
            let message = check_study(Some(&study.into())).expect_err("not a study").to_string();
            assert!(message.contains(reason) && message.contains("parity, llm, theory"), "{message}");
        }
        assert!(check_study(None).is_err());
    }

    #[test]
    fn an_unknown_backend_is_refused_before_anything_is_built() {
        let error = run(vec!["parity".into(), "--backend".into(), "tpu".into()]).expect_err("not a backend");
        assert!(crate::usage::is_usage_error(&error), "{error}");
    }
}
