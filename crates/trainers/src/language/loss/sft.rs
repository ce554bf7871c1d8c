//! Supervised fine-tuning on given tokens.
//!
//! A token's loss depends on nothing but its own log-probability and weight, so it can be formed inside
//! [`razor_tensor::token_loss_gradient`] in one pass. With [`Reduction::TokenMean`](super::Reduction::TokenMean) over the
//! optimizer step it is what TRL 1.16 computes with `num_items_in_batch` (golden test).

use serde::{Deserialize, Serialize};

/// The loss of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SftLoss {
    /// −log π. Paper: arXiv 2509.04259, section 3.
    Nll,
    /// −π log π with π held constant: unlikely tokens pull less. Source: DFT, arXiv 2508.05629.
    Dft,
}

/// What a token adds to the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenTerm {
    /// Weighted loss.
    pub loss: f64,
    /// Derivative of `loss` by the log-probability.
    pub gradient: f32,
}

impl SftLoss {
    /// Loss and gradient of one token.
    ///
    /// # Shapes
    /// - `log_prob`: of the token in nats
    /// - `weight`: from [`Reduction::weights`](super::Reduction::weights)
    pub fn token(self, log_prob: f32, weight: f64) -> TokenTerm {
        let log_prob = f64::from(log_prob);
        let factor = match self {
            Self::Nll => weight,
            Self::Dft => weight * log_prob.exp(),
        };
        TokenTerm { loss: -factor * log_prob, gradient: -factor as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dft_pulls_as_hard_as_the_token_is_likely() {
        let log_prob = 0.25_f32.ln();
        assert_eq!(SftLoss::Nll.token(log_prob, 2.0).gradient, -2.0);
        let found = SftLoss::Dft.token(log_prob, 2.0);
        assert!((found.gradient + 0.5).abs() < 1e-6);
        assert!((found.loss - 0.5 * 4.0_f64.ln()).abs() < 1e-6);
    }
}
