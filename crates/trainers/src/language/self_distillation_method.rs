//! On-policy self-distillation: the policy's own completions, pulled towards what the base says when it has seen a
//! demonstration.
//!
//! Source: "Self-Distillation Enables Continual Learning", arXiv 2601.19897: the student samples from the prompt alone, the
//! teacher reads prompt and demonstration, and the loss is the mean over tokens of KL(student‖teacher), exact over the
//! vocabulary, without a gradient through the sampling.
//!
//! Deviations: the teacher is the frozen base rather than a moving average of the student, so that a step depends on
//! nothing but its number; the direction may be turned (published text and published code are said to differ).

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::{Decoder, GenerationLimits};
use razor_tensor::KlDirection;

use crate::language::epoch_order::EpochOrder;
use crate::language::error::TrainError;
use crate::language::learner::{KlTerm, Learner};
use crate::language::loss::{Optimization, Reduction};
use crate::language::method::{Method, StepError, StepOutcome};
use crate::language::rollout::{Judgement, Rollout, RolloutLimits, draw_groups, undrawn};
use crate::language::run::{StepRecord, metric_name};
use crate::language::sft_method::{described, token_mean};

/// A prompt as both read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemonstratedPrompt {
    /// What the student reads.
    pub prompt: Vec<u32>,
    /// What the teacher reads: the same with a demonstration.
    pub with_demonstration: Vec<u32>,
}

/// Self-distillation on the policy's own completions.
#[derive(Debug)]
pub struct SelfDistillationMethod<'a> {
    prompts: Vec<Vec<u32>>,
    demonstrated: &'a [DemonstratedPrompt],
    teacher: &'a Decoder,
    is_reverse: bool,
    limits: RolloutLimits,
    order: EpochOrder,
    seed: Seed,
}

impl<'a> SelfDistillationMethod<'a> {
    /// On `demonstrated` prompts. With `is_reverse` the loss is KL(student‖teacher), else KL(teacher‖student).
    ///
    /// # Errors
    /// [`TrainError::NoData`] without prompts.
    pub fn new(
        demonstrated: &'a [DemonstratedPrompt],
        teacher: &'a Decoder,
        is_reverse: bool,
        optimization: &Optimization,
        generation: GenerationLimits,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        if demonstrated.is_empty() {
            return Err(TrainError::NoData("the data holds no prompt with a demonstration".to_owned()));
        }
        let order =
            EpochOrder::new(demonstrated.len(), optimization.sequences_per_step, seed.derive("prompts", 0));
        let limits = RolloutLimits { group_size: 1, temperature: 1.0, generation };
        let prompts = demonstrated.iter().map(|demonstrated| demonstrated.prompt.clone()).collect();
        Ok(Self { prompts, demonstrated, teacher, is_reverse, limits, order, seed })
    }

    /// The same completion after the teacher's prompt.
    fn read_by_teacher(&self, rollout: &Rollout) -> TokenExample {
        let prompt = &self.demonstrated[rollout.prompt_idx].with_demonstration;
        let ids = [prompt.as_slice(), rollout.example.completion_ids()].concat();
        TokenExample { completion: prompt.len()..ids.len(), ids, boundary_differs: false }
    }
}

impl Method for SelfDistillationMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let chosen = self.order.batch(step_idx).to_vec();
        let seed = self.seed.derive("rollouts", step_idx as u64);
        // Nothing is judged: the teacher says how good a completion is.
        let mut unjudged =
            |_: usize, _: &[u32]| Ok(Judgement { reward: None, text: String::new(), reason: String::new() });
        let rollouts =
            draw_groups(learner.policy(), &self.prompts, &chosen, &self.limits, seed, &mut unjudged)
                .map_err(|error| undrawn(error, &self.prompts, &chosen))?;
        let sampling_seconds = started.elapsed().as_secs_f64();
        let taught: Vec<TokenExample> =
            rollouts.iter().map(|rollout| self.read_by_teacher(rollout)).collect();
        let (batch, taught): (Vec<&TokenExample>, Vec<&TokenExample>) =
            (rollouts.iter().map(|rollout| &rollout.example).collect(), taught.iter().collect());
        let lengths: Vec<usize> = batch.iter().map(|example| example.completion.len()).collect();
        let weights = Reduction::TokenMean.weights(&lengths, 0);
        let direction = match self.is_reverse {
            true => KlDirection::PolicyToReference,
            false => KlDirection::ReferenceToPolicy,
        };
        let kl = KlTerm {
            reference: self.teacher,
            direction,
            weights: &weights,
            read_by_reference: Some(&taught),
        };
        let scores = learner.accumulate(&batch, 1.0, Some(&kl), &mut |_, _, _| 0.0);
        let loss = token_mean(&scores, |scores| &scores.kl);
        let not_finite = |what| StepError::NotFinite { what, batch: described(&batch, &scores) };
        if !loss.is_finite() {
            return Err(not_finite("loss"));
        }
        let update = learner.step(learning_rate);
        if !update.is_finite {
            return Err(not_finite("gradient"));
        }
        let n_truncated = rollouts.iter().filter(|rollout| rollout.is_truncated).count();
        let mut record = StepRecord::new(step_idx as u64 + 1)
            .with(metric_name::LOSS, loss)
            .with(metric_name::ENTROPY, token_mean(&scores, |scores| &scores.entropies))
            .with(metric_name::LENGTH_MEAN, lengths.iter().sum::<usize>() as f64 / lengths.len() as f64)
            .with(metric_name::TRUNCATED_SHARE, n_truncated as f64 / rollouts.len() as f64)
            .with(metric_name::GRAD_NORM, update.grad_norm)
            .with(metric_name::LEARNING_RATE, learning_rate)
            .with(metric_name::EPOCH, (step_idx + 1) as f64 / self.order.batches_per_epoch() as f64);
        if update.penalty > 0.0 {
            record.set(metric_name::WEIGHT_PENALTY, update.penalty);
        }
        let seconds = started.elapsed().as_secs_f64();
        let n_tokens: usize = batch.iter().map(|example| example.ids.len()).sum();
        record.set_timing(metric_name::STEP_SECONDS, seconds);
        record.set_timing(metric_name::SAMPLING_SECONDS, sampling_seconds);
        record.set_timing(metric_name::TRAINING_SECONDS, seconds - sampling_seconds);
        record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / seconds);
        Ok(StepOutcome { record, completions: Vec::new() })
    }
}
