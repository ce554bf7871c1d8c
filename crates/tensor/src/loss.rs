//! The cross-entropy that every categorical method is built on.

use burn::tensor::Tensor;

/// Weighted cross-entropy −(1/B) Σ_b Σ_y w_by log π(y | x_b), a scalar.
///
/// With a one-hot or a soft target as weight it is supervised fine-tuning; with the advantages of a group collapsed
/// onto their labels it is the policy gradient of the whole group. The weights are constants: no gradient flows
/// through them.
///
/// # Shapes
/// - `log_probs`: `[B, V]` in nats
/// - `weights`: `[B, V]`, any sign; a row of zeros gives exactly zero gradient
/// - returns: `[1]` in nats
pub fn weighted_cross_entropy(log_probs: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let [n_rows, _] = log_probs.dims();
    (log_probs * weights).sum() * (-1.0 / n_rows as f64)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn gradient_is_probability_mass_minus_target() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 0.0]], &device).require_grad();
        let weights = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 0.0]], &device);
        let loss = weighted_cross_entropy(crate::log_probs(logits.clone()), weights);
        let gradient = logits.grad(&loss.backward()).expect("the leaf is tracked");
        // (p − w)/B in the first row; a row without weight is left exactly alone.
        let expected = TensorData::from([[-0.25, 0.25], [0.0, 0.0]]);
        gradient.into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-7));
    }
}
