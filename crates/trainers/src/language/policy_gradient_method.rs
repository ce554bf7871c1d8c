//! The GRPO family: groups of completions of the policy, judged, and a policy-gradient step on them.
//!
//! A step draws `sequences_per_step · n_minibatches` completions and goes through them `n_iterations` times. Where that is
//! one optimizer step, the policy that samples is the policy that is trained and every ratio is exactly 1, as in TRL.
//!
//! Deviations from TRL: sampler and trainer are one engine, so no sampler correction is made, and their gap is reported
//! instead; completions whose advantage is 0 are left out of the pass where no KL is asked for, because they add nothing
//! to the gradient (entropy and gap are then of the others alone); the learning rate follows steps, not updates.

#[cfg(test)]
mod golden;

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::{Decoder, GenerationLimits};

use crate::advantage::n_without_spread;
use crate::language::epoch_order::EpochOrder;
use crate::language::error::TrainError;
use crate::language::learner::{Learner, SequenceScores, score};
use crate::language::loss::{
    Importance, PolicyGradientConfig, SequenceInput, SequenceTerm, active_lengths, is_off_policy,
    kl_in_reward,
};
use crate::language::method::{Method, SampledCompletion, StepError, StepOutcome};
use crate::language::rollout::{Judging, Rollout, RolloutLimits, draw_groups, undrawn};
use crate::language::run::{StepRecord, metric_name};
use crate::language::sft_method::{described, token_mean};

/// Policy gradients on groups of completions.
pub struct PolicyGradientMethod<'a> {
    prompts: &'a [Vec<u32>],
    judge: &'a mut Judging<'a>,
    config: PolicyGradientConfig,
    limits: RolloutLimits,
    order: EpochOrder,
    base: &'a Decoder,
    seed: Seed,
}

impl<'a> PolicyGradientMethod<'a> {
    /// On `prompts`, whose completions `judge` rewards; `base` is the reference of every KL.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without prompts, or when a step does not hold whole groups.
    pub fn new(
        prompts: &'a [Vec<u32>],
        judge: &'a mut Judging<'a>,
        config: PolicyGradientConfig,
        stop_tokens: &[u32],
        max_rows: usize,
        base: &'a Decoder,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        let n_sequences = config.optimization.sequences_per_step * config.n_minibatches;
        let n_prompts = n_sequences / config.group_size.max(1);
        if prompts.is_empty() {
            return Err(TrainError::NoData("the data holds no prompt".to_owned()));
        }
        if n_prompts * config.group_size != n_sequences || n_prompts == 0 {
            return Err(TrainError::NoData(format!(
                "a step has {n_sequences} sequences, which are not whole groups of {}",
                config.group_size
            )));
        }
        let limits = RolloutLimits {
            group_size: config.group_size,
            temperature: config.temperature,
            generation: GenerationLimits {
                max_new_tokens: config.max_completion_tokens,
                stop_tokens: stop_tokens.to_vec(),
                max_rows,
            },
        };
        let order = EpochOrder::new(prompts.len(), n_prompts, seed.derive("prompts", 0));
        Ok(Self { prompts, judge, config, limits, order, base, seed })
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.order.batches_per_epoch()
    }
}

/// A batch of completions with all that the loss needs.
struct Batch {
    rollouts: Vec<Rollout>,
    /// What each is worth relative to its group.
    advantages: Vec<f32>,
    /// Under the policy before the first update; `None` where there is one update only.
    behavior: Option<Vec<SequenceScores>>,
    /// Under the base, where a KL needs it.
    reference: Option<Vec<SequenceScores>>,
}

/// Sums over the first pass through a batch.
#[derive(Default)]
struct FirstPass {
    loss: f64,
    kl: f64,
    n_clipped: [usize; 2],
    n_tokens: usize,
    /// Which completions `scores` are of.
    scored: Vec<usize>,
    scores: Vec<SequenceScores>,
    gaps: Vec<f64>,
}

