//! A pull back to the reference, exact over all labels.
//!
//! The paper uses coefficient 0.1 for GRPO+KL on ParityMNIST and states neither direction nor estimator; we take
//! KL(π‖π₀), the direction of the usual RLHF penalty, without sampling. SFT+KL uses the same term.

use burn::tensor::Tensor;
use razor_tensor::kl_divergence;

/// Mean over rows of KL(π‖π₀).
///
/// # Shapes
/// - `log_probs`: `[B, V]` of the policy, in nats
/// - `reference_log_probs`: `[B, V]` of the reference, in nats
/// - returns: `[1]` in nats
pub fn kl_penalty(log_probs: Tensor<2>, reference_log_probs: Tensor<2>) -> Tensor<1> {
    kl_divergence(log_probs, reference_log_probs).mean()
}
