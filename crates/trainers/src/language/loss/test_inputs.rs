//! A batch on which every branch of the policy-gradient losses is taken.

use super::{Importance, KlEstimator, KlPenalty, PolicyLoss, SequenceInput, Surrogate};

/// Four sequences of 4, 1, 6 and 3 tokens.
pub(super) struct Sequence {
    pub(super) log_probs: Vec<f32>,
    pub(super) behavior: Vec<f32>,
    pub(super) reference: Vec<f32>,
    pub(super) correction: Vec<f32>,
    pub(super) advantage: f32,
}

impl Sequence {
    pub(super) fn input(&self) -> SequenceInput<'_> {
        SequenceInput {
            log_probs: &self.log_probs,
            behavior_log_probs: &self.behavior,
            reference_log_probs: Some(&self.reference),
            advantage: self.advantage,
            sampler_correction: Some(&self.correction),
        }
    }
}

/// Log-ratios from −0.8 to 1.1, none within 0.009 of the logarithm of a bound of [`losses`]: there a loss has no derivative.
pub(super) fn batch() -> Vec<Sequence> {
    let ratios: [(&[f32], f32); 4] = [
        (&[0.0, 0.5, -0.5, 0.1], 1.5),
        (&[-0.3], -0.7),
        (&[1.1, 0.05, -0.8, 0.3, -0.1, 0.6], -1.25),
        (&[0.9, 0.4, -0.6], 0.25),
    ];
    let sequence = |(idx, (log_ratios, advantage)): (usize, (&[f32], f32))| {
        let token = |f: fn(f32) -> f32| (0..log_ratios.len()).map(|t| f((7 * idx + t) as f32)).collect();
        let log_probs: Vec<f32> = token(|x| -1.5 - (x * 1.7).sin());
        Sequence {
            behavior: log_probs.iter().zip(log_ratios).map(|(x, ratio)| x - ratio).collect(),
            log_probs,
            reference: token(|x| -1.4 - (x * 2.3).cos()),
            correction: token(|x| 0.8 + 0.3 * (x * 0.9).sin()),
            advantage,
        }
    };
    ratios.into_iter().enumerate().map(sequence).collect()
}

/// Every surrogate with every importance and every KL.
pub(super) fn losses() -> Vec<PolicyLoss> {
    let surrogates = [
        Surrogate::Clipped { low: 0.2, high: 0.28, two_sided: None },
        Surrogate::Clipped { low: 0.2, high: 0.2, two_sided: Some(1.7) },
        Surrogate::Cispo { max: 1.4 },
        Surrogate::Reinforce,
    ];
    let importances = [Importance::Token, Importance::SequenceMean, Importance::SequenceSum];
    let estimators =
        [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3, KlEstimator::K3WithK2Gradient].map(Some);
    let mut losses = Vec::new();
    for surrogate in surrogates {
        for importance in importances {
            for estimator in estimators.into_iter().chain([None]) {
                for multiply_by_ratio in [false, true] {
                    let penalty = |estimator| KlPenalty { coefficient: 0.3, estimator, multiply_by_ratio };
                    losses.push(PolicyLoss { surrogate, importance, kl: estimator.map(penalty) });
                }
            }
        }
    }
    losses
}
