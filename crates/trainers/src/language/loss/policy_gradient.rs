//! Policy-gradient losses: GRPO and its relatives, one sequence at a time.
//!
//! With ρ = π/π_behavior of a token or of a whole sequence and A the advantage of the completion, each token adds its
//! weight times c · L + β · KL, where c corrects for the [sampler](super::SamplerCorrection) and L is one of [`Surrogate`].
//! The methods differ in four independent choices, each a field: surrogate, importance, KL, and outside of this file the
//! [reduction](super::Reduction) and the advantage. [Presets](super::trl_grpo) put them together.
//!
//! Agrees with TRL 1.16 in value and gradient (golden test), with one deviation: RLOO's value lacks the constant −A of a
//! masked-out sequence, which has no gradient. Counts are of tokens also where the ratio is of a sequence.

use serde::{Deserialize, Serialize};

use super::kl::KlPenalty;

/// What is made of ratio and advantage at each token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Surrogate {
    /// −min(ρ A, clip(ρ, 1 − low, 1 + high) A). Sources: PPO, arXiv 1707.06347, equation 7; two ranges, DAPO,
    /// arXiv 2503.14476, equation 8.
    Clipped {
        /// ε.
        low: f64,
        /// ε of the upper side.
        high: f64,
        /// δ > 1 + high: ρ is also capped there, so that a negative advantage cannot push without bound. Source:
        /// dual clip, arXiv 1912.09729, as the cap on the ratio that TRL makes of it.
        two_sided: Option<f64>,
    },
    /// −min(ρ, max) A log π, without a gradient through ρ: clipped tokens still teach. Source: CISPO, arXiv 2506.13585,
    /// equation 4, with an upper bound only, as in ScaleRL, arXiv 2510.13786, section 3.2, and TRL.
    Cispo {
        /// The largest ratio.
        max: f64,
    },
    /// −A log π: REINFORCE, arXiv 2402.14740, section 3; the paper's 1–0 REINFORCE with the reward as advantage,
    /// arXiv 2509.04259, section 5.1. Takes no account of who sampled.
    Reinforce,
}

/// What a ratio is a ratio of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Of each token.
    Token,
    /// Of the whole sequence, normalized by length: exp of the mean log-ratio. Source: GSPO, arXiv 2507.18071,
    /// equation 7.
    SequenceMean,
    /// Of the whole sequence: exp of the sum of log-ratios, as TRL's RLOO.
    SequenceSum,
}

/// A policy-gradient loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyLoss {
    /// The term of each token.
    pub surrogate: Surrogate,
    /// The ratio in it.
    pub importance: Importance,
    /// An estimated KL in the loss.
    pub kl: Option<KlPenalty>,
}

/// One completion of `T` tokens.
#[derive(Debug, Clone, Copy)]
pub struct SequenceInput<'a> {
    /// Under the policy, `[T]` in nats, at the temperature of sampling.
    pub log_probs: &'a [f32],
    /// Under the policy that sampled, `[T]` in nats; `log_probs` itself on-policy, which makes every ratio 1.
    pub behavior_log_probs: &'a [f32],
    /// Under the reference, `[T]` in nats; needed where there is a KL.
    pub reference_log_probs: Option<&'a [f32]>,
    /// Advantage of the completion.
    pub advantage: f32,
    /// Factor of each token's policy term, `[T]`, not of its KL.
    pub sampler_correction: Option<&'a [f32]>,
}

/// What a sequence adds to the loss of an optimizer step.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceTerm {
    /// Weighted loss.
    pub loss: f64,
    /// Derivative of `loss` by each log-probability, `[T]`.
    pub gradient: Vec<f32>,
    /// Tokens with A < 0 whose ratio is below the range.
    pub n_clipped_low: usize,
    /// Tokens with A > 0 whose ratio is above the range.
    pub n_clipped_high: usize,
    /// Sum over tokens of the estimated KL in nats, times the ratio where the penalty has it; 0 without a penalty.
    pub kl: f64,
}

