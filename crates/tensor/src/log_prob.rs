//! Log-probabilities of a categorical policy.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Log-probability of every label.
///
/// # Shapes
/// - `logits`: `[B, V]`, unnormalized
/// - returns: `[B, V]` in nats, finite wherever the logits are: nothing is clamped, so a KL built on it can grow
///   as far as the policies really part
pub fn log_probs(logits: Tensor<2>) -> Tensor<2> {
    log_softmax(logits, 1) // [B, V]
}

/// Log-probability of one label per row.
///
/// # Shapes
/// - `log_probs`: `[B, V]` in nats
/// - `labels`: `[B]`, each in `0..V`
/// - returns: `[B]` in nats
pub fn label_log_probs(log_probs: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let taken = log_probs.gather(1, labels.unsqueeze_dim::<2>(1)); // [B, 1]
    taken.squeeze_dim::<1>(1) // [B]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn probabilities_sum_to_one_for_logits_far_apart() {
        let logits = Tensor::<2>::from_data([[80.0, -80.0, 0.0], [1.0, 2.0, 3.0]], &Device::flex());
        let log_probs = log_probs(logits);
        let sums = log_probs.clone().exp().sum_dim(1); // [B, 1]
        sums.into_data()
            .assert_approx_eq::<f32>(&TensorData::from([[1.0], [1.0]]), Tolerance::absolute(1e-6));
        let lowest = log_probs.min().into_scalar::<f32>();
        assert!((lowest + 160.0).abs() < 1e-3, "not clamped: {lowest}");
    }

    #[test]
    fn the_label_of_each_row_is_taken() {
        let table = Tensor::<2>::from_data([[-1.0, -2.0], [-3.0, -4.0]], &Device::flex());
        let labels = Tensor::<1, Int>::from_data([1, 0], &Device::flex());
        let taken = label_log_probs(table, labels);
        taken.into_data().assert_eq(&TensorData::from([-2.0_f32, -3.0]), true);
    }
}
