//! What an LLM study is made of. Presets spell out every field; there is no `Default`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use razor_core::load_config;
use razor_data::TaskId;
use razor_trainers::Schedule;
use serde::{Deserialize, Serialize};

use crate::error::ExperimentError;
use crate::llm::fine_tune::{MemorySettings, PromptStyle};
use crate::llm::study::method::StudyMethod;

/// A whole study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmConfig {
    /// What is fine-tuned.
    pub base: BaseConfig,
    /// The new tasks; each is a study of its own.
    pub tasks: Vec<NewTaskConfig>,
    /// What must not be forgotten.
    pub prior: PriorConfig,
    /// What all runs share.
    pub training: TrainingNumbers,
    /// The runs.
    pub sweeps: Vec<SweepConfig>,
    /// The tasks one after another; no methods, no such runs.
    pub sequence: SequenceConfig,
    /// How a policy is measured.
    pub measure: MeasureConfig,
    /// How much is computed at a time.
    pub memory: MemorySettings,
}

/// The base policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseConfig {
    /// `embedded`, or the folder or hub id of a model.
    pub model: String,
    /// How prompts are written.
    pub prompt_style: PromptStyle,
    /// Bases that differ in the seed of their pre-training; more than 1 only where they are embedded, and all but the first
    /// are pre-trained here.
    pub n_bases: u64,
}

/// One new task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTaskConfig {
    /// What the study calls it.
    pub name: String,
    /// The set of questions.
    pub source: String,
    /// Part of it; the default of the set if empty.
    pub subset: String,
    /// JSON lines with `id` and `completion`: an annotator's completions for questions of the set, in place of its own; empty
    /// for those of the set.
    pub annotations: PathBuf,
    /// Whether the bare answer is imitated where a question has no completion; else methods that imitate are refused.
    pub imitates_answers: bool,
    /// Questions to train on at most; 0 for all.
    pub max_train: usize,
    /// Held-out questions at most.
    pub max_test: usize,
    /// Tokens after which a completion is cut.
    pub max_new_tokens: usize,
}

/// The prior tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// `embedded` for the skills of the embedded base, or names of benchmarks.
    pub benchmarks: Vec<String>,
    /// Documents of each at most.
    pub max_documents: usize,
}

/// Numbers that are the same in every run, by the methods that have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingNumbers {
    /// Steps of linear warm-up.
    pub n_warmup: usize,
    /// Completions per prompt (G).
    pub group_size: usize,
    /// Completions of each prompt among which own right ones, or wrong ones, are looked for.
    pub n_draws: usize,
    /// Weight of the KL in GRPO + KL and SFT + KL.
    pub kl_coefficient: f64,
    /// Weight of the squared distance in SFT + L2-SP.
    pub l2sp_coefficient: f64,
    /// Rank of adapters.
    pub lora_rank: usize,
    /// α of adapters.
    pub lora_alpha: f64,
    /// An adapter's learning rate is the setting's times this.
    pub lora_rate_factor: f64,
}

/// Every combination of these is a run; one that several sweeps ask for is trained once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// What it is for: `main` is compared and fitted, other names are shown by themselves.
    pub arm: String,
    /// New tasks.
    pub tasks: Vec<String>,
    /// Methods.
    pub methods: Vec<StudyMethod>,
    /// Peak learning rates.
    pub learning_rates: Vec<f64>,
    /// AdamW's epsilon.
    pub epsilons: Vec<f64>,
    /// Learning-rate schedules.
    pub schedules: Vec<Schedule>,
    /// Sequences per optimizer step.
    pub batch_sizes: Vec<usize>,
    /// Passes over the questions; not used where there are `n_steps`.
    pub n_epochs: Vec<usize>,
    /// Steps; 0 for as many as the epochs make.
    pub n_steps: usize,
    /// Times that a batch of completions is gone through (μ); of policy gradients alone.
    pub n_iterations: Vec<usize>,
    /// Repetitions with other draws, and other bases where there are more.
    pub n_seeds: u64,
}

/// The tasks one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Methods, each a sequence of its own.
    pub methods: Vec<StudyMethod>,
    /// Peak learning rate of every stage.
    pub learning_rate: f64,
    /// AdamW's epsilon of every stage.
    pub epsilon: f64,
    /// Sequences per step of supervised methods and of policy gradients.
    pub batch_sizes: [usize; 2],
    /// Steps of a stage of supervised methods and of policy gradients.
    pub n_steps: [usize; 2],
}

