//! SimPO: a preferred completion against a rejected one, without a reference.
//!
//! −log σ(β (s(y_w) − s(y_l)) − γ), where s is the log-probability of the completion, divided by its tokens in SimPO
//! itself (arXiv 2405.14734, equation 6) and not divided as arXiv 2509.04259, section 5.1, prints it. TRL 1.16
//! (`CPOTrainer`, `loss_type="simpo"`) has the divided one; it also adds an NLL term by default, which is not part of
//! SimPO and not here.

use serde::{Deserialize, Serialize};

/// A SimPO loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimpoLoss {
    /// Scale β of the difference.
    pub beta: f64,
    /// Margin γ.
    pub gamma: f64,
    /// Whether log-probabilities are divided by the number of tokens.
    pub is_length_normalized: bool,
}

/// What a pair adds to the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairTerm {
    /// Weighted loss.
    pub loss: f64,
    /// β (s(y_w) − s(y_l)), before the margin.
    pub reward_gap: f64,
    /// Derivative of `loss` by every log-probability of the preferred completion.
    pub chosen_gradient: f32,
    /// Derivative of `loss` by every log-probability of the rejected completion.
    pub rejected_gradient: f32,
}

impl SimpoLoss {
    /// Loss and gradients of one pair.
    ///
    /// # Shapes
    /// - `chosen`, `rejected`: log-probabilities of each token in nats; at least one token each
    /// - `weight`: of the pair, `1 / pairs` for a mean over the optimizer step
    ///
    /// # Panics
    /// When a completion has no tokens.
    pub fn pair(&self, chosen: &[f32], rejected: &[f32], weight: f64) -> PairTerm {
        assert!(!chosen.is_empty() && !rejected.is_empty(), "a completion of a pair has no tokens");
        let scale = |completion: &[f32]| {
            if self.is_length_normalized { self.beta / completion.len() as f64 } else { self.beta }
        };
        let sum = |completion: &[f32]| completion.iter().map(|&x| f64::from(x)).sum::<f64>();
        let (of_chosen, of_rejected) = (scale(chosen), scale(rejected));
        let reward_gap = of_chosen * sum(chosen) - of_rejected * sum(rejected);
        let margin = reward_gap - self.gamma;
        // log(1 + e^(−x)) without overflow; its derivative is −σ(−x).
        let loss = (-margin.abs()).exp().ln_1p() + (-margin).max(0.0);
        let slope = -weight / (1.0 + margin.exp());
        PairTerm {
            loss: weight * loss,
            reward_gap,
            chosen_gradient: (slope * of_chosen) as f32,
            rejected_gradient: (-slope * of_rejected) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_pairs_neither_overflow_nor_vanish() {
        let loss = SimpoLoss { beta: 1.0, gamma: 1.0, is_length_normalized: false };
        let wrong = loss.pair(&[-2000.0], &[-1.0], 1.0);
        assert_eq!((wrong.loss, wrong.chosen_gradient, wrong.rejected_gradient), (2000.0, -1.0, 1.0));
        let right = loss.pair(&[-1.0], &[-2000.0], 1.0);
        assert_eq!((right.loss, right.chosen_gradient), (0.0, 0.0));
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        for is_length_normalized in [false, true] {
            let loss = SimpoLoss { beta: 1.3, gamma: 0.4, is_length_normalized };
            let at =
                |chosen: f32, rejected: f32| loss.pair(&[chosen, -0.5], &[rejected, -0.75, -0.25], 0.7).loss;
            let found = loss.pair(&[-0.75, -0.5], &[-1.0, -0.75, -0.25], 0.7);
            let step = 1.0 / 512.0; // exact in f32
            let slope = |high: f64, low: f64| (high - low) / (2.0 * f64::from(step));
            let chosen = slope(at(-0.75 + step, -1.0), at(-0.75 - step, -1.0));
            let rejected = slope(at(-0.75, -1.0 + step), at(-0.75, -1.0 - step));
            // Third derivatives below 0.2 times step² / 6, and the rounding of an f32.
            assert!((f64::from(found.chosen_gradient) - chosen).abs() < 3e-7, "{found:?} {chosen}");
            assert!((f64::from(found.rejected_gradient) - rejected).abs() < 3e-7, "{found:?} {rejected}");
        }
    }
}
