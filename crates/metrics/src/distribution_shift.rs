//! How far a policy has moved from its reference on given inputs.

use burn::tensor::Tensor;
use razor_tensor::{distribution_l2, kl_divergence, total_variation};
use serde::{Deserialize, Serialize};

/// Means over inputs of exact divergences between reference and policy.
///
/// Paper: arXiv 2509.04259, section 4 and Table 1. On new-task inputs `kl_reference_to_policy` is the paper's
/// predictor; on prior-task inputs the same figures are an oracle, as they need the data that one claims not to need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DistributionShift {
    /// KL(π₀‖π) in nats, the paper's "forward KL".
    pub kl_reference_to_policy: f64,
    /// KL(π‖π₀) in nats.
    pub kl_policy_to_reference: f64,
    /// ½ Σ|π₀ − π|, in `[0, 1]`.
    pub total_variation: f64,
    /// ‖π₀ − π‖₂, in `[0, √2]`.
    pub l2: f64,
}

impl DistributionShift {
    /// Measures the shift.
    ///
    /// # Shapes
    /// - `reference`, `policy`: `[B, V]` log-probabilities of the same inputs, in nats
    ///
    /// # Panics
    /// When the shapes differ or there are no rows.
    pub fn between(reference: &Tensor<2>, policy: &Tensor<2>) -> Self {
        assert_eq!(reference.dims(), policy.dims(), "reference and policy answer the same inputs");
        Self {
            kl_reference_to_policy: mean(kl_divergence(reference.clone(), policy.clone())),
            kl_policy_to_reference: mean(kl_divergence(policy.clone(), reference.clone())),
            total_variation: mean(total_variation(reference.clone(), policy.clone())),
            l2: mean(distribution_l2(reference.clone(), policy.clone())),
        }
    }
}

/// Mean of row values, summed in f64: f32 sums over many inputs lose the last digits that records keep.
fn mean(rows: Tensor<1>) -> f64 {
    let rows: Vec<f32> = rows.into_data().try_into_vec().expect("divergences are f32");
    assert!(!rows.is_empty(), "a mean needs at least one row");
    rows.iter().map(|&row| f64::from(row)).sum::<f64>() / rows.len() as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use razor_tensor::log_probs;

    use super::*;

    #[test]
    fn the_direction_of_each_kl_is_that_of_its_name() {
        let device = Device::flex();
        let reference = log_probs(Tensor::from_data([[0.0, 0.0]], &device)); // (1/2, 1/2)
        let policy = log_probs(Tensor::from_data([[3.0_f32.ln(), 0.0]], &device)); // (3/4, 1/4)
        let shift = DistributionShift::between(&reference, &policy);
        let forward = 0.5 * (0.5_f64 / 0.75).ln() + 0.5 * (0.5_f64 / 0.25).ln();
        let reverse = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
        // f32 log-probabilities
        assert!((shift.kl_reference_to_policy - forward).abs() < 1e-6, "{shift:?}");
        assert!((shift.kl_policy_to_reference - reverse).abs() < 1e-6, "{shift:?}");
        assert!((shift.total_variation - 0.25).abs() < 1e-6, "{shift:?}");
        assert!((shift.l2 - 0.125_f64.sqrt()).abs() < 1e-6, "{shift:?}");
    }
}
