//! Losses of language models as pure functions of token log-probabilities, one file per method.
//!
//! One sequence at a time: a loss takes the log-probabilities of the tokens that count (the completion without padding)
//! and the [weight](Reduction) of each of them, and returns its share of the loss of the whole optimizer step with the
//! derivative by each log-probability, which is what [`razor_tensor::token_loss_gradient`] asks for. Weights are
//! computed once from the lengths of all sequences of the step, so that no result depends on how a step is cut into
//! micro-batches.
//!
//! ```
//! use razor_trainers::language::loss::{Importance, PolicyLoss, Reduction, SequenceInput, Surrogate};
//!
//! let loss = PolicyLoss {
//!     surrogate: Surrogate::Clipped { low: 0.2, high: 0.2, two_sided: None },
//!     importance: Importance::Token,
//!     kl: None,
//! };
//! let weights = Reduction::TokenMean.weights(&[2, 3], 8); // two sequences, five tokens
//! let log_probs = [-0.5, -1.0];
//! let sequence = SequenceInput {
//!     log_probs: &log_probs,
//!     behavior_log_probs: &log_probs, // on-policy: all ratios are 1
//!     reference_log_probs: None,
//!     advantage: 2.0,
//!     sampler_correction: None,
//! };
//! let term = loss.sequence(&sequence, weights[0]);
//! assert_eq!(term.gradient, [-0.4, -0.4]);
//! ```

mod kl;
mod policy_gradient;
mod presets;
mod reduction;
mod sampler_correction;
mod sft;
mod simpo;
#[cfg(test)]
mod test_inputs;
mod weight_interpolation;

pub use kl::{KlEstimator, KlPenalty, kl_in_reward};
pub use policy_gradient::{Importance, PolicyLoss, SequenceInput, SequenceTerm, Surrogate};
pub use presets::{
    Optimization, PolicyGradientConfig, SftConfig, bnpo, cispo, dapo, dr_grpo, gspo, paper_grpo, paper_sft,
    paper_simpo, policy_gradient_preset, reinforce_1_0, standard_simpo, trl_grpo, trl_rloo, trl_sft,
};
pub use reduction::{Reduction, active_lengths};
pub use sampler_correction::{CorrectionBound, CorrectionLevel, SamplerCorrection, is_off_policy};
pub use sft::{SftLoss, TokenTerm};
pub use simpo::{PairTerm, SimpoLoss};
pub use weight_interpolation::interpolate_weights;
