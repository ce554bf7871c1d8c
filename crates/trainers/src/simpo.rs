//! SimPO: an offline method with a negative term.
//!
//! −log σ(β(log π(y_w) − log π(y_l)) − γ) with β = γ = 1. Paper: arXiv 2509.04259, section 5.1, which prints no
//! normalization by length; SimPO itself (arXiv 2405.14734) divides by length and takes larger β. A label is one
//! token long, so the two agree here.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Int, Tensor};
use razor_tensor::label_log_probs;

/// Reward margin γ of the paper; its scale β is 1 and does not appear.
const MARGIN: f64 = 1.0;

/// Mean preference loss of chosen over rejected labels.
///
/// # Shapes
/// - `log_probs`: `[B, V]` in nats
/// - `chosen`, `rejected`: `[B]`, each in `0..V`
/// - returns: `[1]` in nats
pub fn simpo_loss(log_probs: Tensor<2>, chosen: Tensor<1, Int>, rejected: Tensor<1, Int>) -> Tensor<1> {
    let gap = label_log_probs(log_probs.clone(), chosen) - label_log_probs(log_probs, rejected); // [B]
    -log_sigmoid(gap - MARGIN).mean()
}
