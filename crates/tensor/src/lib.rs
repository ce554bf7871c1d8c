//! Pure functions on tensors: log-probabilities, divergences, cross-entropy.
//!
//! No model, no config, no file and no randomness in here, so that every function can be checked against a
//! hand-worked tensor. Works on whatever device its arguments live on, with or without gradients.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use razor_tensor::{kl_divergence, log_probs};
//!
//! let device = Device::flex();
//! let reference = log_probs(Tensor::<2>::from_data([[1.0, 2.0, 3.0]], &device));
//! let same = kl_divergence(reference.clone(), reference); // [B]
//! assert_eq!(same.into_scalar::<f32>(), 0.0);
//! ```

mod adamw;
mod divergence;
mod head;
#[cfg(feature = "flex")]
mod host;
#[cfg(feature = "flex")]
mod kernel;
mod layer;
mod log_prob;
mod loss;
mod simd_exp;
mod vectorized;
mod weights;

pub use adamw::{AdamWTensors, AdamWUpdate, sum_of_squares};
pub use divergence::{distribution_l2, kl_divergence, total_variation};
pub use head::{
    Bf16Softmax, Bf16TokenScores, HeadWeights, KlDirection, KlToReference, TileBudget, TokenDivergences,
    TokenLossGradient, TokenScores, bf16_token_scores, token_divergences, token_loss_gradient, token_scores,
};
pub use layer::{
    AttentionSums, KvSlots, RotaryAngles, add_weight_gradient, causal_attention, column_sums,
    embedding_gradient, linear, linear_backward, packed_attention, packed_attention_backward, rms_norm,
    rms_norm_backward, rotate_halves, sum, swiglu, swiglu_backward,
};
pub use log_prob::{label_log_probs, log_probs};
pub use loss::weighted_cross_entropy;
pub use weights::unnormalized_probs;
