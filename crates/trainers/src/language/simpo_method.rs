//! Preference pairs: a completion to prefer and one to reject for the same prompt.
//!
//! Paper: arXiv 2509.04259, section 5.1 (the offline method with a negative term); SimPO, arXiv 2405.14734, section 2.

use std::time::Instant;

use razor_core::Seed;
use razor_data::TokenExample;

use crate::language::epoch_order::EpochOrder;
use crate::language::error::TrainError;
use crate::language::learner::Learner;
use crate::language::loss::{PairTerm, SimpoLoss};
use crate::language::method::{Method, StepError, StepOutcome};
use crate::language::run::{StepRecord, metric_name};
use crate::language::sft_method::{described, token_mean};

/// Two completions of one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferencePair {
    /// The preferred one, y_w.
    pub chosen: TokenExample,
    /// The rejected one, y_l.
    pub rejected: TokenExample,
}

/// SimPO on preference pairs.
#[derive(Debug)]
pub struct SimpoMethod<'a> {
    pairs: &'a [PreferencePair],
    order: EpochOrder,
    loss: SimpoLoss,
}

impl<'a> SimpoMethod<'a> {
    /// On `pairs`, `batch_size` of them a step.
    ///
    /// # Errors
    /// [`TrainError::NoData`] without pairs.
    pub fn new(
        pairs: &'a [PreferencePair],
        batch_size: usize,
        loss: SimpoLoss,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        if pairs.is_empty() {
            return Err(TrainError::NoData("the data holds no pair of completions".to_owned()));
        }
        Ok(Self { pairs, order: EpochOrder::new(pairs.len(), batch_size, seed.derive("pairs", 0)), loss })
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.order.batches_per_epoch()
    }
}

impl Method for SimpoMethod<'_> {
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError> {
        let started = Instant::now();
        let pairs = self.order.batch(step_idx).iter().map(|&idx| &self.pairs[idx]);
        let batch: Vec<&TokenExample> = pairs.flat_map(|pair| [&pair.chosen, &pair.rejected]).collect();
        let n_pairs = batch.len() / 2;
        // The gradient of a token depends on the log-probability of both completions.
        let scores = learner.score(&batch, 1.0);
        let terms: Vec<PairTerm> = scores
            .chunks_exact(2)
            .map(|pair| self.loss.pair(&pair[0].log_probs, &pair[1].log_probs, 1.0 / n_pairs as f64))
            .collect();
        let loss: f64 = terms.iter().map(|term| term.loss).sum();
        let not_finite = |what| StepError::NotFinite { what, batch: described(&batch, &scores) };
        if !loss.is_finite() {
            return Err(not_finite("loss"));
        }
        learner.accumulate(&batch, 1.0, None, &mut |sequence, _, _| {
            let term = &terms[sequence / 2];
            if sequence % 2 == 0 { term.chosen_gradient } else { term.rejected_gradient }
        });
        let update = learner.step(learning_rate);
        if !update.is_finite {
            return Err(not_finite("gradient"));
        }
        let n_tokens: usize = batch.iter().map(|example| example.ids.len()).sum();
        let n_trained: usize = batch.iter().map(|example| example.completion.len()).sum();
        let gaps = terms.iter().map(|term| term.reward_gap);
        let mut record = StepRecord::new(step_idx as u64 + 1)
            .with(metric_name::LOSS, loss)
            .with(metric_name::REWARD_GAP, gaps.clone().sum::<f64>() / n_pairs as f64)
            .with(metric_name::REWARD_ACCURACY, gaps.filter(|gap| *gap > 0.0).count() as f64 / n_pairs as f64)
            .with(metric_name::ENTROPY, token_mean(&scores, |scores| &scores.entropies))
            .with(metric_name::LENGTH_MEAN, n_trained as f64 / batch.len() as f64)
            .with(metric_name::GRAD_NORM, update.grad_norm)
            .with(metric_name::LEARNING_RATE, learning_rate)
            .with(metric_name::EPOCH, (step_idx + 1) as f64 / self.order.batches_per_epoch() as f64);
        if update.penalty > 0.0 {
            record.set(metric_name::WEIGHT_PENALTY, update.penalty);
        }
        let seconds = started.elapsed().as_secs_f64();
        record.set_timing(metric_name::STEP_SECONDS, seconds);
        record.set_timing(metric_name::TOKENS_PER_SECOND, n_tokens as f64 / seconds);
        Ok(StepOutcome { record, completions: Vec::new() })
    }
}
