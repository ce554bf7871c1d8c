//! `razor reproduce llm`.

use std::path::Path;
use std::process::ExitCode;

use razor_data::Sources;
use razor_experiments::llm::study::{LlmConfig, LlmStudy, LoadBase};
use serde_json::{Value, json};

use crate::args::ReproduceArgs;
use crate::model::{DtypeChoice, LoadedModel, ModelArgs};
use crate::progress::Progress;
use crate::reproduce::{
    Work, out_dir, plan_json, plan_text, print_plan, print_result, rerun_text, study_options,
};
use crate::terminal::{print, print_json};
use crate::{UsageError, interrupt};

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    if args.data.procedural || args.data.require_real {
        let given = args.data.given().unwrap_or_default();
        return Err(UsageError(format!("{given} is of the study parity: a base has data of its own")).into());
    }
    let config =
        LlmConfig::preset(args.preset(), &args.set).map_err(|error| UsageError(format!("{error:#}")))?;
    let sources = Sources::new(args.data.data.clone());
    let study = LlmStudy::new(config, study_options(args, sources), load_base(args.quiet))?;
    let work = Work {
        n_runs: study.n_runs(),
        n_checkpoints: study.n_checkpoints(),
        n_workers: study.n_at_a_time(),
        estimate: study.estimate()?,
    };
    if args.dry_run && args.json {
        print_json(&plan_json(args, about_json(&study), &work))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_plan(&plan_text(args, &about_text(&study), &work), args)?;
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
        print(&format!("rerun    {}\nredraw   razor report {}\n", rerun_text(args), out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Stages and bases are read on the way: only a download has something to say.
fn load_base(is_quiet: bool) -> Box<LoadBase> {
    Box::new(move |name| {
        let args = ModelArgs { dtype: DtypeChoice::Auto, revision: None, offline: false };
        LoadedModel::read(name, &args, is_quiet || Path::new(name).is_dir())?.into_base()
    })
}

fn about_text(study: &LlmStudy) -> String {
    format!(
        "base     {}, {} parameters\ntasks    {}; prior tasks: {}\n",
        study.base_name(),
        study.n_parameters(),
        study.task_names().join(", "),
        study.prior_names().join(", "),
    )
}

fn about_json(study: &LlmStudy) -> Value {
    json!({
        "base": study.base_name(),
        "n_parameters": study.n_parameters(),
        "tasks": study.task_names(),
        "prior_tasks": study.prior_names(),
    })
}
