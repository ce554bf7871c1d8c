//! Estimates of KL(π‖π₀) from the tokens that were sampled, as a term of the loss or of the reward.
//!
//! With k1 = log π − log π₀ at a token sampled from π: k1 and k3 = e^(−k1) − 1 + k1 have the right mean, k2 = ½ k1² has
//! the right gradient on-policy but not the right mean. As loss terms, k1 therefore pulls nowhere on average and k3 towards
//! the other direction of the KL. An exact KL, over the whole vocabulary, is in [`razor_tensor::token_loss_gradient`].
//!
//! Sources: the estimators and their names, John Schulman, "Approximating KL divergence" (2020); k3 in the loss, GRPO,
//! arXiv 2402.03300, equation 4; times the ratio, DeepSeek-V3.2, arXiv 2512.02556, section 3.1; k1 in the reward,
//! RLOO, arXiv 2402.14740, section 3.

use serde::{Deserialize, Serialize};

/// How the KL of one token is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// log π − log π₀.
    K1,
    /// ½ (log π − log π₀)².
    K2,
    /// π₀/π − 1 − log(π₀/π); what TRL takes.
    K3,
    /// The value of k3 with the gradient of k2.
    K3WithK2Gradient,
}

/// A penalty in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlPenalty {
    /// β.
    pub coefficient: f64,
    /// How the KL is estimated.
    pub estimator: KlEstimator,
    /// Whether the estimate is multiplied by the importance ratio, which corrects it for tokens that another policy
    /// sampled. The gradient goes through the ratio too. TRL's default.
    pub multiply_by_ratio: bool,
}

impl KlEstimator {
    /// Estimate in nats and its derivative by log π.
    pub(super) fn estimate(self, log_prob: f64, reference_log_prob: f64) -> (f64, f64) {
        let k1 = log_prob - reference_log_prob;
        let k3 = (-k1).exp_m1() + k1;
        match self {
            Self::K1 => (k1, 1.0),
            Self::K2 => (0.5 * k1 * k1, k1),
            Self::K3 => (k3, -(-k1).exp_m1()),
            Self::K3WithK2Gradient => (k3, k1),
        }
    }
}

/// Reward minus β Σ k1 over the tokens of a completion.
///
/// # Shapes
/// - `behavior_log_probs`, `reference_log_probs`: of each token, in nats, under the policy that sampled and the reference
pub fn kl_in_reward(
    reward: f32,
    coefficient: f64,
    behavior_log_probs: &[f32],
    reference_log_probs: &[f32],
) -> f32 {
    assert_eq!(behavior_log_probs.len(), reference_log_probs.len(), "expected one pair per token");
    let pairs = behavior_log_probs.iter().zip(reference_log_probs);
    let kl: f64 = pairs.map(|(&log_prob, &reference)| f64::from(log_prob) - f64::from(reference)).sum();
    (f64::from(reward) - coefficient * kl) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [KlEstimator; 4] =
        [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3, KlEstimator::K3WithK2Gradient];

    #[test]
    fn k1_and_k3_have_the_kl_as_their_mean_and_k2_its_gradient() {
        let (policy, reference) = ([0.5_f64, 0.3, 0.2], [0.2_f64, 0.3, 0.5]);
        let kl: f64 = policy.iter().zip(reference).map(|(p, q)| p * (p / q).ln()).sum();
        let mean = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            policy.iter().zip(reference).map(|(p, q)| p * of(p.ln(), q.ln())).sum()
        };
        for estimator in [KlEstimator::K1, KlEstimator::K3, KlEstimator::K3WithK2Gradient] {
            let found = mean(&|p, q| estimator.estimate(p, q).0);
            assert!((found - kl).abs() < 1e-12, "{estimator:?}: {found}, not {kl}");
        }
        // d KL / d logit of word 0 is p₀ (log p₀ − log q₀ − KL); a sampled token moves that logit by [is word 0] − p₀.
        let expected = policy[0] * ((policy[0] / reference[0]).ln() - kl);
        for estimator in [KlEstimator::K2, KlEstimator::K3WithK2Gradient] {
            let slope = |word: usize| estimator.estimate(policy[word].ln(), reference[word].ln()).1;
            let moved = |word: usize| f64::from(u8::from(word == 0)) - policy[0];
            let found: f64 = (0..3).map(|word| policy[word] * slope(word) * moved(word)).sum();
            assert!((found - expected).abs() < 1e-12, "{estimator:?}: {found}, not {expected}");
        }
    }

    #[test]
    fn an_estimate_of_equal_policies_is_exactly_zero() {
        for estimator in ALL {
            assert_eq!(estimator.estimate(-1.3, -1.3).0, 0.0);
        }
    }

    #[test]
    fn a_reward_loses_what_the_policy_went_away() {
        assert_eq!(kl_in_reward(1.0, 0.5, &[-1.0, -2.0], &[-1.5, -3.0]), 0.25);
    }
}
