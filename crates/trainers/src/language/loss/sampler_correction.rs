//! What to do when the tokens were not sampled by quite the policy that is trained: another engine, another precision, an
//! older step.
//!
//! Sources: truncated importance sampling, Yao et al., "Your efficient RL framework secretly brings you off-policy RL
//! training" (2025); masking instead of truncating, and the sequence mask, DeepSeek-V3.2, arXiv 2512.02556, section 3.1.
//! Both as TRL 1.16 does them (golden tests).

use serde::{Deserialize, Serialize};

/// What a correction is a ratio of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionLevel {
    /// Of each token.
    Token,
    /// Of the whole sequence: the product over its tokens.
    Sequence,
}

/// What happens to a ratio outside of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionBound {
    /// It becomes the bound.
    Truncate,
    /// It becomes 0: the token or sequence is left out.
    Mask,
}

/// Importance weights π_behavior / π_sampler, bounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerCorrection {
    /// What the ratio is of.
    pub level: CorrectionLevel,
    /// What happens outside of the bounds.
    pub bound: CorrectionBound,
    /// The smallest ratio.
    pub min: Option<f64>,
    /// The largest ratio.
    pub max: Option<f64>,
}

impl SamplerCorrection {
    /// Factor of each token, for [`SequenceInput::sampler_correction`](super::SequenceInput::sampler_correction).
    ///
    /// A token whose sampler log-probability is NaN, because the sampler could not say, is not corrected.
    ///
    /// # Shapes
    /// - `behavior_log_probs`, `sampler_log_probs`: of each token in nats, as computed by the trainer with the weights that
    ///   sampled, and as reported by the sampler, at the same temperature and over the same words
    pub fn weights(&self, behavior_log_probs: &[f32], sampler_log_probs: &[f32]) -> Vec<f32> {
        let differences = differences(behavior_log_probs, sampler_log_probs);
        let bounded = |log_ratio: f64| {
            let (ratio, min, max) =
                (log_ratio.exp(), self.min.unwrap_or(0.0), self.max.unwrap_or(f64::INFINITY));
            match self.bound {
                CorrectionBound::Truncate => ratio.max(min).min(max) as f32,
                CorrectionBound::Mask if ratio < min || ratio > max => 0.0,
                CorrectionBound::Mask => ratio as f32,
            }
        };
        match self.level {
            CorrectionLevel::Token => differences.into_iter().map(bounded).collect(),
            CorrectionLevel::Sequence => {
                vec![bounded(differences.iter().sum()); differences.len()]
            }
        }
    }
}

/// Whether a sequence is too far off-policy to be pushed down: A < 0 and a mean of log π_sampler − log π above
/// `threshold` nats. The policy term of such a sequence is dropped by an advantage of 0; its KL stays.
///
/// # Shapes
/// - `log_probs`, `sampler_log_probs`: of each token in nats, under the policy and under what sampled
pub fn is_off_policy(advantage: f32, log_probs: &[f32], sampler_log_probs: &[f32], threshold: f64) -> bool {
    let drift = -differences(log_probs, sampler_log_probs).iter().sum::<f64>();
    advantage < 0.0 && drift > threshold * log_probs.len().max(1) as f64
}

/// `left − right`, 0 where `right` is unknown.
fn differences(left: &[f32], right: &[f32]) -> Vec<f64> {
    assert_eq!(left.len(), right.len(), "expected one sampler log-prob per token");
    let difference =
        |(&left, &right): (&f32, &f32)| if right.is_nan() { 0.0 } else { f64::from(left) - f64::from(right) };
    left.iter().zip(right).map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHAVIOR: [f32; 3] = [-1.0, -2.0, -3.0];

    fn weights(level: CorrectionLevel, bound: CorrectionBound, sampler: [f32; 3]) -> Vec<f32> {
        SamplerCorrection { level, bound, min: Some(0.5), max: Some(2.0) }.weights(&BEHAVIOR, &sampler)
    }

    #[test]
    fn ratios_out_of_bounds_are_truncated_or_masked() {
        let sampler = [-3.0, -2.0, -1.0]; // ratios e², 1, e⁻²
        let token = |bound| weights(CorrectionLevel::Token, bound, sampler);
        assert_eq!(token(CorrectionBound::Truncate), [2.0, 1.0, 0.5]);
        assert_eq!(token(CorrectionBound::Mask), [0.0, 1.0, 0.0]);
        let sequence = |bound| weights(CorrectionLevel::Sequence, bound, [-2.0, -2.0, -3.0]); // e
        assert_eq!(sequence(CorrectionBound::Truncate), [2.0; 3]);
        assert_eq!(sequence(CorrectionBound::Mask), [0.0; 3]);
    }

    #[test]
    fn what_the_sampler_could_not_say_is_not_corrected() {
        let found = weights(CorrectionLevel::Token, CorrectionBound::Mask, [f32::NAN, -2.0, -3.0]);
        assert_eq!(found, [1.0; 3]);
        let sequence = weights(CorrectionLevel::Sequence, CorrectionBound::Mask, [f32::NAN, -2.0, -3.0]);
        assert_eq!(sequence, [1.0; 3]);
    }

    #[test]
    fn only_bad_sequences_far_away_are_dropped() {
        let far = [-0.5, -1.5, -2.5]; // half a nat per token
        assert!(is_off_policy(-1.0, &BEHAVIOR, &far, 0.4));
        assert!(!is_off_policy(-1.0, &BEHAVIOR, &far, 0.6));
        assert!(!is_off_policy(1.0, &BEHAVIOR, &far, 0.4));
        assert!(!is_off_policy(-1.0, &BEHAVIOR, &[f32::NAN; 3], 0.4));
    }
}