/// A token's share, before the weight.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    loss: f64,
    /// Derivative by log π at constant ratio.
    by_log_prob: f64,
    /// Derivative by log ρ.
    by_log_ratio: f64,
}

impl PolicyLoss {
    /// Loss, gradient and counts of one sequence.
    ///
    /// # Shapes
    /// - `weight`: of each token, from [`Reduction::weights`](super::Reduction::weights); 0 masks the sequence out
    ///
    /// # Panics
    /// When lengths differ, or a KL is asked for without a reference.
    pub fn sequence(&self, input: &SequenceInput<'_>, weight: f64) -> SequenceTerm {
        let n_tokens = input.log_probs.len();
        assert_eq!(input.behavior_log_probs.len(), n_tokens, "expected one behavior log-prob per token");
        let correction = input.sampler_correction;
        assert!(correction.is_none_or(|c| c.len() == n_tokens), "expected one sampler correction per token");
        let mut term = SequenceTerm {
            loss: 0.0,
            gradient: vec![0.0; n_tokens],
            n_clipped_low: 0,
            n_clipped_high: 0,
            kl: 0.0,
        };
        if weight == 0.0 || n_tokens == 0 {
            return term;
        }
        let advantage = f64::from(input.advantage);
        let log_ratios = self.importance.log_ratios(input.log_probs, input.behavior_log_probs);
        let mut shares = Vec::with_capacity(n_tokens);
        for (token_idx, &log_ratio) in log_ratios.iter().enumerate() {
            let (log_prob, ratio) = (f64::from(input.log_probs[token_idx]), log_ratio.exp());
            let correction = correction.map_or(1.0, |correction| f64::from(correction[token_idx]));
            let mut share = self.surrogate.share(ratio, log_prob, advantage).times(correction);
            if let Some(kl) = &self.kl {
                let reference = input.reference_log_probs.expect("a KL has a reference")[token_idx];
                let (estimate, of_kl) = kl.share(ratio, log_prob, f64::from(reference));
                term.kl += estimate;
                share = share.plus(of_kl);
            }
            let [is_low, is_high] = self.surrogate.is_clipped(ratio, advantage);
            term.n_clipped_low += usize::from(is_low);
            term.n_clipped_high += usize::from(is_high);
            term.loss += weight * share.loss;
            shares.push(share);
        }
        let through_ratio = self.importance.back_to_log_probs(&shares);
        for (gradient, (share, through_ratio)) in
            term.gradient.iter_mut().zip(shares.iter().zip(through_ratio))
        {
            *gradient = (weight * (share.by_log_prob + through_ratio)) as f32;
        }
        term
    }
}

impl Importance {
    /// log ρ of each token.
    fn log_ratios(self, log_probs: &[f32], behavior_log_probs: &[f32]) -> Vec<f64> {
        let pairs = log_probs.iter().zip(behavior_log_probs);
        let mut log_ratios: Vec<_> = pairs.map(|(&new, &old)| f64::from(new) - f64::from(old)).collect();
        let sum = log_ratios.iter().sum::<f64>();
        match self {
            Self::Token => (),
            Self::SequenceMean => log_ratios = vec![sum / log_ratios.len() as f64; log_ratios.len()],
            Self::SequenceSum => log_ratios.fill(sum),
        }
        log_ratios
    }

    /// From derivatives by log ρ to derivatives by log π.
    fn back_to_log_probs(self, shares: &[Share]) -> Vec<f64> {
        let sum = shares.iter().map(|share| share.by_log_ratio).sum::<f64>();
        match self {
            Self::Token => shares.iter().map(|share| share.by_log_ratio).collect(),
            Self::SequenceMean => vec![sum / shares.len() as f64; shares.len()],
            Self::SequenceSum => vec![sum; shares.len()],
        }
    }
}

