//! A fine-tuning run from its settings to its folder.

use std::path::PathBuf;

use anyhow::{Context, bail};
use razor_core::Seed;
use razor_data::{Sources, TaskExample, TokenExample};
use razor_envs::Judge;
use razor_metrics::{draw_completions, sequence_fisher};
use razor_models::{
    Completion, Decoder, GenerationLimits, GenerationRequest, Sampling, ScoreLimits, ScoreRequest, generate,
};
use razor_tensor::TileBudget;
use razor_trainers::language::run::Checkpoints;
use razor_trainers::language::{
    BaseKl, ChosenSamples, DemonstratedPrompt, Evaluating, Evaluation, EvaluationKind, FreshSamplesMethod,
    Learner, Method, ModelExport, PolicyGradientMethod, PreferencePair, RolloutLimits,
    SelfDistillationMethod, SftMethod, SimpoMethod, TrainError, Training, TrainingResult, Wanted, Watching,
    WeightAnchor, choose_samples, score,
};
use serde::Serialize;

use crate::llm::fine_tune::memory::{ExpectedMemory, Sizes, n_adapter};
use crate::llm::fine_tune::run_target::RunTarget;
use crate::llm::fine_tune::settings::{AnchorSettings, FineTuneSettings, MethodSettings};
use crate::llm::fine_tune::task_text::{ModelText, TaskQuestions, completion_of};
use crate::llm::fine_tune::time::{ExpectedTime, Speed};

/// A base that was read.
#[derive(Debug)]
pub struct BaseModel {
    /// Where its files are.
    pub folder: PathBuf,
    /// The network.
    pub decoder: Decoder,
    /// Its text.
    pub text: ModelText,
    /// Tokens that end a completion.
    pub stop_tokens: Vec<u32>,
}

/// Everything that a run is made of, ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// The settings.
    pub settings: FineTuneSettings,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// What is known about the data, a line each.
    pub notes: Vec<String>,
    data: MethodData,
    evaluation: EvaluationData,
    /// Held-out prompts for the KL to the base.
    kl_prompts: Vec<Vec<u32>>,
}

/// The base's completions hold nothing that a method could learn from.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NothingToLearn(String);

/// The option that cuts the completions of every method.
const MAX_NEW_TOKENS: &str = "--max-new-tokens";

/// What a method trains on.
#[derive(Debug)]
enum MethodData {
    Examples { examples: Vec<TokenExample>, replay: Vec<TokenExample> },
    Prompts { prompts: Vec<Vec<u32>>, judges: Vec<Judge> },
    Pairs(Vec<PreferencePair>),
    Demonstrated(Vec<DemonstratedPrompt>),
}

/// What a policy is evaluated on.
#[derive(Debug)]
enum EvaluationData {
    Judged { prompts: Vec<Vec<u32>>, judges: Vec<Judge> },
    Targets(Vec<TokenExample>),
}