impl Method for PolicyGradientMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let chosen = self.order.batch(step_idx).to_vec();
        let drawn = self.draw(learner, step_idx, &chosen);
        let batch = drawn.map_err(|error| undrawn(error, self.prompts, &chosen))?;
        let sampling_seconds = started.elapsed().as_secs_f64();
        let mut first = FirstPass::default();
        let (mut grad_norm, mut penalty) = (0.0_f64, 0.0_f64);
        for iteration in 0..self.config.n_iterations {
            let size = self.config.optimization.sequences_per_step;
            for start in (0..batch.rollouts.len()).step_by(size) {
                let members = start..batch.rollouts.len().min(start + size);
                let found = self.accumulate(learner, &batch, members);
                let not_finite = |what| {
                    let examples: Vec<_> =
                        found.scored.iter().map(|&idx| &batch.rollouts[idx].example).collect();
                    StepError::NotFinite { what, batch: described(&examples, &found.scores) }
                };
                if !found.loss.is_finite() {
                    return Err(not_finite("loss"));
                }
                let update = learner.step(learning_rate);
                if !update.is_finite {
                    return Err(not_finite("gradient"));
                }
                grad_norm = grad_norm.max(update.grad_norm);
                penalty = update.penalty;
                if iteration == 0 {
                    first.add(found);
                }
            }
        }
        let mut record = self.record(step_idx, &batch, &first);
        record.set(metric_name::GRAD_NORM, grad_norm);
        if penalty > 0.0 {
            record.set(metric_name::WEIGHT_PENALTY, penalty);
        }
        record.set(metric_name::LEARNING_RATE, learning_rate);
        let seconds = started.elapsed().as_secs_f64();
        let n_tokens: usize = batch.rollouts.iter().map(|rollout| rollout.example.ids.len()).sum();
        record.set_timing(metric_name::STEP_SECONDS, seconds);
        record.set_timing(metric_name::SAMPLING_SECONDS, sampling_seconds);
        record.set_timing(metric_name::TRAINING_SECONDS, seconds - sampling_seconds);
        record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / seconds);
        Ok(StepOutcome { record, completions: batch.shown(step_idx, self.config.group_size) })
    }
}

