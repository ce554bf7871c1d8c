//! `razor reproduce llm`.

use std::process::ExitCode;

use razor_core::Seed;
use razor_data::Sources;
use razor_experiments::llm::study::{LlmConfig, LlmStudy, LlmStudyOptions};
use razor_experiments::parity::Estimate;
use serde_json::json;

use crate::args::ReproduceArgs;
use crate::model::{DtypeChoice, LoadedModel, ModelArgs};
use crate::progress::Progress;
use crate::reproduce::{out_dir, print_plan, print_result};
use crate::terminal::{command_text, duration_text, print, print_json};
use crate::{UsageError, backend, interrupt, n_workers};

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    if args.data.procedural || args.data.require_real {
        let given = args.data.given().unwrap_or_default();
        return Err(UsageError(format!("{given} is of the study parity: a base has data of its own")).into());
    }
    let config =
        LlmConfig::preset(args.preset(), &args.set).map_err(|error| UsageError(format!("{error:#}")))?;
    let study = LlmStudy::new(config, options(args))?;
    let estimate = study.estimate()?;
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
    let outcome = study.run(&mut |event| progress.show(&event));
    progress.finish();
    print_result(&outcome?, &out, args.json)?;
    if !args.json {
        print(&format!("rerun    {}\nredraw   razor report {}\n", rerun(args), out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &ReproduceArgs) -> LlmStudyOptions {
    let n_workers = n_workers(args.workers);
    let quiet = args.quiet;
    let load_base = move |name: &str| {
        let model_args = ModelArgs { dtype: DtypeChoice::Auto, revision: None, offline: false };
        // Stages and bases are read on the way: only a download has something to say.
        LoadedModel::read(name, &model_args, quiet || std::path::Path::new(name).is_dir())?.into_base()
    };
    LlmStudyOptions {
        out: out_dir(args),
        preset: args.preset().to_owned(),
        seed: Seed::new(args.seed),
        resume: args.resume,
        n_workers,
        sources: Sources::new(args.data.data.clone()),
        environment: backend::environment(n_workers),
        load_base: Box::new(load_base),
    }
}

fn plan_text(args: &ReproduceArgs, study: &LlmStudy, estimate: Estimate) -> String {
    format!(
        "study    llm, preset {}, seed {}\n\
         base     {}, {} parameters\n\
         tasks    {}; prior tasks: {}\n\
         runs     {}, {} at a time; {} measured checkpoints\n\
         expect   about {} and {} MiB of memory\n\
         out      {}\n\n",
        args.preset(),
        args.seed,
        study.base_name(),
        study.n_parameters(),
        study.task_names().join(", "),
        study.prior_names().join(", "),
        study.n_runs(),
        study.n_at_a_time(),
        study.n_checkpoints(),
        duration_text(estimate.time),
        estimate.memory >> 20,
        out_dir(args).display(),
    )
}

fn plan_json(args: &ReproduceArgs, study: &LlmStudy, estimate: Estimate) -> serde_json::Value {
    json!({
        "study": "llm",
        "preset": args.preset(),
        "seed": args.seed,
        "base": study.base_name(),
        "n_parameters": study.n_parameters(),
        "tasks": study.task_names(),
        "prior_tasks": study.prior_names(),
        "n_runs": study.n_runs(),
        "n_checkpoints": study.n_checkpoints(),
        "n_workers": study.n_at_a_time(),
        "expected_seconds": estimate.time.as_secs_f64(),
        "expected_memory_bytes": estimate.memory,
        "out": out_dir(args),
    })
}

/// What gives the same numbers in another folder.
fn rerun(args: &ReproduceArgs) -> String {
    let seed = args.seed.to_string();
    let words = ["razor", "reproduce", "llm", "--preset", args.preset(), "--seed", &seed];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.extend(args.set.iter().flat_map(|assignment| ["--set".to_owned(), assignment.clone()]));
    if let Some(data) = &args.data.data {
        words.extend(["--data".to_owned(), data.display().to_string()]);
    }
    words.extend(["--out".to_owned(), "DIR".to_owned()]);
    command_text(words)
}