impl Prepared {
    /// Loads the task and makes of it what the method needs. `on_drawn(n_done, n)` hears of the prompts that the base has
    /// answered, where the method needs its answers.
    ///
    /// # Errors
    /// When the data is missing, damaged, empty, or cannot be trained on; each message names the example or field.
    pub fn new(
        settings: FineTuneSettings,
        base: &BaseModel,
        sources: &Sources,
        on_drawn: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Self> {
        let questions = TaskQuestions::load(&settings.task, sources)?;
        let mut notes = vec![format!(
            "{} questions to train on, {} held out (split by a hash of the question)",
            questions.train.len(),
            questions.test.len()
        )];
        let style = settings.task.prompt_style;
        let data = method_data(&settings, base, &questions.train, &mut notes, on_drawn)?;
        let (held_out, of) = base.text.prompts(
            &questions.test,
            style,
            settings.task.max_new_tokens,
            "task.max_new_tokens (--set)",
        )?;
        let evaluation = if of.iter().all(|question| question.answer.is_some()) {
            EvaluationData::Judged { prompts: held_out, judges: base.text.judges(&of)? }
        } else {
            let (targets, _) = base.text.examples(&questions.test, style, base.text.context_len)?;
            if targets.is_empty() {
                bail!(
                    "every held-out question with its completion is longer than the context of {} tokens: add shorter ones",
                    base.text.context_len
                );
            }
            notes.push(
                "held-out questions have no answers to check: the score is minus the held-out loss"
                    .to_owned(),
            );
            EvaluationData::Targets(targets)
        };
        let (mut kl_prompts, _) = base.text.prompts(
            &questions.test,
            style,
            settings.base_kl.max_new_tokens,
            "base_kl.max_new_tokens (--set)",
        )?;
        kl_prompts.truncate(settings.base_kl.n_prompts.max(1));
        let steps_per_epoch = steps_per_epoch(&settings, &data);
        Ok(Self { settings, steps_per_epoch, notes, data, evaluation, kl_prompts })
    }

    /// Steps that the run has.
    pub fn n_steps(&self) -> usize {
        self.settings.training(self.steps_per_epoch).n_steps
    }

    /// How long the run will take, from a few tokens of training and sampling here and now.
    ///
    /// # Errors
    /// As of generation.
    pub fn expected_time(&self, base: &BaseModel) -> anyhow::Result<ExpectedTime> {
        let mean = |lengths: &mut dyn Iterator<Item = usize>| {
            let (sum, n) = lengths.fold((0, 0_usize), |(sum, n), length| (sum + length, n + 1));
            sum as f64 / n.max(1) as f64
        };
        let n_tokens = match &self.data {
            MethodData::Examples { examples, .. } => {
                mean(&mut examples.iter().map(|example| example.ids.len()))
            }
            MethodData::Prompts { prompts, .. } => mean(&mut prompts.iter().map(Vec::len)),
            MethodData::Pairs(pairs) => mean(&mut pairs.iter().map(|pair| pair.chosen.ids.len())),
            MethodData::Demonstrated(prompts) => mean(&mut prompts.iter().map(|prompt| prompt.prompt.len())),
        };
        let n_test = match &self.evaluation {
            EvaluationData::Judged { prompts, .. } => prompts.len(),
            EvaluationData::Targets(targets) => targets.len(),
        };
        let speed = Speed::measure(&base.decoder, &self.settings)?;
        Ok(speed.of_run(&self.settings, self.n_steps(), n_tokens, n_test, self.kl_prompts.len()))
    }

    /// How much memory the run will take, with every completion at its longest. Before anything is measured or drawn, so that
    /// what is resident is what the run starts from.
    pub fn expected_memory(&self, base: &BaseModel) -> ExpectedMemory {
        ExpectedMemory::new(base.decoder.config(), &self.settings, self.sizes(base))
    }

    /// Numbers of the policy that are trained.
    pub fn n_trained(&self, base: &BaseModel) -> usize {
        let config = base.decoder.config();
        self.settings.lora.as_ref().map_or(config.n_parameters(), |lora| n_adapter(config, lora))
    }

    fn sizes(&self, base: &BaseModel) -> Sizes {
        let settings = &self.settings;
        let longest = |prompts: &[Vec<u32>]| prompts.iter().map(Vec::len).max().unwrap_or(0);
        let n_completion = match &settings.method {
            MethodSettings::PolicyGradient { config } => config.max_completion_tokens,
            MethodSettings::RejectionSft { max_completion_tokens, .. }
            | MethodSettings::SelfDistillation { max_completion_tokens, .. }
            | MethodSettings::Simpo { max_completion_tokens, .. } => *max_completion_tokens,
            MethodSettings::Sft { .. } => 0,
        };
        let per_step = settings.optimization().sequences_per_step;
        // Lengths of the sequences that are trained on, and completions that the method draws for a step.
        let (mut lengths, n_drawn, group_size, prompt_len): (Vec<usize>, _, _, _) = match &self.data {
            MethodData::Examples { examples, replay } => {
                (examples.iter().chain(replay).map(|example| example.ids.len()).collect(), 0, 1, 0)
            }
            MethodData::Prompts { prompts, .. } => {
                let (n_drawn, group_size) = match &settings.method {
                    MethodSettings::PolicyGradient { config } => {
                        (per_step * config.n_minibatches, config.group_size)
                    }
                    MethodSettings::RejectionSft { n_draws, .. } => (per_step * n_draws, *n_draws),
                    _ => (per_step, 1),
                };
                let lengths = vec![longest(prompts) + n_completion; per_step];
                (lengths, n_drawn, group_size, longest(prompts))
            }
            MethodData::Pairs(pairs) => {
                let both = pairs.iter().map(|pair| pair.chosen.ids.len() + pair.rejected.ids.len());
                (both.collect(), 0, 1, 0)
            }
            MethodData::Demonstrated(prompts) => {
                let longest = prompts.iter().map(|prompt| prompt.with_demonstration.len()).max().unwrap_or(0);
                (vec![longest + n_completion; per_step], per_step, 1, longest)
            }
        };
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let n_replayed = match &settings.method {
            MethodSettings::Sft { replay: Some(replay), .. } => replay.n_per_batch,
            _ => 0,
        };
        let batch: usize = lengths.iter().take(per_step + n_replayed).sum();
        let largest = settings.memory.micro_batch_tokens.max(lengths.first().copied().unwrap_or(0));
        let held_out = match &self.evaluation {
            EvaluationData::Judged { prompts, .. } => prompts.as_slice(),
            EvaluationData::Targets(_) => &[],
        };
        let n_of_kl = self.kl_prompts.len() * settings.base_kl.n_samples;
        let rows = settings.memory.generation_rows;
        let n_drawn = n_drawn.max(held_out.len()).max(n_of_kl).min(rows);
        let row_of_kl = longest(&self.kl_prompts) + settings.base_kl.max_new_tokens;
        Sizes {
            bytes_per_weight: base.decoder.head().dtype().size(),
            n_tokens: batch.min(largest),
            n_drawn,
            n_prompts: (n_drawn / group_size.max(1))
                .max(held_out.len().min(rows))
                .max(self.kl_prompts.len().min(rows)),
            prompt_len: prompt_len.max(longest(held_out)).max(longest(&self.kl_prompts)),
            n_new: n_completion.max(settings.task.max_new_tokens).max(settings.base_kl.max_new_tokens),
            n_measured: (n_of_kl * row_of_kl).min(settings.memory.micro_batch_tokens.max(row_of_kl)),
            reads_base: match &settings.method {
                MethodSettings::Sft { kl, .. } => kl.is_some(),
                MethodSettings::PolicyGradient { config } => config.loss.kl.is_some(),
                MethodSettings::SelfDistillation { .. } => true,
                MethodSettings::RejectionSft { .. } | MethodSettings::Simpo { .. } => false,
            },
        }
    }

    /// Rows that the method trains on, where it has some before it starts.
    pub fn examples(&self) -> Option<&[TokenExample]> {
        match &self.data {
            MethodData::Examples { examples, .. } => Some(examples),
            MethodData::Prompts { .. } | MethodData::Pairs(_) | MethodData::Demonstrated(_) => None,
        }
    }

    /// Runs to the end, or goes on where the run in the folder of `target` stopped; `target` is of the same settings.
    /// Policies are evaluated on the task's held-out questions.
    ///
    /// # Errors
    /// As of [`Training::run`], and when the folder cannot be written.
    pub fn run(
        &self,
        base: &BaseModel,
        target: &RunTarget,
        environment: &impl Serialize,
        watch: &mut Watching<'_>,
    ) -> anyhow::Result<TrainingResult> {
        let scoring = self.scoring();
        let mut evaluate =
            |policy: &Decoder, _: u64| self.evaluation.score(policy, base, &self.settings, scoring);
        self.run_evaluated_by(&mut evaluate, base, target, environment, watch)
    }

    fn scoring(&self) -> ScoreLimits {
        let memory = &self.settings.memory;
        let tiles = TileBudget { bytes: memory.tile_mib << 20 };
        ScoreLimits { batch_tokens: memory.micro_batch_tokens, tiles }
    }

    /// As [`run`](Self::run), with an evaluation of the caller's.
    ///
    /// # Errors
    /// As of [`run`](Self::run), and of `evaluate`.
    pub fn run_evaluated_by(
        &self,
        evaluate: &mut Evaluating<'_>,
        base: &BaseModel,
        target: &RunTarget,
        environment: &impl Serialize,
        watch: &mut Watching<'_>,
    ) -> anyhow::Result<TrainingResult> {
        let settings = &self.settings;
        let seed = Seed::new(settings.seed);
        let scoring = self.scoring();
        let lora = settings.lora.as_ref().map(super::settings::LoraSettings::config);
        let policy = match &lora {
            Some(config) => match config.problem() {
                Some(problem) => bail!(problem),
                None => base.decoder.clone().with_lora(config, seed.derive("adapter", 0)),
            },
            None => base.decoder.clone(),
        };
        let generation = |max_new_tokens: usize| GenerationLimits {
            max_new_tokens,
            stop_tokens: base.stop_tokens.clone(),
            max_rows: settings.memory.generation_rows,
        };
        let judges_of = match &self.data {
            MethodData::Prompts { judges, .. } => judges.as_slice(),
            _ => &[],
        };
        let mut rewarding = |idx: usize, tokens: &[u32]| base.text.judged(&judges_of[idx], tokens);
        let method_seed = seed.derive("method", 0);
        let mut method: Box<dyn Method + '_> = match (&settings.method, &self.data) {
            (MethodSettings::PolicyGradient { config }, MethodData::Prompts { prompts, .. }) => {
                Box::new(PolicyGradientMethod::new(
                    prompts,
                    &mut rewarding,
                    *config,
                    &base.stop_tokens,
                    settings.memory.generation_rows,
                    &base.decoder,
                    method_seed,
                )?)
            }
            (MethodSettings::Simpo { loss, config, .. }, MethodData::Pairs(pairs)) => {
                let n_pairs = config.optimization.sequences_per_step;
                Box::new(SimpoMethod::new(pairs, n_pairs, *loss, method_seed)?)
            }
            (
                MethodSettings::Sft { config, .. } | MethodSettings::RejectionSft { config, .. },
                MethodData::Examples { examples, replay },
            ) => {
                let mut method = SftMethod::new(examples, config, method_seed)?;
                if let MethodSettings::Sft { kl: Some(kl), .. } = &settings.method {
                    method = method.with_kl(*kl, &base.decoder);
                }
                if let MethodSettings::Sft { replay: Some(of), .. } = &settings.method {
                    method = method.with_replay(replay, of.n_per_batch, method_seed)?;
                }
                Box::new(method)
            }
            (
                MethodSettings::SelfDistillation { config, is_reverse, max_completion_tokens },
                MethodData::Demonstrated(demonstrated),
            ) => Box::new(SelfDistillationMethod::new(
                demonstrated,
                &base.decoder,
                *is_reverse,
                &config.optimization,
                generation(*max_completion_tokens),
                method_seed,
            )?),
            (
                MethodSettings::RejectionSft { config, n_draws, max_completion_tokens, .. },
                MethodData::Prompts { prompts, .. },
            ) => {
                let limits = RolloutLimits {
                    group_size: *n_draws,
                    temperature: 1.0,
                    generation: generation(*max_completion_tokens),
                };
                Box::new(FreshSamplesMethod::new(
                    prompts,
                    &mut rewarding,
                    &base.decoder,
                    limits,
                    config,
                    method_seed,
                )?)
            }
            _ => unreachable!("data was made for the method"),
        };
        let mut learner = Learner::new(policy, settings.learner());
        if let Some(anchor) = &settings.anchor {
            learner = learner.with_anchor(self.anchor(anchor, base, scoring.tiles)?);
        }
        let folder = target.open(environment)?; // after everything that refuses settings, so that these leave none
        let base_kl = BaseKl::new(
            &base.decoder,
            self.kl_prompts.clone(),
            &base.stop_tokens,
            settings.memory.generation_rows,
            scoring,
            settings.base_kl,
            seed.derive("base-kl", 0),
        )?;
        let training = Training {
            learner,
            method: &mut *method,
            base_kl: Some(&base_kl),
            evaluate,
            config: settings.training(self.steps_per_epoch),
            checkpoints: target.keeps_weights.then(|| Checkpoints::new(&folder, settings.retention)),
            export: ModelExport { base_folder: base.folder.clone(), base_name: settings.model.clone(), lora },
            watch,
        };
        Ok(training.run(folder)?)
    }
}

