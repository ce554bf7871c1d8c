//! Everything that decides the numbers of a fine-tuning run.

use std::path::PathBuf;

use razor_models::LoraConfig;
use razor_trainers::language::loss::{PolicyGradientConfig, SftConfig, SimpoLoss};
use razor_trainers::language::run::Retention;
use razor_trainers::language::{BaseKlConfig, KlBudget, LearnerConfig, SftKl, TrainingConfig};
use serde::{Deserialize, Serialize};

/// A fine-tuning run. Two runs with equal settings on equal data give equal numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuneSettings {
    /// Seed of everything that is random.
    pub seed: u64,
    /// Folder or hub id of the base.
    pub model: String,
    /// Steps; 0 takes what the epochs of the method make.
    pub n_steps: usize,
    /// Epochs, where `n_steps` is 0.
    pub n_epochs: usize,
    /// The new task.
    pub task: TaskSettings,
    /// How it is learned.
    pub method: MethodSettings,
    /// Weights held near those of the base.
    pub anchor: Option<AnchorSettings>,
    /// An adapter instead of all weights.
    pub lora: Option<LoraSettings>,
    /// Steps between measurements.
    pub cadence: CadenceSettings,
    /// KL to the base on held-out prompts.
    pub base_kl: BaseKlConfig,
    /// A limit to that KL.
    pub kl_budget: Option<KlBudget>,
    /// How much is computed at a time; changes no gradient but for rounding.
    pub memory: MemorySettings,
    /// Checkpoints that stay.
    pub retention: Retention,
}

/// Which questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// A public task, or `user_file`.
    pub name: String,
    /// Part of its data; the default of the task if empty.
    pub subset: String,
    /// The user's own JSON lines.
    pub file: Option<PathBuf>,
    /// JSON lines with `id` and `completion`: an annotator's completions, in place of those of the data. Questions without one
    /// are left out, whatever the method.
    pub annotations: Option<PathBuf>,
    /// Whether the bare answer, in the format that the prompt asks for, is imitated where there is no completion.
    pub imitates_answers: bool,
    /// How prompts are written.
    pub prompt_style: PromptStyle,
    /// Training questions at most; 0 for all.
    pub max_train: usize,
    /// Held-out questions that the policy is evaluated on, at most.
    pub max_test: usize,
    /// Tokens after which a completion of the evaluation is cut.
    pub max_new_tokens: usize,
}

/// How the messages of a prompt become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// By the model's own chat template.
    Chat,
    /// Joined by blank lines; for models without a template.
    Plain,
}

/// A method with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name", deny_unknown_fields)]
pub enum MethodSettings {
    /// On the completions of the data.
    Sft {
        /// Loss and optimizer.
        config: SftConfig,
        /// A KL to the base in the loss.
        kl: Option<SftKl>,
        /// Examples of other tasks in every batch.
        replay: Option<ReplaySettings>,
    },
    /// On the base's own right completions.
    RejectionSft {
        /// Loss and optimizer.
        config: SftConfig,
        /// Completions drawn for each prompt.
        n_draws: usize,
        /// Tokens after which they are cut.
        max_completion_tokens: usize,
        /// Draw anew in every epoch instead of once.
        is_fresh: bool,
    },
    /// The policy's own completions, pulled towards the base that has seen the data's completion.
    SelfDistillation {
        /// Optimizer and batch, in prompts; its own loss is not used.
        config: SftConfig,
        /// Take KL(policy‖teacher) instead of KL(teacher‖policy).
        is_reverse: bool,
        /// Tokens after which a completion is cut.
        max_completion_tokens: usize,
    },
    /// The GRPO family.
    PolicyGradient {
        /// Loss, groups and optimizer.
        config: PolicyGradientConfig,
    },
    /// Preference pairs: the data's completion over a wrong one that the base draws.
    Simpo {
        /// The loss.
        loss: SimpoLoss,
        /// Optimizer and batch, in pairs; its own loss is not used.
        config: SftConfig,
        /// Completions drawn for each prompt to find a wrong one.
        n_draws: usize,
        /// Tokens after which they are cut.
        max_completion_tokens: usize,
    },
}

/// Examples of other tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaySettings {
    /// JSON lines with prompts and completions.
    pub file: PathBuf,
    /// How many of them every batch has in addition.
    pub n_per_batch: usize,
}

/// Weights held near those of the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorSettings {
    /// λ
    pub coefficient: f64,
    /// Weigh each by the Fisher information of the base on its own completions (EWC) instead of alike (L2-SP).
    pub fisher: Option<FisherSettings>,
}

/// What the Fisher information is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FisherSettings {
    /// JSON lines with prompts of old tasks.
    pub file: PathBuf,
    /// Prompts of them at most.
    pub n_prompts: usize,
    /// Tokens after which a completion is cut.
    pub max_new_tokens: usize,
}

/// An adapter; names as in PEFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraSettings {
    /// Rank.
    pub rank: usize,
    /// α.
    pub alpha: f64,
    /// Scaled by 1/√rank instead of 1/rank.
    pub use_rslora: bool,
    /// Projections that get one.
    pub targets: Vec<String>,
}

impl LoraSettings {
    /// As the models know it.
    pub fn config(&self) -> LoraConfig {
        let Self { rank, alpha, use_rslora, targets } = self.clone();
        LoraConfig { rank, alpha, use_rslora, targets }
    }
}

/// Steps between things that happen now and then; 0 for the end alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named after what happens")]
pub struct CadenceSettings {
    pub evaluate_every: usize,
    pub checkpoint_every: usize,
    pub show_every: usize,
}

/// How much is computed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySettings {
    /// Tokens of one pass through the network in training and scoring.
    pub micro_batch_tokens: usize,
    /// Keep only the stream between layers.
    pub recompute: bool,
    /// MiB for tiles of logits.
    pub tile_mib: usize,
    /// Completions drawn at a time.
    pub generation_rows: usize,
}

impl FineTuneSettings {
    /// Learning rate, clipping and optimizer of the method.
    pub fn optimization(&self) -> razor_trainers::language::loss::Optimization {
        match &self.method {
            MethodSettings::Sft { config, .. }
            | MethodSettings::RejectionSft { config, .. }
            | MethodSettings::SelfDistillation { config, .. }
            | MethodSettings::Simpo { config, .. } => config.optimization,
            MethodSettings::PolicyGradient { config } => config.optimization,
        }
    }

    /// How the policy is updated.
    pub fn learner(&self) -> LearnerConfig {
        let optimization = self.optimization();
        LearnerConfig {
            adamw: optimization.adamw,
            max_grad_norm: optimization.max_grad_norm,
            micro_batch_tokens: self.memory.micro_batch_tokens,
            recompute: self.memory.recompute,
            tile_mib: self.memory.tile_mib,
        }
    }

    /// Steps and cadences, for a method whose epoch has this many steps.
    pub fn training(&self, steps_per_epoch: usize) -> TrainingConfig {
        let optimization = self.optimization();
        TrainingConfig {
            n_steps: if self.n_steps > 0 { self.n_steps } else { self.n_epochs.max(1) * steps_per_epoch },
            learning_rate: optimization.learning_rate,
            schedule: optimization.schedule,
            n_warmup: optimization.n_warmup,
            evaluate_every: self.cadence.evaluate_every,
            measure_every: self.base_kl.every,
            checkpoint_every: self.cadence.checkpoint_every,
            show_every: self.cadence.show_every,
            kl_budget: self.kl_budget,
        }
    }
}