impl Surrogate {
    fn share(self, ratio: f64, log_prob: f64, advantage: f64) -> Share {
        match self {
            Self::Clipped { low, high, two_sided } => {
                let clipped = ratio.clamp(1.0 - low, 1.0 + high) * advantage;
                let capped = two_sided.map_or(ratio, |cap| ratio.min(cap));
                let unclipped = capped * advantage;
                // Where both are equal the ratio is in range, and the gradient goes through.
                let is_moving = unclipped <= clipped && capped == ratio;
                let by_log_ratio = if is_moving { -unclipped } else { 0.0 };
                Share { loss: -unclipped.min(clipped), by_log_prob: 0.0, by_log_ratio }
            }
            Self::Cispo { max } => Self::likelihood(ratio.min(max) * advantage, log_prob),
            Self::Reinforce => Self::likelihood(advantage, log_prob),
        }
    }

    fn likelihood(factor: f64, log_prob: f64) -> Share {
        Share { loss: -factor * log_prob, by_log_prob: -factor, by_log_ratio: 0.0 }
    }

    /// Whether the ratio is out of range below or above, on the side that the advantage pushes to.
    fn is_clipped(self, ratio: f64, advantage: f64) -> [bool; 2] {
        let (lowest, highest) = match self {
            Self::Clipped { low, high, .. } => (1.0 - low, 1.0 + high),
            Self::Cispo { max } => (0.0, max),
            Self::Reinforce => (0.0, f64::INFINITY),
        };
        [ratio < lowest && advantage < 0.0, ratio > highest && advantage > 0.0]
    }
}

impl KlPenalty {
    /// The estimate, and its share in the loss.
    fn share(&self, ratio: f64, log_prob: f64, reference_log_prob: f64) -> (f64, Share) {
        let (estimate, slope) = self.estimator.estimate(log_prob, reference_log_prob);
        let (factor, by_log_ratio) =
            if self.multiply_by_ratio { (ratio, ratio * estimate) } else { (1.0, 0.0) };
        let share = Share { loss: factor * estimate, by_log_prob: factor * slope, by_log_ratio };
        (factor * estimate, share.times(self.coefficient))
    }
}

