//! `razor pretrain`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use razor_experiments::llm::pretrain::{BaseEvaluation, PretrainRecipe, Pretraining, PretrainingResult};
use razor_trainers::language::Event;
use serde_json::json;

use crate::terminal::{duration_text, print, print_json, tell};
use crate::train_progress::TrainProgress;
use crate::{UsageError, backend, interrupt, n_workers};

/// Pre-train a small base on the project's procedural tiny language
#[derive(Debug, Args)]
#[command(after_help = "\
Writes OUT/model in Hugging Face's layout, with its recipe and evaluation. The default recipe is that of the base that \
comes with the program (datasets/tiny_base); on one machine the same recipe gives the same bytes.

Examples:
  razor pretrain --out runs/base
  razor pretrain --out runs/base --set n_steps=600 --set mix.math=30 --seed 1
  razor grpo --model runs/base/model --task tiny_math --prompt-style plain --out runs/grpo --max-new-tokens 48")]
pub(crate) struct PretrainArgs {
    /// TOML file with every value of the recipe [default: that of the embedded base]
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Change one value of the recipe, such as n_steps=600 or mix.math=30; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of weights and corpus [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Continue a run that was stopped
    #[arg(long)]
    resume: bool,
    /// Print the recipe and the expected time, and stop
    #[arg(long)]
    dry_run: bool,
    /// No plan and no progress, only the result
    #[arg(long)]
    quiet: bool,
    /// Print the result (with --dry-run the plan) as JSON, everything else to standard error
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PretrainArgs) -> anyhow::Result<ExitCode> {
    let assignments: Vec<String> =
        args.seed.map(|seed| format!("seed={seed}")).into_iter().chain(args.set.iter().cloned()).collect();
    let recipe = PretrainRecipe::load(args.recipe.as_deref(), &assignments)
        .map_err(|error| UsageError(format!("{error:#}")))?;
    let device = backend::device();
    let pretraining = match args.dry_run {
        true => None,
        false => Some(Pretraining::new(recipe, &args.out, args.resume)?),
    };
    if args.dry_run || !args.quiet {
        let seconds = Pretraining::expected_seconds(&recipe, &device)?;
        show_plan(args, &recipe, seconds)?;
    }
    let Some(pretraining) = pretraining else { return Ok(ExitCode::SUCCESS) };
    let result = train(&pretraining, &recipe, args)?;
    match args.json {
        true => print_json(&result)?,
        false => print(&result_text(&result, args))?,
    }
    Ok(interrupt::exit_code(&result.training))
}

fn show_plan(args: &PretrainArgs, recipe: &PretrainRecipe, seconds: f64) -> anyhow::Result<()> {
    if args.dry_run && args.json {
        return print_json(&json!({ "recipe": recipe, "expected_seconds": seconds }));
    }
    let time = duration_text(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    let n_tokens = recipe.n_steps as f64 * recipe.tokens_per_step as f64 * 1e-6;
    let plan = format!("{} steps, {n_tokens:.1} million tokens; about {time}", recipe.n_steps);
    if !args.dry_run {
        tell(&plan);
        return Ok(());
    }
    let recipe = toml::to_string(recipe).context("the recipe as TOML")?;
    print(&format!("{plan}\n\nrecipe (change a value with --set KEY=VALUE):\n{recipe}"))
}

fn train(
    pretraining: &Pretraining,
    recipe: &PretrainRecipe,
    args: &PretrainArgs,
) -> anyhow::Result<PretrainingResult> {
    let asked = interrupt::stop_after_a_step()?;
    let mut progress: Option<TrainProgress> = None;
    let mut watch = |event: &Event<'_>| {
        match event {
            Event::Step(record) => {
                let new = || TrainProgress::new(record.step() - 1, recipe.n_steps as u64, args.quiet);
                progress.get_or_insert_with(new).show(record);
            }
            Event::Evaluation(step, evaluation) if !args.quiet => {
                let text = format!("step {step}: held-out loss {:.4} nats per token", -evaluation.score);
                progress.as_ref().map_or_else(|| tell(&text), |progress| progress.say(&text));
            }
            _ => {}
        }
        asked()
    };
    let environment = backend::environment(n_workers(None));
    let result = pretraining.run(&backend::device(), &environment, &mut watch);
    if let Some(progress) = &progress {
        progress.finish();
    }
    result
}

fn result_text(result: &PretrainingResult, args: &PretrainArgs) -> String {
    let (Some(evaluation), Some(model)) = (&result.evaluation, &result.model) else {
        return format!("stopped at step {}\nrun: {}\n", result.training.n_steps, args.out.display());
    };
    format!("{}model: {}\n", evaluation_text(evaluation), model.display())
}

fn evaluation_text(evaluation: &BaseEvaluation) -> String {
    let mut text =
        format!("{} parameters\nprior skills, mean {:.3}\n", evaluation.n_parameters, evaluation.skill_mean);
    for skill in &evaluation.skills {
        text.push_str(&format!("  {:<10} {:.3}\n", skill.name, skill.score));
    }
    for task in &evaluation.tasks {
        text.push_str(&format!(
            "{}: greedy {:.3}, temperature 1 {:.3}, cut off {:.3}\n",
            task.task, task.greedy, task.sampled, task.truncated
        ));
        for style in &task.styles {
            text.push_str(&format!(
                "  {:<12} share {:.3}, right {:.3}\n",
                style.style, style.share, style.right
            ));
        }
        let wins = if task.reasoning_wins() { "yes" } else { "NO" };
        let ratio = task.reasoning_over_direct.map_or_else(
            || "the direct answer is never right".to_owned(),
            |ratio| format!("{ratio:.2} times as often right"),
        );
        text.push_str(&format!("  some reasoning style beats the direct answer: {wins} ({ratio})\n"));
    }
    text
}