impl Prepared {
    /// What holds the weights near those of the base.
    fn anchor(
        &self,
        settings: &AnchorSettings,
        base: &BaseModel,
        tiles: TileBudget,
    ) -> anyhow::Result<WeightAnchor> {
        let Some(fisher) = &settings.fisher else {
            return Ok(WeightAnchor::new(&base.decoder, settings.coefficient, None));
        };
        let old = razor_data::load_user_task(&fisher.file)?;
        let style = self.settings.task.prompt_style;
        let (mut prompts, _) = base.text.prompts(
            &old.examples,
            style,
            fisher.max_new_tokens,
            "anchor.fisher.max_new_tokens (--set)",
        )?;
        prompts.truncate(fisher.n_prompts.max(1));
        let limits = GenerationLimits {
            max_new_tokens: fisher.max_new_tokens,
            stop_tokens: base.stop_tokens.clone(),
            max_rows: self.settings.memory.generation_rows,
        };
        let seed = Seed::new(self.settings.seed).derive("fisher", 0);
        let drawn = draw_completions(&base.decoder, &prompts, 1, &limits, seed, &mut || {})?;
        let requests: Vec<ScoreRequest> = drawn.into_iter().map(|drawn| drawn.request).collect();
        let fisher = sequence_fisher(&base.decoder, &requests, tiles, &mut |_| {})?;
        Ok(WeightAnchor::new(&base.decoder, settings.coefficient, Some(fisher)))
    }
}

