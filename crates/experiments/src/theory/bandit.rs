//! A bandit with a few answers, and how far a policy on it has moved.

use serde::{Deserialize, Serialize};

use super::TheoryError;

/// One question with a handful of answers, some of them right. Answers count from 1, as in the notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandit {
    /// Probability of each answer under the reference π₀; all above 0, summing to 1.
    pub base: Vec<f64>,
    /// Right answers, counted from 1; at least one, and at least one answer is wrong.
    pub right: Vec<usize>,
}

/// Where a policy stands: how often it is right and how far it is from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PolicyPoint {
    /// Updates made so far.
    pub step: usize,
    /// J(π), the probability of a right answer.
    pub success: f64,
    /// KL(π‖π₀) in nats: what the theorem minimises.
    pub kl_policy_to_reference: f64,
    /// KL(π₀‖π) in nats, the predictor of the empirical law; `None` where it is infinite because the policy gave
    /// up an answer that the reference uses.
    pub kl_reference_to_policy: Option<f64>,
    /// KL(π‖π₀) minus the least possible at this `success`, in nats; at least 0 up to rounding.
    pub excess: f64,
}

impl Bandit {
    /// Checks the ranges that the field docs state.
    ///
    /// # Errors
    /// [`TheoryError::Config`] naming the field.
    pub(super) fn check(&self) -> Result<(), TheoryError> {
        let sum: f64 = self.base.iter().sum();
        let is_distribution = self.base.iter().all(|&p| p > 0.0) && (sum - 1.0).abs() <= 1e-9;
        let expected = "probabilities above 0 that sum to 1";
        TheoryError::require(is_distribution, "bandit.base", expected, &self.base)?;
        let in_range = self.right.iter().all(|answer| (1..=self.base.len()).contains(answer));
        let n_right = self.is_right().into_iter().filter(|&is_right| is_right).count();
        let some = n_right == self.right.len() && n_right > 0 && n_right < self.base.len();
        let expected = format!("some, not all, of the answers 1 to {}, each once", self.base.len());
        TheoryError::require(in_range && some, "bandit.right", &expected, &self.right)
    }

    /// Whether each answer is right.
    pub(super) fn is_right(&self) -> Vec<bool> {
        (1..=self.base.len()).map(|answer| self.right.contains(&answer)).collect()
    }

    /// Reward of each answer, 0 or 1.
    pub(super) fn rewards(&self) -> Vec<f64> {
        self.is_right().into_iter().map(|is_right| f64::from(u8::from(is_right))).collect()
    }

    /// J(π) of a policy given by its probabilities.
    pub(super) fn success(&self, policy: &[f64]) -> f64 {
        policy.iter().zip(self.rewards()).map(|(p, reward)| p * reward).sum()
    }

    /// The policy conditioned on being right: the I-projection of `policy` onto E\[R\] = 1, and what rejection
    /// sampling from it draws. Of the reference it is q*, the oracle.
    ///
    /// Paper: arXiv 2509.04259, lemma 5.1 (A.1).
    pub(super) fn condition_on_right(&self, policy: &[f64]) -> Vec<f64> {
        let success = self.success(policy);
        policy.iter().zip(self.rewards()).map(|(p, reward)| p * reward / success).collect()
    }

    /// The least KL(π‖π₀) of any policy that is right with probability `success`, in nats.
    ///
    /// By the chain rule it is the divergence of the two-outcome distributions right and wrong; at `success` 1 it is
    /// −ln J(π₀). Reached by keeping the reference's proportions among right and among wrong answers.
    pub(super) fn minimum_kl(&self, success: f64) -> f64 {
        let base = self.success(&self.base);
        kl(&[success, 1.0 - success], &[base, 1.0 - base])
    }

    /// Measures a policy given by its probabilities.
    pub(super) fn measure(&self, policy: &[f64], step: usize) -> PolicyPoint {
        let success = self.success(policy).min(1.0); // a sum of rounded terms may end a hair above 1
        let kl_policy_to_reference = kl(policy, &self.base);
        PolicyPoint {
            step,
            success,
            kl_policy_to_reference,
            kl_reference_to_policy: Some(kl(&self.base, policy)).filter(|kl| kl.is_finite()),
            excess: kl_policy_to_reference - self.minimum_kl(success),
        }
    }
}

/// KL(P‖Q) in nats; infinite where Q is 0 and P is not.
pub(super) fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|&(&p, _)| p > 0.0).map(|(&p, &q)| p * (p / q).ln()).sum()
}

/// Probabilities of a softmax policy.
pub(super) fn softmax(logits: &[f64]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = logits.iter().map(|logit| (logit - top).exp()).collect();
    let sum: f64 = scaled.iter().sum();
    scaled.iter().map(|value| value / sum).collect()
}

/// ln(p/(1 − p)): spreads out the last steps towards certainty.
pub(super) fn logit(p: f64) -> f64 {
    p.ln() - (-p).ln_1p()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A bandit worked out by hand: π₀ = (.35, .25, .20, .12, .08), answers 2 and 4 right.
    pub(in crate::theory) fn example() -> Bandit {
        Bandit { base: vec![0.35, 0.25, 0.20, 0.12, 0.08], right: vec![2, 4] }
    }

    #[test]
    fn conditioning_on_right_costs_minus_log_success_and_nothing_right_is_closer() {
        let bandit = example();
        let oracle = bandit.measure(&bandit.condition_on_right(&bandit.base), 0);
        // -ln 0.37, worked by hand
        assert!((oracle.kl_policy_to_reference - 0.994_252).abs() < 1e-6, "{oracle:?}");
        assert_eq!(oracle.success, 1.0);
        assert_eq!(oracle.kl_reference_to_policy, None, "the oracle gives up the wrong answers");
        for share in [0.0, 0.3, 0.6, 0.7, 1.0] {
            let other = bandit.measure(&[0.0, share, 0.0, 1.0 - share, 0.0], 0);
            assert!(other.kl_policy_to_reference >= oracle.kl_policy_to_reference, "{share}: {other:?}");
        }
    }

    #[test]
    fn the_minimum_is_reached_by_keeping_proportions_and_only_there() {
        let bandit = example();
        let at =
            |right: [f64; 2]| [0.35 / 0.63 * 0.1, right[0], 0.20 / 0.63 * 0.1, right[1], 0.08 / 0.63 * 0.1];
        let kept = bandit.measure(&at([0.9 * 0.25 / 0.37, 0.9 * 0.12 / 0.37]), 0);
        assert!(kept.excess.abs() < 1e-12, "{kept:?}");
        assert!(bandit.measure(&at([0.45, 0.45]), 0).excess > 0.01);
    }

    #[test]
    fn bad_bandits_are_refused_by_field() {
        let cases = [
            (vec![0.5, 0.6], vec![1], "bandit.base"),
            (vec![1.0, 0.0], vec![1], "bandit.base"),
            (vec![f64::NAN, 0.5], vec![1], "bandit.base"),
            (vec![0.5, 0.5], vec![3], "bandit.right"),
            (vec![0.5, 0.5], vec![0], "bandit.right"),
            (vec![0.5, 0.5], vec![1, 1], "bandit.right"),
            (vec![0.5, 0.5], vec![1, 2], "bandit.right"),
            (vec![0.5, 0.5], vec![], "bandit.right"),
        ];
        for (base, right, field) in cases {
            let error = Bandit { base, right }.check().unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        example().check().unwrap();
    }
}
