//! How far the policy is from the base on held-out prompts of the new task: measured in every run, penalty or not.
//!
//! Exact over the vocabulary at each position and in both directions, each on samples of its own first argument: those of
//! the base are drawn once, those of the policy anew at every measurement, from the same streams of random numbers.
//! Paper: arXiv 2509.04259, section 4.

use razor_core::Seed;
use razor_metrics::{
    DrawnCompletion, SampleSource, ShiftQuantity, completion_shifts, draw_completions, shift_quantities,
};
use razor_models::{Decoder, GenerationLimits, ScoreLimits, ScoreRequest};
use serde::{Deserialize, Serialize};

use crate::language::error::TrainError;

/// What is measured, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseKlConfig {
    /// Steps between two measurements; the last step is always measured.
    pub every: usize,
    /// Held-out prompts.
    pub n_prompts: usize,
    /// Completions of each from either model.
    pub n_samples: usize,
    /// Tokens after which a completion is cut.
    pub max_new_tokens: usize,
    /// Resamples of the intervals.
    pub n_resamples: usize,
}

/// A measurement of both KLs with everything that comes with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KlMeasurement {
    /// Steps taken.
    pub step: u64,
    /// All quantities with intervals.
    pub quantities: Vec<ShiftQuantity>,
}

impl KlMeasurement {
    /// Mean of a quantity.
    pub fn mean(&self, name: &str) -> Option<f64> {
        self.quantities.iter().find(|quantity| quantity.name == name)?.mean
    }

    /// KL(π₀‖π), nats per completion: the study's predictor of forgetting.
    pub fn forward_per_sequence(&self) -> Option<f64> {
        self.mean("kl_reference_to_policy_exact_per_sequence")
    }
}

/// Held-out prompts and what the base says to them.
#[derive(Debug)]
pub struct BaseKl<'a> {
    base: &'a Decoder,
    prompts: Vec<Vec<u32>>,
    of_base: Vec<DrawnCompletion>,
    limits: GenerationLimits,
    scoring: ScoreLimits,
    config: BaseKlConfig,
    seed: Seed,
}

impl<'a> BaseKl<'a> {
    /// Draws the completions of the base.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without prompts; [`TrainError::Model`] as of generation.
    pub fn new(
        base: &'a Decoder,
        prompts: Vec<Vec<u32>>,
        stop_tokens: &[u32],
        max_rows: usize,
        scoring: ScoreLimits,
        config: BaseKlConfig,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        if prompts.is_empty() {
            return Err(TrainError::NoData("there is no held-out prompt to measure the KL on".to_owned()));
        }
        let limits = GenerationLimits {
            max_new_tokens: config.max_new_tokens,
            stop_tokens: stop_tokens.to_vec(),
            max_rows,
        };
        let streams = seed.derive("completions", 0);
        let of_base = draw_completions(base, &prompts, config.n_samples, &limits, streams, &mut || {})?;
        Ok(Self { base, prompts, of_base, limits, scoring, config, seed })
    }

    /// Measures a policy after `step` steps.
    ///
    /// # Errors
    /// [`TrainError::Model`] as of generation and scoring.
    pub fn measure(&self, policy: &Decoder, step: u64) -> Result<KlMeasurement, TrainError> {
        let streams = self.seed.derive("completions", 0);
        let n_samples = self.config.n_samples;
        let of_policy =
            draw_completions(policy, &self.prompts, n_samples, &self.limits, streams, &mut || {})?;
        let mut samples = Vec::with_capacity(self.of_base.len() + of_policy.len());
        for (source, drawn) in [(SampleSource::Reference, &self.of_base), (SampleSource::Policy, &of_policy)]
        {
            let requests: Vec<ScoreRequest> = drawn.iter().map(|drawn| drawn.request.clone()).collect();
            let shifts = completion_shifts(self.base, policy, &requests, self.scoring, &mut |_| {})?;
            samples.extend(drawn.iter().zip(shifts).map(|(drawn, shift)| drawn.measured(source, shift)));
        }
        let seed = self.seed.derive("intervals", 0);
        Ok(KlMeasurement { step, quantities: shift_quantities(&samples, self.config.n_resamples, seed) })
    }
}
