//! Token log-probabilities, divergences and gradients at the end of a language model, without the logits tensor.
//!
//! `[B, T, V]` logits of a batch are larger than the model. Here they exist by tiles of rows and words, as many as a
//! [`TileBudget`] allows, and are reduced at once: normalizers online, sums in f64. Rows are the hidden states at the
//! positions of interest, `[N, D]`; the head is `[V, D]`, as checkpoints store it. Types narrower than f32 are widened
//! tile by tile before the product.
//!
//! None of this runs under autodiff. A trainer adds the gradient of the head to its parameter's and goes on backwards
//! from `sum(tracked_hidden * gradient_of_hidden)`.
//!
//! A logit that is NaN or +inf makes every result of its row NaN; one of -inf makes its entropies NaN and KLs NaN or
//! infinite.

mod bf16_scores;
mod budget;
mod divergences;
mod gradient_sums;
mod logit_gradient;
mod projection;
mod scores;
#[cfg(feature = "flex")]
mod sweep;
mod token_loss;

pub use bf16_scores::{Bf16Softmax, Bf16TokenScores, bf16_token_scores};
pub use budget::TileBudget;
pub use divergences::{TokenDivergences, token_divergences};
pub use scores::{TokenScores, token_scores};
pub use token_loss::{HeadWeights, KlDirection, KlToReference, TokenLossGradient, token_loss_gradient};

#[cfg(test)]
mod test_inputs {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::TileBudget;

    /// Numbers in `[-1, 1)` from a fixed sequence.
    pub(super) fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    pub(super) fn matrix(numbers: Vec<f32>, n_rows: usize) -> Tensor<2> {
        let width = numbers.len() / n_rows;
        Tensor::from_data(TensorData::new(numbers, [n_rows, width]), &Device::flex())
    }

    /// One row with these very logits: D = 1, so that the product rounds nothing.
    pub(super) fn exact(logits: &[f32]) -> (Tensor<2>, Tensor<2>) {
        (matrix(vec![1.0], 1), matrix(logits.to_vec(), logits.len()))
    }

    /// From one number at a time to everything.
    pub(super) fn budgets() -> [TileBudget; 7] {
        [0, 12, 100, 500, 2000, 20_000, 1 << 20].map(|bytes| TileBudget { bytes })
    }

    pub(super) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (idx, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(found) - expected).abs();
            assert!(error <= tolerance, "[{idx}]: {found}, expected {expected} up to {tolerance}");
        }
    }

    pub(super) fn widened(numbers: &[f32]) -> Vec<f64> {
        numbers.iter().copied().map(f64::from).collect()
    }
}
