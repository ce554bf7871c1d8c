//! Fine-tuning methods as pure losses, one file each, and the optimizer that they share.
//!
//! A loss sees log-probabilities, labels and advantages, never a model, a config or a file. What feeds it (images,
//! sampled labels, an oracle) belongs to the caller, so the same loss serves a study and somebody else's model.
//!
//! ```
//! use razor_trainers::Advantage;
//!
//! let advantages = Advantage::Centered.of_group(&[1.0, 0.0]);
//! assert_eq!(advantages, [0.5, -0.5]);
//! ```

mod advantage;
mod kl_penalty;
pub mod language;
mod optimizer;
mod oracle_sft;
mod policy_gradient;
mod rollout;
mod schedule;
mod sft;
mod simpo;

pub use advantage::Advantage;
pub use kl_penalty::kl_penalty;
pub use optimizer::{AdamW, AdamWConfig};
pub use oracle_sft::oracle_log_probs;
pub use policy_gradient::{exact_policy_gradient_weights, policy_gradient_weights};
pub use rollout::{LabelGroups, sample_groups};
pub use schedule::Schedule;
pub use sft::sft_loss;
pub use simpo::simpo_loss;
