//! From the command line to the settings of a run.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::Args;
use razor_core::load_config;
use razor_data::TaskId;
use razor_experiments::llm::fine_tune::{
    AnchorSettings, CadenceSettings, FineTuneSettings, FisherSettings, LoraSettings, MemorySettings,
    MethodSettings, PromptStyle, ReplaySettings, TaskSettings,
};
use razor_models::LORA_TARGETS;
use razor_trainers::language::loss::{
    KlEstimator, KlPenalty, Reduction, SftConfig, SftLoss, paper_sft, paper_simpo, policy_gradient_preset,
    standard_simpo, trl_sft,
};
use razor_trainers::language::run::{Better, Retention};
use razor_trainers::language::{BaseKlConfig, BudgetAction, KlBudget, SftKl};

use crate::UsageError;
use crate::train::TrainArgs;

/// Supervised fine-tuning on the completions of the data
#[derive(Debug, Args)]
#[command(after_help = "\
Only the completion is trained, its stop token included. The KL to the base is measured on held-out prompts all along.

Examples:
  razor sft --model Qwen2.5-0.5B-Instruct --task gsm8k --out runs/sft --preview 3
  razor sft --model base --file rows.jsonl --out runs/sft --lora-rank 16 --learning-rate 2e-4
  razor sft --model base --task sciknoweval --out runs/sft-kl --kl-coef 0.1 --kl-budget 5")]
pub(crate) struct SftArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    /// Starting values: trl or paper
    #[arg(long, value_name = "NAME", default_value = "trl", value_parser = ["trl", "paper"])]
    pub(crate) preset: String,
    /// Weigh each token by its own probability (DFT)
    #[arg(long)]
    pub(crate) dft: bool,
    /// Coefficient of an exact KL(base‖policy) in the loss
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub(crate) kl_coef: Option<f64>,
    /// Take KL(policy‖base) instead
    #[arg(long, requires = "kl_coef")]
    pub(crate) kl_reverse: bool,
    /// JSON lines of other tasks that are replayed
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Replayed examples in every batch
    #[arg(long, value_name = "N", default_value_t = 4, requires = "replay")]
    pub(crate) replay_per_batch: usize,
    /// Show this many rows as tokens with their mask, and stop
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3")]
    pub(crate) preview: Option<usize>,
}

/// Supervised fine-tuning on the base's own right completions
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  razor rejection-sft --model Qwen2.5-0.5B-Instruct --task gsm8k --out runs/own --draws 16")]
pub(crate) struct RejectionSftArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    /// Completions drawn for each prompt; the first right one is kept
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) draws: usize,
    /// Draw anew in every epoch instead of once
    #[arg(long, conflicts_with = "preview")]
    pub(crate) fresh: bool,
    /// Tokens after which a completion is cut
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_new_tokens: usize,
    /// Starting values: trl or paper
    #[arg(long, value_name = "NAME", default_value = "paper", value_parser = ["trl", "paper"])]
    pub(crate) preset: String,
    /// Show this many rows as tokens with their mask, and stop
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3")]
    pub(crate) preview: Option<usize>,
}

/// On-policy self-distillation: towards the base that has seen a demonstration
#[derive(Debug, Args)]
#[command(after_help = "\
The policy answers the prompt alone; the base reads the same answer after prompt and demonstration (the data's completion).

Example:
  razor self-distill --model Qwen2.5-0.5B-Instruct --task gsm8k --out runs/sdft")]
pub(crate) struct SelfDistillArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    /// Minimize KL(teacher‖policy) instead of KL(policy‖teacher)
    #[arg(long)]
    pub(crate) forward: bool,
    /// Tokens after which a completion is cut
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_new_tokens: usize,
}

/// Reinforcement learning with groups of completions: GRPO and its family
#[derive(Debug, Args)]
#[command(after_help = "\
Presets: trl_grpo, trl_rloo, dr_grpo, dapo, gspo, cispo, bnpo, paper_grpo, reinforce_1_0.

Examples:
  razor grpo --model Qwen2.5-0.5B-Instruct --task gsm8k --out runs/grpo --preset dr_grpo
  razor grpo --model base --file rows.jsonl --out runs/grpo --kl-coef 0.01 --max-new-tokens 256")]
pub(crate) struct GrpoArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    /// Starting values; see below
    #[arg(long, value_name = "NAME", default_value = "trl_grpo")]
    pub(crate) preset: String,
    /// Completions of each prompt
    #[arg(long, value_name = "N")]
    pub(crate) group_size: Option<usize>,
    /// Tokens after which a completion is cut
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// Coefficient of a KL to the base in the loss, estimated by k3 as in TRL
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub(crate) kl_coef: Option<f64>,
}

