//! Supervised fine-tuning on right completions of the base that are drawn anew in every epoch.
//!
//! Paper: arXiv 2509.04259, section 5.1, lemma A.1. Each step draws for the prompts of its batch, keeps the first right
//! completion of each, and trains on those; prompts without one are left out.

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::Decoder;

use crate::language::epoch_order::EpochOrder;
use crate::language::error::TrainError;
use crate::language::learner::Learner;
use crate::language::loss::SftConfig;
use crate::language::method::{Method, StepError, StepOutcome};
use crate::language::rejection_sampling::{Wanted, choose_samples};
use crate::language::rollout::{Judging, RolloutLimits};
use crate::language::run::{StepRecord, metric_name};
use crate::language::sft_method::supervised_step;

/// Supervised fine-tuning on fresh right completions of the base.
pub struct FreshSamplesMethod<'a> {
    prompts: &'a [Vec<u32>],
    judge: &'a mut Judging<'a>,
    base: &'a Decoder,
    limits: RolloutLimits,
    config: &'a SftConfig,
    order: EpochOrder,
    seed: Seed,
}

impl<'a> FreshSamplesMethod<'a> {
    /// On `prompts`, as many a step as `config` has sequences; `limits.group_size` completions are drawn of each.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without prompts.
    pub fn new(
        prompts: &'a [Vec<u32>],
        judge: &'a mut Judging<'a>,
        base: &'a Decoder,
        limits: RolloutLimits,
        config: &'a SftConfig,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        if prompts.is_empty() {
            return Err(TrainError::NoData("the data holds no prompt".to_owned()));
        }
        let batch_size = config.optimization.sequences_per_step;
        let order = EpochOrder::new(prompts.len(), batch_size, seed.derive("prompts", 0));
        Ok(Self { prompts, judge, base, limits, config, order, seed })
    }
}

impl Method for FreshSamplesMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let chosen = self.order.batch(step_idx).to_vec();
        let prompts: Vec<Vec<u32>> = chosen.iter().map(|&idx| self.prompts[idx].clone()).collect();
        let judge = &mut *self.judge;
        let mut of_batch = |place: usize, tokens: &[u32]| judge(chosen[place], tokens);
        let seed = self.seed.derive("draws", step_idx as u64);
        let wanted = Wanted::Right;
        let drawn =
            choose_samples(self.base, &prompts, wanted, &self.limits, seed, &mut of_batch, &mut |_| {})?;
        let sampling_seconds = started.elapsed().as_secs_f64();
        let batch: Vec<&TokenExample> = drawn.examples.iter().flatten().collect();
        let mut record = match batch.is_empty() {
            true => StepRecord::new(step_idx as u64 + 1).with(metric_name::LEARNING_RATE, learning_rate),
            false => supervised_step(learner, &batch, self.config, None, step_idx, learning_rate)?,
        };
        record.set(metric_name::RIGHT_SHARE, drawn.share);
        record.set(metric_name::EPOCH, (step_idx + 1) as f64 / self.order.batches_per_epoch() as f64);
        record.set_timing(metric_name::SAMPLING_SECONDS, sampling_seconds);
        let seconds = started.elapsed().as_secs_f64();
        let n_tokens: usize = batch.iter().map(|example| example.ids.len()).sum();
        record.set_timing(metric_name::STEP_SECONDS, seconds);
        record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / seconds);
        Ok(StepOutcome { record, completions: Vec::new() })
    }
}

impl std::fmt::Debug for FreshSamplesMethod<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n_prompts = self.prompts.len();
        formatter.debug_struct("FreshSamplesMethod").field("n_prompts", &n_prompts).finish_non_exhaustive()
    }
}
