//! `razor reproduce parity`.

use std::process::ExitCode;

use razor_data::{Provenance, Sources};
use razor_experiments::parity::{ParityConfig, ParityStudy};
use serde_json::{Value, json};

use crate::args::ReproduceArgs;
use crate::progress::{Progress, download_listener};
use crate::reproduce::{
    Work, out_dir, plan_json, plan_text, print_plan, print_result, rerun_text, study_options,
};
use crate::terminal::{print, print_json};
use crate::{UsageError, backend, interrupt, n_workers};

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    let config =
        ParityConfig::preset(args.preset(), &args.set).map_err(|error| UsageError(error.to_string()))?;
    let device = backend::device();
    let sources = Sources::new(args.data.data.clone());
    // A plan alone downloads nothing.
    let sources = if args.dry_run { sources } else { sources.allow_download(download_listener(args.quiet)) };
    let study = ParityStudy::new(config, study_options(args, sources), args.data.policy())?;
    let work = Work {
        n_runs: study.n_runs(),
        n_checkpoints: study.n_checkpoints(),
        n_workers: n_workers(args.workers),
        estimate: study.estimate(&device),
    };
    if args.dry_run && args.json {
        print_json(&plan_json(args, about_json(&study), &work))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_plan(&plan_text(args, &about_text(args, &study), &work), args)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let out = out_dir(args);
    let progress = Progress::new(args.quiet);
    interrupt::say_how_to_resume(&out, progress.clone())?;
    let outcome = study.run(&device, &mut |event| progress.show(&event));
    progress.finish();
    print_result(&outcome?, &out, args.json)?;
    if !args.json {
        print(&format!("rerun    {}\nredraw   razor report {}\n", rerun_text(args), out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn about_text(args: &ReproduceArgs, study: &ParityStudy) -> String {
    let data = match (study.provenance(), study.stand_in_reason()) {
        (Provenance::Real, _) => "real images".to_owned(),
        (Provenance::Procedural, None) => "PROCEDURAL stand-ins, as --procedural says".to_owned(),
        (Provenance::Procedural, Some(reason)) => {
            let mut text = format!("PROCEDURAL stand-ins, because {reason}");
            if args.dry_run {
                text.push_str("\n(without --dry-run it would be downloaded, if the hub can be reached)");
            }
            text.replace('\n', "\n         ")
        }
    };
    format!("data     {data}\n")
}

fn about_json(study: &ParityStudy) -> Value {
    json!({ "data": study.provenance(), "stand_in_reason": study.stand_in_reason() })
}