/// Preference pairs: the data's completion over a wrong one that the base draws
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  razor simpo --model Qwen2.5-0.5B-Instruct --task gsm8k --out runs/simpo")]
pub(crate) struct SimpoArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    /// Loss: paper (sums of log-probabilities, margin 1) or standard (means, β 2)
    #[arg(long, value_name = "NAME", default_value = "paper", value_parser = ["paper", "standard"])]
    pub(crate) preset: String,
    /// Completions drawn for each prompt to find a wrong one
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) draws: usize,
    /// Tokens after which they are cut
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_new_tokens: usize,
}

/// A method with its own options.
pub(crate) enum TrainCommand<'a> {
    Sft(&'a SftArgs),
    RejectionSft(&'a RejectionSftArgs),
    Grpo(&'a GrpoArgs),
    SelfDistill(&'a SelfDistillArgs),
    Simpo(&'a SimpoArgs),
}

/// The settings of a run: preset, options, then every `--set`.
pub(crate) fn settings(command: &TrainCommand<'_>, args: &TrainArgs) -> anyhow::Result<FineTuneSettings> {
    let mut method = method(command)?;
    if let Some(rate) = args.learning_rate {
        let optimization = match &mut method {
            MethodSettings::Sft { config, .. }
            | MethodSettings::RejectionSft { config, .. }
            | MethodSettings::SelfDistillation { config, .. }
            | MethodSettings::Simpo { config, .. } => &mut config.optimization,
            MethodSettings::PolicyGradient { config } => &mut config.optimization,
        };
        optimization.learning_rate = rate;
    }
    let max_new_tokens = match &method {
        MethodSettings::PolicyGradient { config } => config.max_completion_tokens,
        MethodSettings::RejectionSft { max_completion_tokens, .. }
        | MethodSettings::SelfDistillation { max_completion_tokens, .. }
        | MethodSettings::Simpo { max_completion_tokens, .. } => *max_completion_tokens,
        MethodSettings::Sft { .. } => 256,
    };
    let n_epochs = match &method {
        MethodSettings::Sft { config, .. }
        | MethodSettings::RejectionSft { config, .. }
        | MethodSettings::SelfDistillation { config, .. }
        | MethodSettings::Simpo { config, .. } => config.n_epochs,
        MethodSettings::PolicyGradient { .. } => 1,
    };
    let lora = args.lora_rank.map(|rank| LoraSettings {
        rank,
        alpha: args.lora_alpha.unwrap_or(2.0 * rank as f64),
        use_rslora: false,
        targets: args.lora_targets.clone().unwrap_or_else(|| LORA_TARGETS.map(str::to_owned).to_vec()),
    });
    let action = if args.kl_budget_lowers_step { BudgetAction::LowerStep } else { BudgetAction::Stop };
    let settings = FineTuneSettings {
        seed: args.seed,
        model: args.model.clone(),
        n_steps: args.steps.map_or(0, NonZero::get),
        n_epochs,
        task: TaskSettings {
            name: args.task.clone().unwrap_or_else(|| "user_file".to_owned()),
            subset: args.subset.clone().unwrap_or_default(),
            file: args.file.clone(),
            annotations: None,
            imitates_answers: false,
            prompt_style: if args.prompt_style == "plain" { PromptStyle::Plain } else { PromptStyle::Chat },
            max_train: 0,
            max_test: 200,
            max_new_tokens,
        },
        method,
        anchor: anchor(args),
        lora,
        cadence: CadenceSettings { evaluate_every: 50, checkpoint_every: 50, show_every: 10 },
        base_kl: BaseKlConfig { every: 25, n_prompts: 64, n_samples: 1, max_new_tokens, n_resamples: 1000 },
        kl_budget: args.kl_budget.map(|nats| KlBudget { nats, action }),
        memory: MemorySettings {
            micro_batch_tokens: 4096,
            recompute: false,
            tile_mib: 256,
            generation_rows: 64,
        },
        retention: Retention { keep_last: 2, keep_best: 1, better: Better::Higher },
    };
    let text =
        toml::to_string(&settings).map_err(|error| UsageError(format!("a number is too large: {error}")))?;
    let settings: FineTuneSettings = load_config(&text, Path::new("the settings"), &args.set)
        .map_err(|error| UsageError(error.to_string()))?;
    match problem(&settings).or_else(|| problem_of_the_unused(&settings.method, n_epochs)) {
        Some(problem) => Err(UsageError(problem).into()),
        None => Ok(settings),
    }
}

fn method(command: &TrainCommand<'_>) -> anyhow::Result<MethodSettings> {
    Ok(match command {
        TrainCommand::Sft(args) => {
            let mut config = sft_preset(&args.preset);
            if args.dft {
                config.loss = SftLoss::Dft;
            }
            let kl = args.kl_coef.map(|coefficient| SftKl { coefficient, is_reverse: args.kl_reverse });
            let replay =
                args.replay.clone().map(|file| ReplaySettings { file, n_per_batch: args.replay_per_batch });
            MethodSettings::Sft { config, kl, replay }
        }
        TrainCommand::RejectionSft(args) => MethodSettings::RejectionSft {
            config: sft_preset(&args.preset),
            n_draws: args.draws,
            max_completion_tokens: args.max_new_tokens,
            is_fresh: args.fresh,
        },
        TrainCommand::SelfDistill(args) => MethodSettings::SelfDistillation {
            config: paper_sft(),
            is_reverse: !args.forward,
            max_completion_tokens: args.max_new_tokens,
        },
        TrainCommand::Grpo(args) => {
            let mut config = policy_gradient_preset(&args.preset).ok_or_else(|| {
                UsageError(format!("no preset is called `{}`; `razor grpo --help` lists them", args.preset))
            })?;
            config.group_size = args.group_size.unwrap_or(config.group_size);
            config.max_completion_tokens = args.max_new_tokens.unwrap_or(config.max_completion_tokens);
            if let Some(coefficient) = args.kl_coef {
                config.loss.kl =
                    Some(KlPenalty { coefficient, estimator: KlEstimator::K3, multiply_by_ratio: true });
            }
            MethodSettings::PolicyGradient { config }
        }
        TrainCommand::Simpo(args) => MethodSettings::Simpo {
            loss: if args.preset == "standard" { standard_simpo() } else { paper_simpo() },
            config: paper_sft(),
            n_draws: args.draws,
            max_completion_tokens: args.max_new_tokens,
        },
    })
}

fn sft_preset(name: &str) -> SftConfig {
    if name == "paper" { paper_sft() } else { trl_sft() }
}

/// L2-SP, or EWC where old prompts are given.
fn anchor(args: &TrainArgs) -> Option<AnchorSettings> {
    let fisher =
        args.ewc_prompts.clone().map(|file| FisherSettings { file, n_prompts: 256, max_new_tokens: 64 });
    args.anchor_coef.map(|coefficient| AnchorSettings { coefficient, fisher })
}

/// Counts above this are mistakes, and their products would not fit.
const MOST: usize = 1_000_000_000;

/// What no run can be made of.
fn problem(settings: &FineTuneSettings) -> Option<String> {
    if let Some(Err(error)) = settings.task.file.is_none().then(|| settings.task.name.parse::<TaskId>()) {
        return Some(error.to_string());
    }
    problem_of_a_number(settings)
        .or_else(|| problem_of_a_count(settings))
        .or_else(|| settings.lora.as_ref().and_then(|lora| lora.config().problem()))
        .or_else(|| problem_of_groups(&settings.method))
}

fn problem_of_a_number(settings: &FineTuneSettings) -> Option<String> {
    let optimization = settings.optimization();
    let adamw = optimization.adamw;
    let mut above_0 = vec![
        ("method.config.optimization.learning_rate", optimization.learning_rate),
        ("method.config.optimization.adamw.epsilon", adamw.epsilon),
    ];
    let mut from_0 = vec![
        ("method.config.optimization.adamw.weight_decay", adamw.weight_decay),
        ("method.config.optimization.max_grad_norm", optimization.max_grad_norm),
    ];
    from_0.extend(settings.kl_budget.map(|budget| ("kl_budget.nats", budget.nats)));
    from_0.extend(settings.anchor.as_ref().map(|anchor| ("anchor.coefficient", anchor.coefficient)));
    match &settings.method {
        MethodSettings::Sft { kl, .. } => {
            from_0.extend(kl.map(|kl| ("method.kl.coefficient", kl.coefficient)));
        }
        MethodSettings::PolicyGradient { config } => {
            above_0.push(("method.config.temperature", f64::from(config.temperature)));
            from_0.push(("method.config.kl_in_reward", config.kl_in_reward));
            from_0.extend(config.loss.kl.map(|kl| ("method.config.loss.kl.coefficient", kl.coefficient)));
        }
        _ => {}
    }
    let (beta1, beta2) = ("method.config.optimization.adamw.beta1", "method.config.optimization.adamw.beta2");
    let betas = [(beta1, adamw.beta1), (beta2, adamw.beta2)];
    let refused = |(name, value): (&str, f64), expected: &str| {
        format!("`{name}` is {value}: expected a number {expected}")
    };
    let is_bad = |value: f64, is_in_range: bool| !(value.is_finite() && is_in_range);
    let low = above_0.into_iter().find(|(_, value)| is_bad(*value, *value > 0.0));
    let negative = from_0.into_iter().find(|(_, value)| is_bad(*value, *value >= 0.0));
    let beta = betas.into_iter().find(|(_, value)| is_bad(*value, (0.0..1.0).contains(value)));
    low.map(|found| refused(found, "above 0"))
        .or_else(|| negative.map(|found| refused(found, "from 0 up")))
        .or_else(|| beta.map(|found| refused(found, "from 0 to below 1")))
}

fn problem_of_a_count(settings: &FineTuneSettings) -> Option<String> {
    let mut counts = vec![
        ("n_epochs", settings.n_epochs),
        ("method.config.optimization.sequences_per_step", settings.optimization().sequences_per_step),
        ("task.max_test", settings.task.max_test),
        ("task.max_new_tokens", settings.task.max_new_tokens),
        ("base_kl.n_prompts", settings.base_kl.n_prompts),
        ("base_kl.n_samples", settings.base_kl.n_samples),
        ("base_kl.max_new_tokens", settings.base_kl.max_new_tokens),
        ("memory.micro_batch_tokens", settings.memory.micro_batch_tokens),
        ("memory.tile_mib", settings.memory.tile_mib),
        ("memory.generation_rows", settings.memory.generation_rows),
    ];
    counts.extend((settings.n_steps > 0).then_some(("n_steps", settings.n_steps))); // 0 asks for epochs
    counts.extend(counts_of_the_method(&settings.method));
    let (name, count) = counts.into_iter().find(|(_, count)| !(1..=MOST).contains(count))?;
    Some(format!("`{name}` is {count}: expected a whole number from 1 to {MOST}"))
}

fn problem_of_groups(method: &MethodSettings) -> Option<String> {
    let MethodSettings::PolicyGradient { config } = method else { return None };
    let n = config.optimization.sequences_per_step * config.n_minibatches;
    (!n.is_multiple_of(config.group_size)).then(|| {
        format!(
            "a step has {n} completions (method.config.optimization.sequences_per_step times method.config.n_minibatches), \
             which are not whole groups of {}: change one of them, or --group-size",
            config.group_size
        )
    })
}

/// Values of a preset that a method does not go by, or not here, must not be changed in vain.
fn problem_of_the_unused(method: &MethodSettings, n_epochs: usize) -> Option<String> {
    let (config, has_own_loss) = match method {
        MethodSettings::Sft { config, .. } | MethodSettings::RejectionSft { config, .. } => (config, false),
        MethodSettings::SelfDistillation { config, .. } | MethodSettings::Simpo { config, .. } => {
            (config, true)
        }
        MethodSettings::PolicyGradient { .. } => return None,
    };
    if config.n_epochs != n_epochs {
        return Some("`method.config.n_epochs` is the preset's: set `n_epochs` instead".to_owned());
    }
    if has_own_loss && config.reduction != Reduction::TokenMean {
        return Some("`method.config.reduction` is not used: the method has a loss of its own".to_owned());
    }
    (has_own_loss && config.loss != SftLoss::Nll)
        .then(|| "`method.config.loss` is not used: the method has a loss of its own".to_owned())
}

/// Counts of which there is at least one, by the name that `--set` knows them by.
fn counts_of_the_method(method: &MethodSettings) -> Vec<(&'static str, usize)> {
    match method {
        MethodSettings::Sft { config, replay, .. } => {
            let n_replayed = replay.as_ref().map_or(1, |replay| replay.n_per_batch);
            vec![
                ("method.config.max_tokens", config.max_tokens),
                (LOCAL_BATCH, local_batch(config.reduction)),
                ("method.replay.n_per_batch", n_replayed),
            ]
        }
        MethodSettings::SelfDistillation { max_completion_tokens, .. } => {
            vec![("method.max_completion_tokens", *max_completion_tokens)]
        }
        MethodSettings::RejectionSft { n_draws, max_completion_tokens, config, .. } => vec![
            ("method.n_draws", *n_draws),
            ("method.max_completion_tokens", *max_completion_tokens),
            ("method.config.max_tokens", config.max_tokens),
            (LOCAL_BATCH, local_batch(config.reduction)),
        ],
        MethodSettings::Simpo { n_draws, max_completion_tokens, .. } => {
            vec![("method.n_draws", *n_draws), ("method.max_completion_tokens", *max_completion_tokens)]
        }
        MethodSettings::PolicyGradient { config } => vec![
            ("method.config.group_size", config.group_size),
            ("method.config.n_minibatches", config.n_minibatches),
            ("method.config.n_iterations", config.n_iterations),
            ("method.config.max_completion_tokens", config.max_completion_tokens),
            (LOCAL_BATCH, local_batch(config.reduction)),
        ],
    }
}

const LOCAL_BATCH: &str = "method.config.reduction.local_token_mean.local_batch";

/// Sequences of a local batch, 1 where the loss knows none.
fn local_batch(reduction: Reduction) -> usize {
    match reduction {
        Reduction::LocalTokenMean { local_batch } => local_batch,
        Reduction::SequenceMean | Reduction::TokenMean | Reduction::ConstantLength => 1,
    }
}