fn steps_per_epoch(settings: &FineTuneSettings, data: &MethodData) -> usize {
    let per_step = settings.optimization().sequences_per_step.max(1);
    match (data, &settings.method) {
        (MethodData::Prompts { prompts, .. }, MethodSettings::PolicyGradient { config }) => {
            let n_prompts = per_step * config.n_minibatches / config.group_size.max(1);
            prompts.len().div_ceil(n_prompts.max(1))
        }
        (MethodData::Examples { examples, .. }, _) => examples.len().div_ceil(per_step),
        (MethodData::Prompts { prompts, .. }, _) => prompts.len().div_ceil(per_step),
        (MethodData::Pairs(pairs), _) => pairs.len().div_ceil(per_step),
        (MethodData::Demonstrated(prompts), _) => prompts.len().div_ceil(per_step),
    }
}

fn method_data(
    settings: &FineTuneSettings,
    base: &BaseModel,
    train: &[TaskExample],
    notes: &mut Vec<String>,
    on_drawn: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<MethodData> {
    let style = settings.task.prompt_style;
    match &settings.method {
        MethodSettings::Sft { config, replay, .. } => {
            let (examples, counts) = base.text.examples(train, style, config.max_tokens)?;
            if examples.is_empty() {
                bail!(
                    "every row is longer than {} tokens, so none is left to train on: raise \
                     `method.config.max_tokens` (--set) as far as the model's {} positions allow, or give shorter rows",
                    config.max_tokens.min(base.text.context_len),
                    base.text.context_len
                );
            }
            notes.push(counted(&counts));
            let replay = match replay {
                Some(replay) => {
                    let data = razor_data::load_user_task(&replay.file)?;
                    let (examples, counts) = base.text.examples(&data.examples, style, config.max_tokens)?;
                    if examples.is_empty() {
                        bail!("{}: every row is too long, so none is left to replay", replay.file.display());
                    }
                    notes.push(format!("replayed: {}", counted(&counts)));
                    examples
                }
                None => Vec::new(),
            };
            Ok(MethodData::Examples { examples, replay })
        }
        MethodSettings::PolicyGradient { config } => {
            let (prompts, of) =
                base.text.prompts(train, style, config.max_completion_tokens, MAX_NEW_TOKENS)?;
            if prompts.len() < train.len() {
                notes.push(format!("{} prompts are too long and left out", train.len() - prompts.len()));
            }
            let judges = base.text.judges(&of)?;
            Ok(MethodData::Prompts { prompts, judges })
        }
        MethodSettings::RejectionSft { is_fresh: true, max_completion_tokens, .. } => {
            let (prompts, of) = base.text.prompts(train, style, *max_completion_tokens, MAX_NEW_TOKENS)?;
            let judges = base.text.judges(&of)?;
            Ok(MethodData::Prompts { prompts, judges })
        }
        MethodSettings::SelfDistillation { max_completion_tokens, .. } => {
            let mut demonstrated = Vec::with_capacity(train.len());
            for question in train {
                let prompt = base.text.prompt(question, style)?;
                let with_demonstration = base.text.prompt(&with_demonstration(question)?, style)?;
                if with_demonstration.len() + max_completion_tokens <= base.text.context_len {
                    demonstrated.push(DemonstratedPrompt { prompt, with_demonstration });
                }
            }
            notes.push(format!(
                "{} of {} prompts leave room for a demonstration",
                demonstrated.len(),
                train.len()
            ));
            if demonstrated.is_empty() {
                bail!(
                    "no prompt with its demonstration leaves room for {max_completion_tokens} new tokens in a context of {}: \
                     lower --max-new-tokens, or give shorter rows",
                    base.text.context_len
                );
            }
            Ok(MethodData::Demonstrated(demonstrated))
        }
        MethodSettings::RejectionSft { n_draws, max_completion_tokens, .. } => {
            let drawn =
                draw(settings, base, train, (*n_draws, *max_completion_tokens), Wanted::Right, on_drawn)?;
            let n_prompts = drawn.examples.len();
            let examples: Vec<TokenExample> = drawn.examples.into_iter().flatten().collect();
            notes.push(format!(
                "{} of {n_prompts} prompts have a right completion of the base among {n_draws} draws; {:.1} % of all draws \
                 are right",
                examples.len(),
                100.0 * drawn.share
            ));
            if examples.is_empty() {
                bail!(NothingToLearn(format!(
                    "the base answers no question rightly in {n_draws} draws, so there is nothing to imitate: raise --draws, \
                     or --max-new-tokens where completions are cut off, or take an easier task or another method"
                )));
            }
            Ok(MethodData::Examples { examples, replay: Vec::new() })
        }
        MethodSettings::Simpo { n_draws, max_completion_tokens, config, .. } => {
            for question in train {
                completion_of(question)?; // drawing takes long, and would be in vain
            }
            let drawn =
                draw(settings, base, train, (*n_draws, *max_completion_tokens), Wanted::Wrong, on_drawn)?;
            let (prompts, of) = base.text.prompts(train, style, *max_completion_tokens, MAX_NEW_TOKENS)?;
            let mut pairs = Vec::new();
            for ((question, prompt), rejected) in of.iter().zip(&prompts).zip(drawn.examples) {
                let Some(rejected) = rejected else { continue };
                let (chosen, _) =
                    base.text.examples(std::slice::from_ref(*question), style, config.max_tokens)?;
                if let Some(chosen) = chosen.into_iter().next().filter(|chosen| chosen.prompt_ids() == prompt)
                {
                    pairs.push(PreferencePair { chosen, rejected });
                }
            }
            notes.push(format!(
                "{} of {} prompts have a completion to prefer and, among {n_draws} draws, a wrong one of the base that ends \
                 by itself",
                pairs.len(),
                prompts.len()
            ));
            if pairs.is_empty() {
                bail!(NothingToLearn(format!(
                    "no prompt has both a completion of at most {} tokens and a wrong answer of the base among {n_draws} \
                     draws, so there is no pair to train on: raise --draws, or --max-new-tokens where answers are cut off",
                    config.max_tokens.min(base.text.context_len)
                )));
            }
            Ok(MethodData::Pairs(pairs))
        }
    }
}

/// The question with the data's completion in its prompt.
fn with_demonstration(question: &TaskExample) -> anyhow::Result<TaskExample> {
    let target = question.target.as_deref().with_context(|| {
        format!("example {} has no completion to demonstrate: give `completion` in your data", question.id)
    })?;
    let mut question = question.clone();
    if let Some(last) = question.prompt.last_mut() {
        last.content.push_str(&format!(
            "\n\nHere is an example of a good answer to this:\n\n{target}\n\nNow give an answer of your own."
        ));
    }
    Ok(question)
}

fn counted(counts: &razor_data::ExampleCounts) -> String {
    let n_left_out = counts.n_prompt_too_long + counts.n_total_too_long;
    let mut text = format!(
        "{} rows of {} prompt and {} trained tokens, the longest of {}",
        counts.n_kept, counts.n_prompt_tokens, counts.n_completion_tokens, counts.longest
    );
    if n_left_out > 0 {
        text.push_str(&format!("; {n_left_out} too long and left out"));
    }
    if counts.n_boundary_differs > 0 {
        text.push_str(&format!(
            "; {} would be other tokens if prompt and completion were encoded as one text",
            counts.n_boundary_differs
        ));
    }
    text
}

/// Completions of the base for the training questions.
fn draw(
    settings: &FineTuneSettings,
    base: &BaseModel,
    train: &[TaskExample],
    (n_draws, max_new_tokens): (usize, usize),
    wanted: Wanted,
    on_drawn: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<ChosenSamples> {
    let (prompts, of) =
        base.text.prompts(train, settings.task.prompt_style, max_new_tokens, MAX_NEW_TOKENS)?;
    let judges = base.text.judges(&of)?;
    let limits = RolloutLimits {
        group_size: n_draws,
        temperature: 1.0,
        generation: GenerationLimits {
            max_new_tokens,
            stop_tokens: base.stop_tokens.clone(),
            max_rows: settings.memory.generation_rows,
        },
    };
    let n = prompts.len();
    let mut judge = |idx: usize, tokens: &[u32]| base.text.judged(&judges[idx], tokens);
    on_drawn(0, n);
    let mut on_done = |n_done: usize| on_drawn(n_done, n);
    let seed = Seed::new(settings.seed).derive("own-samples", 0);
    Ok(choose_samples(&base.decoder, &prompts, wanted, &limits, seed, &mut judge, &mut on_done)?)
}

impl EvaluationData {
    fn score(
        &self,
        policy: &Decoder,
        base: &BaseModel,
        settings: &FineTuneSettings,
        scoring: ScoreLimits,
    ) -> Result<Evaluation, TrainError> {
        match self {
            Self::Judged { prompts, judges } => accuracy(policy, prompts, judges, base, settings),
            Self::Targets(targets) => {
                let batch: Vec<&TokenExample> = targets.iter().collect();
                let scores = score(policy, &batch, 1.0, scoring.batch_tokens, scoring.tiles);
                let losses: Vec<f64> = scores
                    .iter()
                    .map(|scores| {
                        let sum: f64 = scores.log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
                        sum / scores.log_probs.len() as f64
                    })
                    .collect();
                Ok(evaluation(&losses, EvaluationKind::NegativeLoss))
            }
        }
    }
}

/// Share of greedy completions that are right.
fn accuracy(
    policy: &Decoder,
    prompts: &[Vec<u32>],
    judges: &[Judge],
    base: &BaseModel,
    settings: &FineTuneSettings,
) -> Result<Evaluation, TrainError> {
    let request = |prompt: &Vec<u32>| GenerationRequest { prompt: prompt.clone(), seeds: vec![Seed::new(0)] };
    let requests: Vec<GenerationRequest> = prompts.iter().map(request).collect();
    let limits = GenerationLimits {
        max_new_tokens: settings.task.max_new_tokens,
        stop_tokens: base.stop_tokens.clone(),
        max_rows: settings.memory.generation_rows,
    };
    let greedy = Sampling { temperature: 0.0, ..Sampling::PLAIN };
    let mut completions: Vec<Vec<u32>> = vec![Vec::new(); prompts.len()];
    let mut keep = |idx: usize, _: usize, completion: Completion| completions[idx] = completion.tokens;
    generate(policy, &requests, greedy, &limits, &mut |_, _, _| false, &mut keep)?;
    let mut rewards = Vec::with_capacity(prompts.len());
    for (idx, (tokens, judge)) in completions.iter().zip(judges).enumerate() {
        let judged = base.text.judged(judge, tokens);
        let judged = judged.map_err(|message| TrainError::Reward { prompt_idx: idx, message })?;
        rewards.push(f64::from(judged.reward.unwrap_or(0.0)));
    }
    Ok(evaluation(&rewards, EvaluationKind::Accuracy))
}

fn evaluation(values: &[f64], kind: EvaluationKind) -> Evaluation {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    Evaluation { score: mean, kind, standard_error: (variance / n).sqrt(), n: values.len() }
}
