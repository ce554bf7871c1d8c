//! `razor sft`, `rejection-sft`, `grpo`, `simpo` and `self-distill`: one fine-tuning run.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use razor_data::{PreviewStyle, Sources, TokenExample, render_tokens};
use razor_experiments::llm::fine_tune::{BaseModel, FineTuneSettings, MethodSettings, Prepared, RunTarget};
use razor_trainers::language::loss::Reduction;
use razor_trainers::language::{EndedBy, TrainingResult};
use serde_json::json;

use crate::model::{LoadedModel, ModelArgs};
use crate::progress::CountProgress;
use crate::terminal::{allows_colours, print, print_json, tell};
use crate::train_plan::Plan;
use crate::train_settings::{TrainCommand, settings};
use crate::train_watch::TrainWatch;
use crate::{backend, interrupt};

/// What all methods share.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Model folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// New task, such as gsm8k, sciknoweval or tiny_math; `razor data list` has them all
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub(crate) task: Option<String>,
    /// Your own task: JSON lines with `prompt` or `messages`, and `completion`, `answer`, `choice`, `tool_calls` or `text`
    #[arg(long, value_name = "FILE", conflicts_with = "task")]
    pub(crate) file: Option<PathBuf>,
    /// Part of a task's data [default: the one that the studies use]
    #[arg(long, value_name = "NAME")]
    pub(crate) subset: Option<String>,
    /// Folder of the data sets, searched alone [default: $RAZOR_DATA, datasets/raw, the Hugging Face cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Continue a run that was stopped
    #[arg(long)]
    pub(crate) resume: bool,
    /// Steps, at least 1 [default: what the epochs make]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<NonZero<usize>>,
    /// Peak learning rate [default: the preset's]
    #[arg(long, value_name = "LR", allow_negative_numbers = true)]
    pub(crate) learning_rate: Option<f64>,
    /// Train a LoRA adapter of this rank instead of all weights; α is twice the rank unless --lora-alpha says otherwise
    #[arg(long, value_name = "R")]
    pub(crate) lora_rank: Option<usize>,
    /// α of the adapter
    #[arg(long, value_name = "A", requires = "lora_rank", allow_negative_numbers = true)]
    pub(crate) lora_alpha: Option<f64>,
    /// Projections with an adapter, comma-separated [default: all seven]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "lora_rank")]
    pub(crate) lora_targets: Option<Vec<String>>,
    /// Hold all weights near those of the base: coefficient of the squared distance (L2-SP)
    #[arg(long, value_name = "C", conflicts_with = "lora_rank", allow_negative_numbers = true)]
    pub(crate) anchor_coef: Option<f64>,
    /// Weigh that distance by the base's Fisher information on these prompts of old tasks (EWC): JSON lines
    #[arg(long, value_name = "FILE", requires = "anchor_coef")]
    pub(crate) ewc_prompts: Option<PathBuf>,
    /// Limit to the KL from the base, nats per completion on held-out prompts: the run stops above it
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    pub(crate) kl_budget: Option<f64>,
    /// Above --kl-budget halve the learning rate instead of stopping
    #[arg(long, requires = "kl_budget")]
    pub(crate) kl_budget_lowers_step: bool,
    /// How the messages of a prompt become text: chat (the model's template) or plain (joined by blank lines)
    #[arg(long, value_name = "STYLE", default_value = "chat", value_parser = ["chat", "plain"])]
    pub(crate) prompt_style: String,
    /// Change one value of the settings, such as base_kl.n_prompts=64; may be given again. --dry-run prints them all
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
    /// Print data, settings, steps and memory, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// No plan and no progress, only the result
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print the result (or the plan of --dry-run, or the rows of --preview) as JSON, everything else to standard error
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(
    command: &TrainCommand,
    args: &TrainArgs,
    preview: Option<usize>,
) -> anyhow::Result<ExitCode> {
    let settings = settings(command, args)?;
    let base = LoadedModel::read(&args.model, &args.model_args, args.quiet)?.into_base()?;
    let sources = Sources::new(args.data.clone());
    let target = match args.dry_run || preview.is_some() {
        true => None,
        false => Some(RunTarget::new(&settings, &base.folder, &args.out, args.resume)?),
    };
    let mut progress = None;
    let mut on_drawn = |n_done: usize, n: usize| {
        let what = "prompts answered by the base";
        progress.get_or_insert_with(|| CountProgress::new(what, n, args.quiet)).set(n_done);
    };
    let prepared = Prepared::new(settings, &base, &sources, &mut on_drawn)?;
    drop(progress); // the bar is away before anything is printed
    if let Some(n) = preview {
        return show_examples(&prepared, &base, n, args.json);
    }
    let plan = Plan::new(&prepared, &base)?;
    let Some(target) = target else {
        match args.json {
            true => print_json(&plan)?,
            false => print(&format!("{plan}{}", settings_text(&prepared.settings)))?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    if !args.quiet {
        tell(plan.to_string().trim_end());
    }
    let result = train(&prepared, &base, &target, args)?;
    match args.json {
        true => print_json(&result)?,
        false => print(&result_text(&result, args))?,
    }
    Ok(interrupt::exit_code(&result))
}

fn train(
    prepared: &Prepared,
    base: &BaseModel,
    target: &RunTarget,
    args: &TrainArgs,
) -> anyhow::Result<TrainingResult> {
    let asked = interrupt::stop_after_a_step()?;
    let mut shown = TrainWatch::new(prepared.n_steps() as u64, prepared.settings.kl_budget, args.quiet);
    let mut watch = |event: &razor_trainers::language::Event<'_>| {
        shown.hear(event);
        asked()
    };
    let environment = backend::environment(rayon::current_num_threads());
    let result = prepared.run(base, target, &environment, &mut watch);
    shown.end();
    result
}

/// Rows as they are trained, token by token.
fn show_examples(prepared: &Prepared, base: &BaseModel, n: usize, as_json: bool) -> anyhow::Result<ExitCode> {
    let examples = prepared
        .examples()
        .context("this method draws its completions itself: there is nothing to show yet")?;
    if as_json {
        let shown: Vec<_> = examples.iter().take(n).map(|example| shown(example, base)).collect();
        print_json(&json!({ "notes": prepared.notes, "rows": shown }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = if allows_colours(&std::io::stdout()) { PreviewStyle::Ansi } else { PreviewStyle::Plain };
    let divisor = weight_divisor(&prepared.settings.method);
    let mut text = prepared.notes.join("\n");
    text.push('\n');
    for (idx, example) in examples.iter().take(n).enumerate() {
        text.push_str(&format!(
            "\nrow {idx}: {} tokens, {} trained; each trained token weighs 1 / {divisor}\n{}",
            example.ids.len(),
            example.completion.len(),
            render_tokens(example, &base.text.tokenizer, style)
        ));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the weight of a trained token is 1 divided by.
fn weight_divisor(method: &MethodSettings) -> &'static str {
    let (MethodSettings::Sft { config, .. } | MethodSettings::RejectionSft { config, .. }) = method else {
        unreachable!("the other methods have no rows to show");
    };
    match config.reduction {
        Reduction::TokenMean => "trained tokens of its batch",
        Reduction::SequenceMean => "(rows of its batch x trained tokens of this row)",
        Reduction::LocalTokenMean { .. } => {
            "(local batches of its batch x trained tokens of its local batch)"
        }
        Reduction::ConstantLength => "(rows of its batch x method.config.max_tokens)",
    }
}

fn shown(example: &TokenExample, base: &BaseModel) -> serde_json::Value {
    let tokens: Vec<String> = example.ids.iter().map(|&id| base.text.tokenizer.token_text(id)).collect();
    json!({ "token_ids": example.ids, "tokens": tokens, "is_trained": example.mask() })
}

fn settings_text(settings: &FineTuneSettings) -> String {
    let text = toml::to_string(settings).expect("settings are plain data with string keys");
    format!("\nsettings (change one with --set KEY=VALUE):\n{text}")
}

fn result_text(result: &TrainingResult, args: &TrainArgs) -> String {
    let mut text = match result.ended_by {
        EndedBy::Steps => format!("{} steps done\n", result.n_steps),
        EndedBy::KlBudget => {
            format!("stopped at step {}: the KL from the base is above its budget\n", result.n_steps)
        }
        EndedBy::Interrupt => format!("stopped at step {}\n", result.n_steps),
    };
    if result.n_idle_steps > 0 {
        let (n_idle, n) = (result.n_idle_steps, result.n_steps);
        text.push_str(&format!("{n_idle} of {n} steps had nothing to learn from: their gradient is zero\n"));
    }
    if let Some(evaluation) = &result.evaluation {
        let name = match evaluation.kind {
            razor_trainers::language::EvaluationKind::Accuracy => "new-task accuracy",
            razor_trainers::language::EvaluationKind::SampledAccuracy => "new-task accuracy at temperature 1",
            razor_trainers::language::EvaluationKind::NegativeLoss => "minus held-out loss (nats per token)",
        };
        text.push_str(&format!(
            "{name}: {:.3} ± {:.3} (standard error, {} held-out questions)\n",
            evaluation.score, evaluation.standard_error, evaluation.n
        ));
    }
    if let Some(kl) = result.kl_reference_to_policy {
        text.push_str(&format!("KL(base‖policy): {kl:.4} nats per completion on held-out prompts\n"));
    }
    text.push_str(&format!("run: {}\n", args.out.display()));
    if let Some(model) = &result.last_model {
        text.push_str(&format!("last model: {}\n", model.display()));
    }
    if let (Some(step), Some(model)) = (result.best_step, &result.best_model) {
        text.push_str(&format!("best model: {} (step {step})\n", model.display()));
    } else if args.kl_budget.is_some() {
        text.push_str("best model: none, no checkpoint is within the KL budget\n");
    }
    text
}
