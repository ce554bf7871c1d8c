//! `razor report`.

use std::process::ExitCode;

use razor_experiments::parity::redraw_parity_report;

use crate::args::ReportArgs;
use crate::reproduce::print_result;
use crate::reproduce_theory;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let is_theory = args.dir.join(reproduce_theory::RESULT).is_file();
    let summary = if is_theory {
        reproduce_theory::redraw(&args.dir)?
    } else {
        redraw_parity_report(args.dir.clone())?
    };
    if !args.quiet {
        print_result(&summary, &args.dir, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}
