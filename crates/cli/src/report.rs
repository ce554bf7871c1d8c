//! `razor report`.

use std::process::ExitCode;

use razor_experiments::llm::study::{is_llm_study, redraw_llm_report};
use razor_experiments::parity::redraw_parity_report;
use razor_experiments::theory::{is_theory_study, redraw_theory_report};

use crate::args::ReportArgs;
use crate::reproduce::print_result;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let summary = if is_theory_study(&args.dir) {
        redraw_theory_report(&args.dir)?
    } else if is_llm_study(&args.dir) {
        redraw_llm_report(args.dir.clone())?
    } else {
        redraw_parity_report(args.dir.clone())?
    };
    if !args.quiet {
        print_result(&summary, &args.dir, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}
