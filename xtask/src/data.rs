//! `cargo xtask data`: the data commands of `razor` without installing it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::backend::Backend;
use crate::cargo;

pub(crate) const HELP: &str = "\
Builds razor and hands the arguments to `razor data`.

Usage: cargo xtask data list|fetch|verify|show [OPTIONS OF razor data]

  list      every data set: where from, licence, whether it is here
  fetch     download what is missing
  verify    compare what is here with the sizes and SHA-256 of datasets/manifest.toml
  show      print one example

Example:
  cargo xtask data verify
";

pub(crate) fn run(mut args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    args.insert(0, "data".into());
    cargo::run_razor(Backend::Flex, args)
}