/// How a policy is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// Measurements of a run, evenly spaced, the last at its end.
    pub n_checkpoints: usize,
    /// Whether a run can go on from its last measurement after it was stopped; else it starts afresh.
    pub keeps_checkpoints: bool,
    /// Whether the last policy of every run stays in its folder.
    pub keeps_models: bool,
    /// Completions of each held-out question at temperature 1.
    pub n_samples: usize,
    /// The largest k of pass@k, for the base and the end of every run; 0 for none.
    pub pass_k: usize,
    /// Held-out questions of pass@k.
    pub pass_questions: usize,
    /// Prompts of each KL to the base.
    pub n_kl_prompts: usize,
    /// Tokens after which a completion on prior or random prompts is cut.
    pub max_kl_tokens: usize,
    /// Right completions on which the base's new-task gradient is taken; 0 for none.
    pub n_gradient_completions: usize,
    /// Prior prompts on which representations are compared.
    pub n_representation_prompts: usize,
    /// Neighbours of CKNNA.
    pub n_neighbors: usize,
    /// Resamples of every bootstrap.
    pub n_resamples: usize,
}

/// The name of the embedded base and of its skills.
pub(crate) const EMBEDDED: &str = "embedded";

/// The names of the presets, quickest first.
pub const LLM_PRESETS: [&str; 5] = ["smoke", "tiny", "tiny-full", "small", "paper"];

impl LlmConfig {
    /// The preset `name`, changed by `assignments` (`table.key=value`) and checked.
    ///
    /// # Errors
    /// For an unknown preset, a bad assignment, and values that no study can be made of, by field.
    pub fn preset(name: &str, assignments: &[String]) -> anyhow::Result<Self> {
        let text = match name {
            "smoke" => include_str!("../../../presets/llm/smoke.toml"),
            "tiny" => include_str!("../../../presets/llm/tiny.toml"),
            "tiny-full" => include_str!("../../../presets/llm/tiny-full.toml"),
            "small" => include_str!("../../../presets/llm/small.toml"),
            "paper" => include_str!("../../../presets/llm/paper.toml"),
            _ => return Err(ExperimentError::unknown_preset("llm", name, &LLM_PRESETS).into()),
        };
        let path = format!("presets/llm/{name}.toml");
        let config: Self = load_config(text, Path::new(&path), assignments)?;
        config.check()?;
        Ok(config)
    }

    /// Whether the base is the embedded one.
    pub fn is_embedded(&self) -> bool {
        self.base.model == EMBEDDED
    }

