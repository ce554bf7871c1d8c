//! Two language models: how far their words, weights and hidden states are apart.
//!
//! The reference is the base model π₀, the policy the tuned one π. Distributions are compared on completions that one of
//! the two has drawn, because a KL is an expectation under its first argument.

mod drawn;
mod hidden_similarity;
mod policy_shift;
mod sequence_fisher;
mod shift_quantities;
mod top_directions;
mod weight_drift;

pub use drawn::{DrawnCompletion, draw_completions};
pub use hidden_similarity::{LayerSimilarity, layer_similarities, mean_hidden_states};
pub use policy_shift::{CompletionShift, completion_shifts};
pub use sequence_fisher::sequence_fisher;
pub use shift_quantities::{SampleSource, ShiftQuantity, ShiftSample, shift_quantities};
pub use weight_drift::{DriftOptions, MatrixDrift, TensorDrift, WeightDrift};
