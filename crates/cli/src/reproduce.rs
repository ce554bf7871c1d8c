//! `razor reproduce`: what all studies share.

use std::path::PathBuf;
use std::process::ExitCode;

use razor_report::{Summary, summary_text};

use crate::args::{ReproduceArgs, Study};
use crate::terminal::{print, print_json};
use crate::{reproduce_llm, reproduce_parity, reproduce_theory};

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    match args.study {
        Study::Parity => reproduce_parity::run(args),
        Study::Llm => reproduce_llm::run(args),
        Study::Theory => reproduce_theory::run(args),
    }
}

/// Folder of the study.
pub(crate) fn out_dir(args: &ReproduceArgs) -> PathBuf {
    let default = || PathBuf::from("runs").join(format!("{}-{}", args.study.name(), args.preset()));
    args.out.clone().unwrap_or_else(default)
}

/// Shows the plan: to standard output, or to standard error when a result in JSON follows.
pub(crate) fn print_plan(plan: &str, args: &ReproduceArgs) -> anyhow::Result<()> {
    if args.quiet {
        return Ok(());
    }
    if args.json {
        eprint!("{plan}");
        return Ok(());
    }
    print(plan)
}

/// Shows the result of a study.
pub(crate) fn print_result(summary: &Summary, dir: &std::path::Path, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_json(summary);
    }
    let report = dir.join("report.html");
    print(&format!("{}\nreport   {}\n", summary_text(summary), report.display()))
}