    /// The task of that name.
    pub(crate) fn task(&self, name: &str) -> anyhow::Result<&NewTaskConfig> {
        self.tasks
            .iter()
            .find(|task| task.name == name)
            .with_context(|| format!("no task of the study is called `{name}`"))
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.base.n_bases >= 1, "`base.n_bases` is 0: expected 1 or more");
        ensure!(
            self.base.n_bases == 1 || self.is_embedded(),
            "`base.n_bases` is {}: only the embedded base can be pre-trained again",
            self.base.n_bases
        );
        self.check_tasks()?;
        self.check_sweeps()?;
        self.check_numbers()
    }

    fn check_tasks(&self) -> anyhow::Result<()> {
        ensure!(!self.tasks.is_empty(), "`tasks` is empty: expected one new task or more");
        let mut names = BTreeSet::new();
        for task in &self.tasks {
            ensure!(names.insert(&task.name), "`tasks` has `{}` twice", task.name);
            let is_plain = task.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            ensure!(
                !task.name.is_empty() && is_plain,
                "`tasks.name` is `{}`: expected letters, digits and _, as it names folders",
                task.name
            );
            task.source.parse::<TaskId>().with_context(|| format!("`tasks.source` of `{}`", task.name))?;
            at_least("tasks.max_test", task.max_test, 2)?;
            at_least("tasks.max_new_tokens", task.max_new_tokens, 1)?;
        }
        ensure!(!self.prior.benchmarks.is_empty(), "`prior.benchmarks` is empty: expected a benchmark");
        let has_skills = self.prior.benchmarks.iter().any(|name| name == EMBEDDED);
        ensure!(
            !has_skills || self.prior.benchmarks.len() == 1,
            "`prior.benchmarks` has `{EMBEDDED}` beside others: its skills are a suite of their own"
        );
        at_least("prior.max_documents", self.prior.max_documents, 2)
    }

    fn check_sweeps(&self) -> anyhow::Result<()> {
        ensure!(
            self.sweeps.iter().any(|sweep| sweep.arm == MAIN_ARM),
            "`sweeps` has no arm `{MAIN_ARM}`, which is what methods are compared by"
        );
        for sweep in &self.sweeps {
            for task in &sweep.tasks {
                self.task(task).context("`sweeps.tasks`")?;
            }
            let lengths = [
                ("sweeps.tasks", sweep.tasks.len()),
                ("sweeps.methods", sweep.methods.len()),
                ("sweeps.learning_rates", sweep.learning_rates.len()),
                ("sweeps.epsilons", sweep.epsilons.len()),
                ("sweeps.schedules", sweep.schedules.len()),
                ("sweeps.batch_sizes", sweep.batch_sizes.len()),
                ("sweeps.n_epochs", sweep.n_epochs.len()),
                ("sweeps.n_iterations", sweep.n_iterations.len()),
                ("sweeps.n_seeds", sweep.n_seeds as usize),
            ];
            for (field, length) in lengths {
                at_least(field, length, 1)?;
            }
            for &count in sweep.batch_sizes.iter().chain(&sweep.n_epochs).chain(&sweep.n_iterations) {
                at_least("sweeps.batch_sizes, n_epochs and n_iterations", count, 1)?;
            }
            sweep.learning_rates.iter().try_for_each(|&rate| positive("sweeps.learning_rates", rate))?;
            sweep.epsilons.iter().try_for_each(|&epsilon| positive("sweeps.epsilons", epsilon))?;
            let takes_groups = sweep.methods.iter().any(|method| method.is_policy_gradient());
            if let Some(size) = sweep
                .batch_sizes
                .iter()
                .find(|size| takes_groups && !size.is_multiple_of(self.training.group_size.max(1)))
            {
                bail!(
                    "`sweeps.batch_sizes` has {size}: policy gradients need whole groups of {}",
                    self.training.group_size
                );
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> anyhow::Result<()> {
        let TrainingNumbers { group_size, n_draws, lora_rank, .. } = self.training;
        at_least("training.group_size", group_size, 2)?;
        at_least("training.n_draws", n_draws, 1)?;
        at_least("training.lora_rank", lora_rank, 1)?;
        positive("training.kl_coefficient", self.training.kl_coefficient)?;
        positive("training.l2sp_coefficient", self.training.l2sp_coefficient)?;
        positive("training.lora_alpha", self.training.lora_alpha)?;
        positive("training.lora_rate_factor", self.training.lora_rate_factor)?;
        positive("sequence.learning_rate", self.sequence.learning_rate)?;
        positive("sequence.epsilon", self.sequence.epsilon)?;
        let [of_supervised, of_groups] = self.sequence.batch_sizes;
        at_least("sequence.batch_sizes", of_supervised.min(of_groups), 1)?;
        ensure!(
            of_groups.is_multiple_of(group_size),
            "`sequence.batch_sizes` has {of_groups}: policy gradients need whole groups of {group_size}"
        );
        let measure = &self.measure;
        at_least("measure.n_checkpoints", measure.n_checkpoints, 1)?;
        at_least("measure.n_samples", measure.n_samples, 1)?;
        at_least("measure.n_kl_prompts", measure.n_kl_prompts, 2)?;
        at_least("measure.max_kl_tokens", measure.max_kl_tokens, 1)?;
        at_least("measure.n_neighbors", measure.n_neighbors, 1)?;
        at_least(
            "measure.n_representation_prompts",
            measure.n_representation_prompts,
            measure.n_neighbors + 2,
        )?;
        at_least("measure.n_resamples", measure.n_resamples, 100)
    }
}

/// The arm that methods are compared by and the law is fitted on.
pub(crate) const MAIN_ARM: &str = "main";

fn at_least(field: &str, found: usize, least: usize) -> anyhow::Result<()> {
    ensure!(found >= least, "`{field}` is {found}: expected at least {least}");
    Ok(())
}

fn positive(field: &str, found: f64) -> anyhow::Result<()> {
    ensure!(found > 0.0 && found.is_finite(), "`{field}` is {found}: expected a number above 0");
    Ok(())
}
