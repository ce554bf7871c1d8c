//! How long a run will take, from a look at how fast its base is here.

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::{Decoder, GenerationLimits, GenerationRequest, ModelError, Sampling, generate};
use razor_trainers::language::Learner;
use serde::Serialize;

use crate::llm::fine_tune::settings::{FineTuneSettings, MethodSettings};

/// Seconds by part, with every completion at its longest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExpectedTime {
    /// Forward and backward passes.
    pub training: f64,
    /// Completions that the method draws.
    pub sampling: f64,
    /// Evaluations and measurements of the KL.
    pub measuring: f64,
}

impl ExpectedTime {
    /// All parts.
    pub fn total(&self) -> f64 {
        self.training + self.sampling + self.measuring
    }
}

impl FineTuneSettings {
    /// Seconds of a token in training and in sampling, from a look at how fast the base is here.
    ///
    /// # Errors
    /// As of generation.
    pub(in crate::llm) fn speed(&self, base: &Decoder) -> Result<(f64, f64), ModelError> {
        let Speed { trained, sampled } = Speed::measure(base, self)?;
        Ok((trained, sampled))
    }
}

/// Seconds of one token, measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speed {
    trained: f64,
    sampled: f64,
}

/// Tokens that are looked at.
const ROWS: usize = 8;
const WIDTH: usize = 32;

impl Speed {
    /// Trains on, and draws, a few tokens; nothing is kept.
    pub(super) fn measure(base: &Decoder, settings: &FineTuneSettings) -> Result<Self, ModelError> {
        let width = WIDTH.min(base.config().max_positions / 2).max(2);
        let ids: Vec<u32> = (0..width as u32).map(|id| id % base.config().vocab_size as u32).collect();
        let example = TokenExample { completion: width / 2..width, ids, boundary_differs: false };
        let batch = vec![&example; ROWS];
        let policy = match &settings.lora {
            Some(lora) => base.clone().with_lora(&lora.config(), Seed::new(0)),
            None => base.clone(),
        };
        let mut learner = Learner::new(policy, settings.learner());
        learner.accumulate(&batch[..1], 1.0, None, &mut |_, _, _| 0.0); // memory is asked for the first time
        let started = Instant::now();
        learner.accumulate(&batch, 1.0, None, &mut |_, _, _| 0.0);
        let trained = started.elapsed().as_secs_f64() / (ROWS * width) as f64;
        let n_rows = settings.memory.generation_rows.min(64);
        let seeds = (0..n_rows as u64).map(Seed::new).collect();
        let requests = [GenerationRequest { prompt: example.ids[..width / 2].to_vec(), seeds }];
        let n_new = (width / 2).min(8);
        let limits = GenerationLimits { max_new_tokens: n_new, stop_tokens: Vec::new(), max_rows: n_rows };
        let started = Instant::now();
        generate(base, &requests, Sampling::PLAIN, &limits, &mut |_, _, _| false, &mut |_, _, _| {})?;
        Ok(Self { trained, sampled: started.elapsed().as_secs_f64() / (n_rows * n_new) as f64 })
    }

    /// Time of a run of `n_steps` whose sequences have `n_tokens` tokens each.
    pub(super) fn of_run(
        self,
        settings: &FineTuneSettings,
        n_steps: usize,
        n_tokens: f64,
        n_test: usize,
        n_kl_prompts: usize,
    ) -> ExpectedTime {
        let per_step = settings.optimization().sequences_per_step as f64;
        let (trained, sampled) = match &settings.method {
            MethodSettings::Sft { .. } | MethodSettings::RejectionSft { is_fresh: false, .. } => {
                (per_step * n_tokens, 0.0)
            }
            MethodSettings::RejectionSft { n_draws, max_completion_tokens, .. } => {
                (per_step * n_tokens, per_step * (n_draws * max_completion_tokens) as f64)
            }
            MethodSettings::SelfDistillation { max_completion_tokens, .. } => {
                let n = per_step * *max_completion_tokens as f64;
                (2.0 * per_step * n_tokens + 2.0 * n, n)
            }
            MethodSettings::PolicyGradient { config } => {
                let n = per_step * config.n_minibatches as f64;
                let completion = config.max_completion_tokens as f64;
                (n * (n_tokens + completion) * config.n_iterations as f64, n * completion)
            }
            MethodSettings::Simpo { .. } => (2.0 * per_step * n_tokens * 4.0 / 3.0, 0.0),
        };
        let times = |every: usize| n_steps.checked_div(every).unwrap_or(1) as f64 + 1.0;
        let kl = settings.base_kl;
        let of_kl = times(kl.every) * (n_kl_prompts * kl.n_samples * kl.max_new_tokens) as f64;
        let of_evaluations =
            times(settings.cadence.evaluate_every) * (n_test * settings.task.max_new_tokens) as f64;
        ExpectedTime {
            training: n_steps as f64 * trained * self.trained,
            sampling: n_steps as f64 * sampled * self.sampled,
            // Each completion of a KL is drawn once and read by both models, which costs a third of training on it.
            measuring: of_kl * (self.sampled + 4.0 / 3.0 * self.trained) + of_evaluations * self.sampled,
        }
    }
}