impl PolicyGradientMethod<'_> {
    fn draw(&mut self, learner: &Learner, step_idx: usize, chosen: &[usize]) -> Result<Batch, TrainError> {
        let seed = self.seed.derive("rollouts", step_idx as u64);
        let rollouts =
            draw_groups(learner.policy(), self.prompts, chosen, &self.limits, seed, &mut *self.judge)?;
        Ok(self.batch(learner, rollouts))
    }

    fn batch(&self, learner: &Learner, rollouts: Vec<Rollout>) -> Batch {
        let examples: Vec<&TokenExample> = rollouts.iter().map(|rollout| &rollout.example).collect();
        let temperature = self.config.temperature;
        let needs_reference = self.config.loss.kl.is_some() || self.config.kl_in_reward != 0.0;
        let reference = needs_reference
            .then(|| score(self.base, &examples, temperature, learner.micro_batch_tokens(), learner.tiles()));
        let n_updates =
            self.config.n_iterations * rollouts.len().div_ceil(self.config.optimization.sequences_per_step);
        let behavior = (n_updates > 1).then(|| learner.score(&examples, temperature));
        let rewards: Vec<Option<f32>> = rollouts
            .iter()
            .enumerate()
            .map(|(idx, rollout)| {
                let reward = rollout.judgement.reward?;
                Some(match (&reference, self.config.kl_in_reward) {
                    (Some(reference), coefficient) if coefficient != 0.0 => kl_in_reward(
                        reward,
                        coefficient,
                        &rollout.sampler_log_probs,
                        &reference[idx].log_probs,
                    ),
                    _ => reward,
                })
            })
            .collect();
        let advantages = self.config.advantage.of_batch(&rewards, self.config.group_size);
        Batch { rollouts, advantages, behavior, reference }
    }

    /// Adds the gradient of some completions, which make up one optimizer step.
    fn accumulate(&self, learner: &mut Learner, batch: &Batch, members: std::ops::Range<usize>) -> FirstPass {
        let lengths: Vec<usize> =
            members.clone().map(|idx| batch.rollouts[idx].example.completion.len()).collect();
        let is_truncated: Vec<bool> = members.clone().map(|idx| batch.rollouts[idx].is_truncated).collect();
        let active = active_lengths(&lengths, &is_truncated, self.config.mask_truncated);
        let weights = self.config.reduction.weights(&active, self.config.max_completion_tokens);
        let adds_something = |place: &usize| {
            weights[*place] != 0.0
                && (self.config.loss.kl.is_some() || batch.advantages[members.start + place] != 0.0)
        };
        let kept: Vec<usize> = (0..lengths.len()).filter(adds_something).collect();
        let of = |place: usize| members.start + kept[place];
        let examples: Vec<&TokenExample> =
            (0..kept.len()).map(|place| &batch.rollouts[of(place)].example).collect();
        let temperature = self.config.temperature;
        let term = |place: usize, log_probs: &[f32]| {
            self.term(batch, of(place), log_probs, 0..log_probs.len(), weights[kept[place]])
        };
        let is_by_token =
            self.config.loss.importance == Importance::Token && self.config.off_policy_threshold.is_none();
        let scores = if is_by_token {
            learner.accumulate(&examples, temperature, None, &mut |place, token, log_prob| {
                self.term(batch, of(place), &[log_prob], token..token + 1, weights[kept[place]]).gradient[0]
            })
        } else {
            let scores = learner.score(&examples, temperature);
            let terms: Vec<SequenceTerm> =
                scores.iter().enumerate().map(|(place, scores)| term(place, &scores.log_probs)).collect();
            learner
                .accumulate(&examples, temperature, None, &mut |place, token, _| terms[place].gradient[token])
        };
        let mut pass = FirstPass::default();
        for (place, scores) in scores.iter().enumerate() {
            let SequenceTerm { loss, n_clipped_low, n_clipped_high, kl, .. } = term(place, &scores.log_probs);
            pass.loss += loss;
            pass.kl += kl;
            pass.n_clipped[0] += n_clipped_low;
            pass.n_clipped[1] += n_clipped_high;
            pass.n_tokens += scores.log_probs.len();
            let idx = of(place);
            // Of the policy that sampled: after an update the difference would be what was learned.
            let trainer = batch.behavior.as_ref().map_or(&scores.log_probs, |of| &of[idx].log_probs);
            let sampler = &batch.rollouts[idx].sampler_log_probs;
            pass.gaps.extend(trainer.iter().zip(sampler).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()));
        }
        pass.scored = (0..kept.len()).map(of).collect();
        pass.scores = scores;
        pass
    }

    /// The loss of some tokens of a completion.
    fn term(
        &self,
        batch: &Batch,
        idx: usize,
        log_probs: &[f32],
        tokens: std::ops::Range<usize>,
        weight: f64,
    ) -> SequenceTerm {
        let behavior = match &batch.behavior {
            Some(behavior) => &behavior[idx].log_probs[tokens.clone()],
            None => log_probs,
        };
        let drops = self.config.off_policy_threshold.is_some_and(|threshold| {
            is_off_policy(batch.advantages[idx], log_probs, &batch.rollouts[idx].sampler_log_probs, threshold)
        });
        let input = SequenceInput {
            log_probs,
            behavior_log_probs: behavior,
            reference_log_probs: batch.reference.as_ref().map(|of| &of[idx].log_probs[tokens]),
            advantage: if drops { 0.0 } else { batch.advantages[idx] },
            sampler_correction: None,
        };
        self.config.loss.sequence(&input, weight)
    }

    fn record(&self, step_idx: usize, batch: &Batch, first: &FirstPass) -> StepRecord {
        let rollouts = &batch.rollouts;
        let n = rollouts.len() as f64;
        let rewards: Vec<Option<f32>> = rollouts.iter().map(|rollout| rollout.judgement.reward).collect();
        let known: Vec<f64> = rewards.iter().flatten().map(|&reward| f64::from(reward)).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let variance = known.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / known.len() as f64;
        let lengths: Vec<usize> = rollouts.iter().map(|rollout| rollout.example.completion.len()).collect();
        let n_groups = rollouts.len() / self.config.group_size;
        let share =
            |count: usize| if first.n_tokens == 0 { 0.0 } else { count as f64 / first.n_tokens as f64 };
        let mut record = StepRecord::new(step_idx as u64 + 1)
            .with(metric_name::LOSS, first.loss)
            .with(metric_name::REWARD_MEAN, mean)
            .with(metric_name::REWARD_STD, variance.sqrt())
            .with(metric_name::CLIP_LOW, share(first.n_clipped[0]))
            .with(metric_name::CLIP_HIGH, share(first.n_clipped[1]))
            .with(metric_name::LENGTH_MEAN, lengths.iter().sum::<usize>() as f64 / n)
            .with(metric_name::LENGTH_MIN, lengths.iter().min().map_or(0.0, |&n| n as f64))
            .with(metric_name::LENGTH_MAX, lengths.iter().max().map_or(0.0, |&n| n as f64))
            .with(
                metric_name::TRUNCATED_SHARE,
                rollouts.iter().filter(|rollout| rollout.is_truncated).count() as f64 / n,
            )
            .with(
                metric_name::ZERO_VARIANCE_SHARE,
                n_without_spread(&rewards, self.config.group_size) as f64 / n_groups as f64,
            )
            .with(metric_name::EPOCH, (step_idx + 1) as f64 / self.order.batches_per_epoch() as f64);
        if first.n_tokens > 0 {
            record.set(metric_name::ENTROPY, token_mean(&first.scores, |scores| &scores.entropies));
            record
                .set(metric_name::SAMPLER_GAP_MEAN, first.gaps.iter().sum::<f64>() / first.gaps.len() as f64);
            record.set(metric_name::SAMPLER_GAP_MAX, first.gaps.iter().copied().fold(0.0, f64::max));
        }
        if self.config.loss.kl.is_some() {
            record.set(metric_name::KL_IN_LOSS, first.kl / first.n_tokens.max(1) as f64);
        }
        record
    }
}

