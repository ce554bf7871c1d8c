//! Supervised fine-tuning of a categorical policy on given labels.
//!
//! −(1/B) Σ log π(label), the plain cross-entropy. Paper: arXiv 2509.04259, section 3. Where the labels come from (an
//! annotator, an oracle, another policy's samples) is the caller's business, and the whole point of the study.

use burn::tensor::{Int, Tensor};
use razor_tensor::label_log_probs;

/// Mean negative log-likelihood of the labels.
///
/// # Shapes
/// - `log_probs`: `[B, V]` in nats
/// - `labels`: `[B]`, each in `0..V`
/// - returns: `[1]` in nats
pub fn sft_loss(log_probs: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    -label_log_probs(log_probs, labels).mean()
}
