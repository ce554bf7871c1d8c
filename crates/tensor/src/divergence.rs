//! How far two categorical policies are apart, exactly, row by row.

use burn::tensor::Tensor;

/// KL(P‖Q) of each row: the expectation is under the first argument.
///
/// The paper's predictor, its "forward KL", is `kl_divergence(reference, policy)` = KL(π₀‖π).
/// Paper: arXiv 2509.04259, section 4.
///
/// # Shapes
/// - `log_p`, `log_q`: `[B, V]`, log-probabilities in nats (see [`crate::log_probs`])
/// - returns: `[B]` in nats, at least 0 up to rounding
pub fn kl_divergence(log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
    let terms = log_p.clone().exp() * (log_p - log_q); // [B, V]
    terms.sum_dim(1).squeeze_dim::<1>(1) // [B]
}

/// Total variation ½ Σ|p − q| of each row.
///
/// # Shapes
/// - `log_p`, `log_q`: `[B, V]`, log-probabilities in nats
/// - returns: `[B]` in `[0, 1]`
pub fn total_variation(log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
    let distances = (log_p.exp() - log_q.exp()).abs(); // [B, V]
    distances.sum_dim(1).squeeze_dim::<1>(1) * 0.5 // [B]
}

/// Euclidean distance ‖p − q‖₂ of each row.
///
/// # Shapes
/// - `log_p`, `log_q`: `[B, V]`, log-probabilities in nats
/// - returns: `[B]` in `[0, √2]`
pub fn distribution_l2(log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
    let difference = log_p.exp() - log_q.exp(); // [B, V]
    difference.powi_scalar(2).sum_dim(1).squeeze_dim::<1>(1).sqrt() // [B]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn log_of<const B: usize, const V: usize>(probs: [[f32; V]; B]) -> Tensor<2> {
        Tensor::<2>::from_data(probs, &Device::flex()).log()
    }

    #[test]
    fn kl_takes_its_expectation_under_the_first_argument() {
        let p = log_of([[0.75, 0.25]]);
        let q = log_of([[0.5, 0.5]]);
        // 0.75 ln 1.5 + 0.25 ln 0.5 and 0.5 ln(2/3) + 0.5 ln 2, worked by hand
        let forward = TensorData::from([0.130_812_04_f32]);
        let reverse = TensorData::from([0.143_841_04_f32]);
        let rounding = Tolerance::absolute(1e-6);
        kl_divergence(p.clone(), q.clone()).into_data().assert_approx_eq::<f32>(&forward, rounding);
        kl_divergence(q, p).into_data().assert_approx_eq::<f32>(&reverse, rounding);
    }

    #[test]
    fn kl_is_not_capped_where_the_second_policy_gave_up_a_label() {
        let p = crate::log_probs(Tensor::from_data([[0.0, 0.0]], &Device::flex()));
        let q = crate::log_probs(Tensor::from_data([[0.0, -100.0]], &Device::flex()));
        let kl = kl_divergence(p, q).into_scalar::<f32>();
        assert!((kl - (50.0 - 2.0_f32.ln())).abs() < 1e-3, "expected 49.307, found {kl}");
    }

    #[test]
    fn distances_of_disjoint_policies_are_at_their_upper_ends() {
        let p = log_of([[1.0, 1e-30]]);
        let q = log_of([[1e-30, 1.0]]);
        let rounding = Tolerance::absolute(1e-6);
        let tv = total_variation(p.clone(), q.clone()).into_data();
        tv.assert_approx_eq::<f32>(&TensorData::from([1.0]), rounding);
        let l2 = distribution_l2(p, q).into_data();
        l2.assert_approx_eq::<f32>(&TensorData::from([2.0_f32.sqrt()]), rounding);
    }
}