impl FirstPass {
    fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.kl += other.kl;
        self.n_clipped.iter_mut().zip(other.n_clipped).for_each(|(sum, n)| *sum += n);
        self.n_tokens += other.n_tokens;
        self.scored.extend(other.scored);
        self.scores.extend(other.scores);
        self.gaps.extend(other.gaps);
    }
}

impl Batch {
    /// The first group, for people to read.
    fn shown(&self, step_idx: usize, group_size: usize) -> Vec<SampledCompletion> {
        let show = |(rollout, &advantage): (&Rollout, &f32)| SampledCompletion {
            step: step_idx as u64 + 1,
            prompt: rollout.prompt_idx,
            sample: rollout.sample_idx,
            completion: rollout.judgement.text.clone(),
            n_tokens: rollout.example.completion.len(),
            is_truncated: rollout.is_truncated,
            reward: rollout.judgement.reward,
            reason: rollout.judgement.reason.clone(),
            advantage,
        };
        self.rollouts.iter().zip(&self.advantages).take(group_size).map(show).collect()
    }
}

impl std::fmt::Debug for PolicyGradientMethod<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n_prompts = self.prompts.len();
        formatter
            .debug_struct("PolicyGradientMethod")
            .field("config", &self.config)
            .field("n_prompts", &n_prompts)
            .finish_non_exhaustive()
    }
}
