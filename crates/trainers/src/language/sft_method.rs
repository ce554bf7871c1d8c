//! Supervised fine-tuning on given completions.
//!
//! Paper: arXiv 2509.04259, section 3 and Table 2. Only completion tokens are trained, the stop token included, and the
//! loss is reduced over the whole batch, whatever the micro-batches. With a KL term: λ times the exact KL to the base at
//! the same tokens, reduced in the same way. Replayed examples, where there are some, take a share of every batch.

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;
use razor_models::Decoder;
use razor_tensor::KlDirection;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::language::epoch_order::EpochOrder;
use crate::language::error::TrainError;
use crate::language::learner::{KlTerm, Learner, SequenceScores};
use crate::language::loss::SftConfig;
use crate::language::method::{Method, StepError, StepOutcome};
use crate::language::run::{StepRecord, metric_name};

/// An exact KL to the base beside the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftKl {
    /// λ, per nat of the reduced KL.
    pub coefficient: f64,
    /// Whether the expectation is under the policy, KL(π‖π₀), instead of the base, KL(π₀‖π).
    pub is_reverse: bool,
}

/// Supervised fine-tuning.
#[derive(Debug)]
pub struct SftMethod<'a> {
    examples: &'a [TokenExample],
    order: EpochOrder,
    replay: Option<Replay<'a>>,
    config: &'a SftConfig,
    kl: Option<(SftKl, &'a Decoder)>,
}

/// Examples of other tasks in every batch.
#[derive(Debug)]
struct Replay<'a> {
    examples: &'a [TokenExample],
    order: EpochOrder,
}

impl<'a> SftMethod<'a> {
    /// On `examples`, as many a step as `config` has sequences.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without examples.
    pub fn new(examples: &'a [TokenExample], config: &'a SftConfig, seed: Seed) -> Result<Self, TrainError> {
        if examples.is_empty() {
            return Err(TrainError::NoData("the data holds no usable example".to_owned()));
        }
        let batch_size = config.optimization.sequences_per_step;
        let order = EpochOrder::new(examples.len(), batch_size, seed.derive("examples", 0));
        Ok(Self { examples, order, replay: None, config, kl: None })
    }

    /// With a KL to the base.
    #[must_use]
    pub fn with_kl(self, kl: SftKl, base: &'a Decoder) -> Self {
        Self { kl: Some((kl, base)), ..self }
    }

    /// With `n_per_batch` of these examples in addition to every batch.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without examples.
    pub fn with_replay(
        self,
        examples: &'a [TokenExample],
        n_per_batch: usize,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        if examples.is_empty() {
            return Err(TrainError::NoData("there is no example to replay".to_owned()));
        }
        let order = EpochOrder::new(examples.len(), n_per_batch, seed.derive("replay", 0));
        Ok(Self { replay: Some(Replay { examples, order }), ..self })
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.order.batches_per_epoch()
    }
}

impl Method for SftMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let mut batch: Vec<&TokenExample> =
            self.order.batch(step_idx).iter().map(|&idx| &self.examples[idx]).collect();
        if let Some(replay) = &mut self.replay {
            batch.extend(replay.order.batch(step_idx).iter().map(|&idx| &replay.examples[idx]));
        }
        let kl = self.kl.as_ref().map(|(kl, base)| (*kl, *base));
        let mut record = supervised_step(learner, &batch, self.config, kl, step_idx, learning_rate)?;
        record.set(metric_name::EPOCH, (step_idx + 1) as f64 / self.order.batches_per_epoch() as f64);
        record.set_timing(metric_name::STEP_SECONDS, started.elapsed().as_secs_f64());
        Ok(StepOutcome { record, completions: Vec::new() })
    }
}

/// A step on the completions of a batch.
pub(super) fn supervised_step(
    learner: &mut Learner,
    batch: &[&TokenExample],
    config: &SftConfig,
    kl: Option<(SftKl, &Decoder)>,
    step_idx: usize,
    learning_rate: f64,
) -> Result<StepRecord, StepError> {
    let started = Instant::now();
    let lengths: Vec<usize> = batch.iter().map(|example| example.completion.len()).collect();
    let token_loss = config.loss;
    let weights = config.reduction.weights(&lengths, config.max_tokens);
    let kl_weights: Vec<f64> = match &kl {
        Some((kl, _)) => weights.iter().map(|weight| kl.coefficient * weight).collect(),
        None => Vec::new(),
    };
    let term = kl.map(|(kl, reference)| KlTerm {
        reference,
        direction: if kl.is_reverse {
            KlDirection::PolicyToReference
        } else {
            KlDirection::ReferenceToPolicy
        },
        weights: &kl_weights,
        read_by_reference: None,
    });
    let scores = learner.accumulate(batch, 1.0, term.as_ref(), &mut |sequence, _, log_prob| {
        token_loss.token(log_prob, weights[sequence]).gradient
    });
    let loss_of = |scores: &SequenceScores, weight: f64| -> f64 {
        scores.log_probs.iter().map(|&log_prob| token_loss.token(log_prob, weight).loss).sum()
    };
    let mut loss: f64 = scores.iter().zip(&weights).map(|(scores, &weight)| loss_of(scores, weight)).sum();
    for (scores, weight) in scores.iter().zip(&kl_weights) {
        loss += weight * scores.kl.iter().map(|&kl| f64::from(kl)).sum::<f64>();
    }
    let not_finite = |what| StepError::NotFinite { what, batch: described(batch, &scores) };
    if !loss.is_finite() {
        return Err(not_finite("loss"));
    }
    let update = learner.step(learning_rate);
    if !update.is_finite {
        return Err(not_finite("gradient"));
    }
    let n_trained: usize = lengths.iter().sum();
    let n_greedy = scores.iter().flat_map(|scores| &scores.is_greedy).filter(|&&is_greedy| is_greedy).count();
    let mut record = StepRecord::new(step_idx as u64 + 1)
        .with(metric_name::LOSS, loss)
        .with(metric_name::ENTROPY, token_mean(&scores, |scores| &scores.entropies))
        .with(metric_name::TOKEN_ACCURACY, n_greedy as f64 / n_trained as f64)
        .with(metric_name::LENGTH_MEAN, n_trained as f64 / lengths.len() as f64)
        .with(metric_name::GRAD_NORM, update.grad_norm)
        .with(metric_name::LEARNING_RATE, learning_rate);
    if kl.is_some() {
        record.set(metric_name::KL_IN_LOSS, token_mean(&scores, |scores| &scores.kl));
    }
    if update.penalty > 0.0 {
        record.set(metric_name::WEIGHT_PENALTY, update.penalty);
    }
    let n_tokens: usize = batch.iter().map(|example| example.ids.len()).sum();
    record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / started.elapsed().as_secs_f64());
    Ok(record)
}

/// Mean of a value over all tokens of a batch.
pub(super) fn token_mean(scores: &[SequenceScores], of: impl Fn(&SequenceScores) -> &[f32]) -> f64 {
    let (mut sum, mut n) = (0.0, 0_usize);
    for value in scores.iter().flat_map(of) {
        sum += f64::from(*value);
        n += 1;
    }
    sum / n as f64
}

/// The sequences of a batch with what the policy said of them.
pub(super) fn described(batch: &[&TokenExample], scores: &[SequenceScores]) -> Vec<serde_json::Value> {
    let describe = |(example, scores): (&&TokenExample, &SequenceScores)| {
        json!({
            "token_ids": example.ids,
            "completion_start": example.completion.start,
            "log_probs": scores.log_probs,
        })
    };
    batch.iter().zip(scores).map(describe).collect()
}