impl Share {
    fn times(self, factor: f64) -> Self {
        Self {
            loss: self.loss * factor,
            by_log_prob: self.by_log_prob * factor,
            by_log_ratio: self.by_log_ratio * factor,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            by_log_prob: self.by_log_prob + other.by_log_prob,
            by_log_ratio: self.by_log_ratio + other.by_log_ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{batch, losses};
    use super::super::{KlEstimator, Reduction};
    use super::*;

    const REDUCTIONS: [Reduction; 4] = [
        Reduction::SequenceMean,
        Reduction::TokenMean,
        Reduction::LocalTokenMean { local_batch: 2 },
        Reduction::ConstantLength,
    ];

    /// Step of finite differences, exact in f32 near 1.
    const STEP: f32 = 1.0 / 1024.0;

    fn token_loss(surrogate: Surrogate, ratio: f64, advantage: f64) -> (f64, f64) {
        let share = surrogate.share(ratio, 0.0, advantage);
        (share.loss, share.by_log_ratio)
    }

    #[test]
    fn clipping_stops_the_gradient_on_the_side_that_the_advantage_pushes_to() {
        let surrogate = Surrogate::Clipped { low: 0.2, high: 0.3, two_sided: None };
        for (ratio, advantage, expected) in [
            (1.5, 2.0, (-2.6, 0.0)),
            (1.5, -2.0, (3.0, 3.0)),
            (0.5, 2.0, (-1.0, -1.0)),
            (0.5, -2.0, (1.6, 0.0)),
            (1.1, 2.0, (-2.2, -2.2)),
            (1.5, 0.0, (0.0, 0.0)),
        ] {
            assert_eq!(token_loss(surrogate, ratio, advantage), expected, "{ratio}, {advantage}");
        }
    }

    #[test]
    fn a_second_bound_stops_a_negative_advantage_too() {
        let surrogate = Surrogate::Clipped { low: 0.2, high: 0.3, two_sided: Some(4.0) };
        assert_eq!(token_loss(surrogate, 3.0, -2.0), (6.0, 6.0));
        assert_eq!(token_loss(surrogate, 9.0, -2.0), (8.0, 0.0));
        assert_eq!(token_loss(surrogate, 9.0, 2.0), (-2.6, 0.0));
    }

    #[test]
    fn on_policy_all_surrogates_have_the_same_gradient() {
        for sequence in batch() {
            let on_policy = SequenceInput { behavior_log_probs: &sequence.log_probs, ..sequence.input() };
            let reinforce =
                PolicyLoss { surrogate: Surrogate::Reinforce, importance: Importance::Token, kl: None };
            let expected = reinforce.sequence(&on_policy, 0.1).gradient;
            for loss in losses().into_iter().filter(|loss| loss.importance == Importance::Token) {
                let found = PolicyLoss { kl: None, ..loss }.sequence(&on_policy, 0.1);
                assert_eq!(found.gradient, expected, "{loss:?}");
                assert_eq!((found.n_clipped_low, found.n_clipped_high), (0, 0));
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let weights = [0.11, 0.07, 0.13, 0.05];
        for loss in losses() {
            for (sequence, weight) in batch().iter().zip(weights) {
                let found = loss.sequence(&sequence.input(), weight);
                for token_idx in 0..sequence.log_probs.len() {
                    let slope = slope(&loss, &sequence.input(), token_idx, weight);
                    let error = (f64::from(found.gradient[token_idx]) - slope).abs();
                    // Third derivatives below 40 times STEP² / 6: a ratio of e^1.4 times advantage, weight and KL.
                    assert!(error < 6e-6, "{loss:?}, token {token_idx}: {found:?}, slope {slope}");
                }
            }
        }
    }

    /// Central difference of the loss by one log-probability, with what has no gradient held where it is.
    fn slope(loss: &PolicyLoss, input: &SequenceInput<'_>, token_idx: usize, weight: f64) -> f64 {
        let at = |step: f32| {
            let mut moved = input.log_probs.to_vec();
            moved[token_idx] += step;
            let moved_input = SequenceInput { log_probs: &moved, ..*input };
            let step = f64::from(moved[token_idx]) - f64::from(input.log_probs[token_idx]);
            let value = held_value(loss, &moved_input, input) * weight;
            (step, value)
        };
        let ((high_step, high), (low_step, low)) = (at(STEP), at(-STEP));
        (high - low) / (high_step - low_step)
    }

    /// The loss written out anew, with ratios of CISPO and slopes of straight-through estimates taken at `held`.
    fn held_value(loss: &PolicyLoss, moved: &SequenceInput<'_>, held: &SequenceInput<'_>) -> f64 {
        let ratios = |input: &SequenceInput<'_>| -> Vec<f64> {
            let logs = loss.importance.log_ratios(input.log_probs, input.behavior_log_probs);
            logs.into_iter().map(f64::exp).collect()
        };
        let (now, before) = (ratios(moved), ratios(held));
        let advantage = f64::from(moved.advantage);
        let tokens = 0..moved.log_probs.len();
        tokens
            .map(|t| {
                let [log_prob, start, reference] =
                    [moved.log_probs[t], held.log_probs[t], moved.reference_log_probs.unwrap()[t]]
                        .map(f64::from);
                let term = match loss.surrogate {
                    Surrogate::Clipped { low, high, two_sided } => {
                        let clipped = now[t].min(1.0 + high).max(1.0 - low) * advantage;
                        -(now[t].min(two_sided.unwrap_or(f64::INFINITY)) * advantage).min(clipped)
                    }
                    Surrogate::Cispo { max } => -before[t].min(max) * advantage * log_prob,
                    Surrogate::Reinforce => -advantage * log_prob,
                };
                let kl = loss.kl.map_or(0.0, |kl| {
                    let k3 = |log_prob: f64| (reference - log_prob).exp() - 1.0 + log_prob - reference;
                    let k2 = |log_prob: f64| 0.5 * (log_prob - reference).powi(2);
                    let estimate = match kl.estimator {
                        KlEstimator::K1 => log_prob - reference,
                        KlEstimator::K2 => k2(log_prob),
                        KlEstimator::K3 => k3(log_prob),
                        KlEstimator::K3WithK2Gradient => k3(start) + k2(log_prob) - k2(start),
                    };
                    kl.coefficient * estimate * if kl.multiply_by_ratio { now[t] } else { 1.0 }
                });
                f64::from(moved.sampler_correction.unwrap()[t]) * term + kl
            })
            .sum()
    }

    #[test]
    fn no_split_into_micro_batches_changes_anything() {
        // A micro-batch sees its own sequences and the weights of the whole step, nothing else; what depended on others
        // would differ between one sequence at a time, pairs, and everything.
        let batch = batch();
        let lengths: Vec<_> = batch.iter().map(|sequence| sequence.log_probs.len()).collect();
        for reduction in REDUCTIONS {
            let weights = reduction.weights(&lengths, 8);
            for loss in losses() {
                let results = [1, 2, 3, 4].map(|size| {
                    let (mut value, mut gradients) = (0.0, Vec::new());
                    for (sequences, weights) in batch.chunks(size).zip(weights.chunks(size)) {
                        let terms = sequences.iter().zip(weights);
                        let terms: Vec<_> = terms
                            .map(|(sequence, &weight)| loss.sequence(&sequence.input(), weight))
                            .collect();
                        value += terms.iter().map(|term| term.loss).sum::<f64>();
                        gradients.extend(terms.into_iter().flat_map(|term| term.gradient));
                    }
                    (value, gradients)
                });
                for (value, gradients) in &results {
                    assert!((value - results[0].0).abs() < 1e-12);
                    assert_eq!(gradients, &results[0].1, "{loss:?} {reduction:?}");
                }
                let whole = whole_batch_loss(&loss, reduction, &batch);
                assert!((whole - results[0].0).abs() < 1e-12, "{loss:?} {reduction:?}");
            }
        }
    }

    /// The loss of the batch as the formulas of the reductions say it.
    fn whole_batch_loss(
        loss: &PolicyLoss,
        reduction: Reduction,
        batch: &[super::super::test_inputs::Sequence],
    ) -> f64 {
        let sums: Vec<_> = batch.iter().map(|s| held_value(loss, &s.input(), &s.input())).collect();
        let lengths: Vec<_> = batch.iter().map(|s| s.log_probs.len() as f64).collect();
        let mean = |sums: &[f64], lengths: &[f64]| sums.iter().sum::<f64>() / lengths.iter().sum::<f64>();
        match reduction {
            Reduction::SequenceMean => sums.iter().zip(&lengths).map(|(sum, n)| sum / n).sum::<f64>() / 4.0,
            Reduction::TokenMean => mean(&sums, &lengths),
            Reduction::LocalTokenMean { .. } => {
                f64::midpoint(mean(&sums[..2], &lengths[..2]), mean(&sums[2..], &lengths[2..]))
            }
            Reduction::ConstantLength => sums.iter().sum::<f64>() / (4.0 * 8.0),
        }
    }

    #[test]
    fn clipped_tokens_are_counted_on_the_side_that_matters() {
        let batch = batch();
        let surrogate = Surrogate::Clipped { low: 0.2, high: 0.28, two_sided: None };
        let counts = |importance| {
            let loss = PolicyLoss { surrogate, importance, kl: None };
            let terms = batch.iter().map(|sequence| loss.sequence(&sequence.input(), 1.0));
            terms.map(|term| (term.n_clipped_low, term.n_clipped_high)).collect::<Vec<_>>()
        };
        assert_eq!(counts(Importance::Token), [(0, 1), (1, 0), (1, 0), (0, 2)]);
        assert_eq!(counts(Importance::SequenceSum), [(0, 0), (1, 0), (0, 0), (0, 3)]);
    }

    #[test]
    fn a_masked_out_sequence_adds_nothing() {
        let loss = losses()[4];
        let sequence = &batch()[2];
        let found = loss.sequence(&sequence.input(), 0.0);
        assert_eq!(found.gradient, [0.0; 6]);
        assert_eq!((found.loss, found.kl, found.n_clipped_low), (0.0, 0.0, 0));
    }
}
