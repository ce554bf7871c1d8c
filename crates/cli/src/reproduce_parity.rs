//! `razor reproduce parity`.

use std::process::ExitCode;

use razor_core::Seed;
use razor_data::{Provenance, Sources};
use razor_experiments::parity::{Estimate, ParityConfig, ParityStudy, StudyOptions};
use serde_json::json;

use crate::args::ReproduceArgs;
use crate::progress::{Progress, download_listener};
use crate::reproduce::{out_dir, print_plan, print_result};
use crate::terminal::{command_text, duration_text, print, print_json};
use crate::{UsageError, backend, interrupt, n_workers};

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    let config =
        ParityConfig::preset(args.preset(), &args.set).map_err(|error| UsageError(error.to_string()))?;
    let device = backend::device();
    let study = ParityStudy::new(config, options(args))?;
    let estimate = study.estimate(&device);
    if args.dry_run && args.json {
        print_json(&plan_json(args, &study, estimate))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_plan(&plan_text(args, &study, estimate), args)?;
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
        print(&format!("rerun    {}\nredraw   razor report {}\n", rerun(args), out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &ReproduceArgs) -> StudyOptions {
    let sources = Sources::new(args.data.data.clone());
    // A plan alone downloads nothing.
    let sources = if args.dry_run { sources } else { sources.allow_download(download_listener(args.quiet)) };
    let n_workers = n_workers(args.workers);
    StudyOptions {
        out: out_dir(args),
        preset: args.preset().to_owned(),
        seed: Seed::new(args.seed),
        resume: args.resume,
        n_workers,
        sources,
        data_policy: args.data.policy(),
        environment: backend::environment(n_workers),
    }
}

fn plan_text(args: &ReproduceArgs, study: &ParityStudy, estimate: Estimate) -> String {
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
    format!(
        "study    parity, preset {}, seed {}\n\
         data     {data}\n\
         runs     {}, {} at a time; {} measured checkpoints\n\
         expect   about {} and {} MiB of memory\n\
         out      {}\n\n",
        args.preset(),
        args.seed,
        study.n_runs(),
        n_workers(args.workers),
        study.n_checkpoints(),
        duration_text(estimate.time),
        estimate.memory >> 20,
        out_dir(args).display(),
    )
}

fn plan_json(args: &ReproduceArgs, study: &ParityStudy, estimate: Estimate) -> serde_json::Value {
    json!({
        "study": "parity",
        "preset": args.preset(),
        "seed": args.seed,
        "data": study.provenance(),
        "stand_in_reason": study.stand_in_reason(),
        "n_runs": study.n_runs(),
        "n_checkpoints": study.n_checkpoints(),
        "n_workers": n_workers(args.workers),
        "expected_seconds": estimate.time.as_secs_f64(),
        "expected_memory_bytes": estimate.memory,
        "out": out_dir(args),
    })
}

/// What gives the same numbers in another folder.
fn rerun(args: &ReproduceArgs) -> String {
    let seed = args.seed.to_string();
    let words = ["razor", "reproduce", "parity", "--preset", args.preset(), "--seed", &seed];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.extend(args.set.iter().flat_map(|assignment| ["--set".to_owned(), assignment.clone()]));
    if args.data.procedural {
        words.push("--procedural".to_owned());
    }
    if let Some(data) = &args.data.data {
        words.extend(["--data".to_owned(), data.display().to_string()]);
    }
    words.extend(["--out".to_owned(), "DIR".to_owned()]);
    command_text(words)
}
