//! `cargo xtask golden`: remakes the fixtures that other libraries computed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{fs, io};

use anyhow::{Context, bail};
use lexopt::prelude::*;

use crate::cargo;

pub(crate) const HELP: &str = "\
Runs the scripts of tests/golden and shows which fixtures changed.

Usage: cargo xtask golden [--python PATH] [--check]

Options:
  --python PATH   a Python with the packages below (default: python3)
  --check         recompute and compare with the fixtures, write nothing

A fixture is never remade in the commit that changes the code it checks.

Example:
  python3 -m venv target/venv
  target/venv/bin/pip install torch numpy scipy scikit-learn safetensors \\
      transformers accelerate math-verify lm-eval tensorboard
  cargo xtask golden --python target/venv/bin/python --check
";

pub(crate) fn run(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let mut python = OsString::from("python3");
    let mut check = false;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("python") => python = parser.value()?,
            Long("check") => check = true,
            _ => return Err(argument.unexpected().into()),
        }
    }
    for script in scripts().context("cannot list tests/golden")? {
        println!("golden: {}", script.strip_prefix(cargo::root()).unwrap_or(&script).display());
        // In the caller's directory, so that a relative --python means what it says.
        let mut command = Command::new(&python);
        command.arg(&script).args(check.then_some("--check"));
        let status = command.status().with_context(|| format!("cannot start {}", python.display()))?;
        if !status.success() {
            bail!("`{}` failed ({status})", cargo::shown(&command));
        }
    }
    if !check {
        show_changes()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The scripts in order of their names.
fn scripts() -> io::Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(cargo::root().join("tests/golden"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn show_changes() -> anyhow::Result<()> {
    let mut git = Command::new("git");
    git.current_dir(cargo::root()).args(["diff", "--stat", "--", "tests/golden"]);
    let output = git.output().context("cannot start git")?;
    match String::from_utf8_lossy(&output.stdout).trim_end() {
        _ if !output.status.success() => bail!("`{}` failed", cargo::shown(&git)),
        "" => println!("golden: no tracked fixture changed"),
        changes => println!("{changes}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_golden_script_stands_beside_a_fixture() {
        let scripts = scripts().expect("tests/golden exists");
        assert!(!scripts.is_empty());
        for script in scripts {
            let has_fixture =
                ["safetensors", "json"].iter().any(|kind| script.with_extension(kind).is_file());
            assert!(has_fixture, "{} has no fixture", script.display());
        }
    }
}
