//! What an LLM study will cost, before it is run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use razor_core::Seed;
use razor_metrics::draw_completions;
use razor_models::GenerationLimits;

use crate::estimate::Estimate;
use crate::llm::fine_tune::{FineTuneSettings, MethodSettings, Prepared, TaskQuestions};
use crate::llm::study::config::NewTaskConfig;
use crate::llm::study::fine_tune_settings::{fine_tune_settings, task_settings};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::Setting;
use crate::llm::study::runner::LlmStudy;

/// Questions that are looked at.
const N_LOOKED_AT: usize = 32;

/// Lengths of a task under the base, tokens.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    prompt: f64,
    completion: f64,
}

impl LlmStudy {
    /// Times a few tokens of training and sampling on this machine, asks every prior task once, and scales both to the whole
    /// plan.
    ///
    /// # Errors
    /// When the questions cannot be read, or the base cannot answer.
    pub fn estimate(&self) -> Result<Estimate> {
        let mut lengths = BTreeMap::new();
        for task in &self.config.tasks {
            lengths.insert(task.name.as_str(), self.lengths(task)?);
        }
        let measuring = self.alone(|| self.seconds_of_a_measurement())?;
        let mut speeds: BTreeMap<StudyMethod, (f64, f64)> = BTreeMap::new();
        let mut seconds = 0.0;
        let stages = self.config.sequence.methods.iter().flat_map(|&method| {
            self.config.tasks.iter().map(move |task| self.stage_setting(method, &task.name))
        });
        for setting in self.plan.runs.iter().map(|run| run.setting.clone()).chain(stages) {
            let task = self.config.task(&setting.task)?;
            let settings = self.settings(task, &setting);
            let speed = match speeds.get(&setting.method) {
                Some(speed) => *speed,
                None => {
                    let speed = self.alone(|| settings.speed(&self.base.decoder))?;
                    speeds.insert(setting.method, speed);
                    speed
                }
            };
            seconds += self.seconds_of(&settings, &setting, task, lengths[task.name.as_str()], speed);
            seconds += self.config.measure.n_checkpoints as f64 * measuring;
        }
        let n_workers = self.n_at_a_time();
        Ok(Estimate {
            time: Duration::try_from_secs_f64(seconds / n_workers as f64).unwrap_or(Duration::MAX),
            memory: self.expected_memory(n_workers)?,
        })
    }

    fn settings(&self, task: &NewTaskConfig, setting: &Setting) -> FineTuneSettings {
        fine_tune_settings(&self.config, task, setting, self.config.base.model.clone(), Seed::new(0))
    }

    fn lengths(&self, task: &NewTaskConfig) -> Result<Lengths> {
        let settings = task_settings(&self.config, task);
        let mut questions = TaskQuestions::load(&settings, &self.options.sources)?.test;
        questions.truncate(N_LOOKED_AT);
        let (base, max_new_tokens) = (&self.base, task.max_new_tokens);
        let option = "tasks.max_new_tokens (--set)";
        let (prompts, _) = base.text.prompts(&questions, settings.prompt_style, max_new_tokens, option)?;
        let limits = GenerationLimits {
            max_new_tokens,
            stop_tokens: base.stop_tokens.clone(),
            max_rows: self.config.memory.generation_rows,
        };
        // A large base would take minutes for this; its completions are taken at their longest.
        let completion = if self.is_large() {
            max_new_tokens as f64
        } else {
            let drawn = draw_completions(&base.decoder, &prompts, 1, &limits, Seed::new(0), &mut || {})?;
            let n_tokens: usize = drawn.iter().map(|drawn| drawn.request.continuation.len()).sum();
            n_tokens as f64 / drawn.len().max(1) as f64
        };
        let n_tokens: usize = prompts.iter().map(Vec::len).sum();
        Ok(Lengths { prompt: n_tokens as f64 / prompts.len().max(1) as f64, completion })
    }

    /// One look at the prior tasks; with everything else of a measurement it was 2.7 times that in preset `tiny`.
    fn seconds_of_a_measurement(&self) -> Result<f64> {
        if self.is_large() {
            return Ok(0.0); // minutes: not worth a plan
        }
        let started = Instant::now();
        self.prior.score(&self.base.decoder, &self.base, &self.config.memory)?;
        Ok(2.7 * started.elapsed().as_secs_f64())
    }

    fn seconds_of(
        &self,
        settings: &FineTuneSettings,
        setting: &Setting,
        task: &NewTaskConfig,
        lengths: Lengths,
        (trained, sampled): (f64, f64),
    ) -> f64 {
        let per_step = setting.batch_size as f64;
        let n_questions = task.max_train.max(1) as f64;
        let n_steps = match setting.n_steps {
            0 => setting.n_epochs as f64 * n_questions / per_step.max(1.0),
            n_steps => n_steps as f64,
        };
        let Lengths { prompt, completion } = lengths;
        let row = prompt + completion;
        let (trained_tokens, sampled_tokens, before) = match &settings.method {
            MethodSettings::Sft { .. } => (per_step * row, 0.0, 0.0),
            MethodSettings::RejectionSft { n_draws, is_fresh: false, .. } => {
                (per_step * row, 0.0, n_questions * *n_draws as f64 * completion)
            }
            MethodSettings::RejectionSft { n_draws, .. } => {
                (per_step * row, per_step * *n_draws as f64 * completion, 0.0)
            }
            MethodSettings::SelfDistillation { .. } => (3.0 * per_step * row, per_step * completion, 0.0),
            MethodSettings::PolicyGradient { config } => {
                (per_step * row * config.n_iterations as f64, per_step * completion, 0.0)
            }
            MethodSettings::Simpo { n_draws, .. } => {
                (8.0 / 3.0 * per_step * row, 0.0, n_questions * *n_draws as f64 * completion)
            }
        };
        n_steps * (trained_tokens * trained + sampled_tokens * sampled) + before * sampled
    }

    /// The program with its base, and each worker's largest run besides. Bytes.
    fn expected_memory(&self, n_workers: usize) -> Result<u64> {
        let mut largest: f64 = 0.0;
        let mut standing: f64 = 0.0;
        for method in [StudyMethod::Grpo, StudyMethod::Sft] {
            let Some(run) = self.plan.runs.iter().find(|run| run.setting.method == method) else { continue };
            let task = self.config.task(&run.setting.task)?;
            let settings = self.settings(task, &run.setting);
            let prepared = Prepared::new(settings, &self.base, &self.options.sources, &mut |_, _| {})?;
            let memory = prepared.expected_memory(&self.base);
            standing = memory.program + memory.base;
            largest = largest.max(memory.peak - standing);
        }
        Ok(((standing + n_workers as f64 * largest) * f64::from(1 << 20)) as u64)
    }
}
