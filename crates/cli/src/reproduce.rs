//! `razor reproduce`: what all studies share.

use std::path::PathBuf;
use std::process::ExitCode;

use razor_core::Seed;
use razor_data::Sources;
use razor_experiments::{Estimate, StudyOptions};
use razor_report::{Summary, summary_text};
use serde_json::{Value, json};

use crate::args::{ReproduceArgs, Study};
use crate::terminal::{command_text, duration_text, print, print_json};
use crate::{backend, n_workers, reproduce_llm, reproduce_parity, reproduce_theory};

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

/// How a study that trains many runs is run; data sets come from `sources`.
pub(crate) fn study_options(args: &ReproduceArgs, sources: Sources) -> StudyOptions {
    let n_workers = n_workers(args.workers);
    StudyOptions {
        out: out_dir(args),
        preset: args.preset().to_owned(),
        seed: Seed::new(args.seed),
        resume: args.resume,
        n_workers,
        sources,
        environment: backend::environment(n_workers),
    }
}

/// What a study that trains many runs is about to do.
pub(crate) struct Work {
    pub n_runs: usize,
    pub n_checkpoints: usize,
    /// Runs at a time.
    pub n_workers: usize,
    pub estimate: Estimate,
}

/// The plan for people; `about` holds the lines of the study alone.
pub(crate) fn plan_text(args: &ReproduceArgs, about: &str, work: &Work) -> String {
    format!(
        "study    {}, preset {}, seed {}\n\
         {about}\
         runs     {}, {} at a time; {} measured checkpoints\n\
         expect   about {} and {} MiB of memory\n\
         out      {}\n\n",
        args.study.name(),
        args.preset(),
        args.seed,
        work.n_runs,
        work.n_workers,
        work.n_checkpoints,
        duration_text(work.estimate.time),
        work.estimate.memory >> 20,
        out_dir(args).display(),
    )
}

/// The plan for programs; `about` holds the fields of the study alone.
pub(crate) fn plan_json(args: &ReproduceArgs, about: Value, work: &Work) -> Value {
    let mut plan = json!({ "study": args.study.name(), "preset": args.preset(), "seed": args.seed });
    let rest = json!({
        "n_runs": work.n_runs,
        "n_checkpoints": work.n_checkpoints,
        "n_workers": work.n_workers,
        "expected_seconds": work.estimate.time.as_secs_f64(),
        "expected_memory_bytes": work.estimate.memory,
        "out": out_dir(args),
    });
    for fields in [about, rest] {
        let (Value::Object(plan), Value::Object(fields)) = (&mut plan, fields) else { continue };
        plan.extend(fields);
    }
    plan
}

/// What gives the same numbers in another folder.
pub(crate) fn rerun_text(args: &ReproduceArgs) -> String {
    let seed = args.seed.to_string();
    let words = ["razor", "reproduce", args.study.name(), "--preset", args.preset(), "--seed", &seed];
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

/// Shows the result of a study.
pub(crate) fn print_result(summary: &Summary, dir: &std::path::Path, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_json(summary);
    }
    let report = dir.join("report.html");
    print(&format!("{}\nreport   {}\n", summary_text(summary), report.display()))
}
