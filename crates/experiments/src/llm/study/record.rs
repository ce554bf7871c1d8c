//! What is kept of a measured policy.

use serde::{Deserialize, Serialize};

/// One policy on the new task, on the prior tasks, and beside its base. Scores are shares in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Steps that it was trained for; 0 for the base itself.
    pub step: u64,
    /// The new task.
    pub new_task: NewTaskScore,
    /// Every prior benchmark, in the order of the suite.
    pub prior: Vec<BenchmarkScore>,
    /// Their unweighted mean: what is forgotten is the drop of it.
    pub prior_score: f64,
    /// KL(π₀‖π) where no method looks: nats per completion on prompts of prior tasks.
    pub kl_on_prior_prompts: f64,
    /// The same on prompts of random tokens.
    pub kl_on_random_prompts: f64,
    /// How far the weights moved.
    pub weights: WeightMovement,
    /// Similarity of the last hidden state with the base's on prior prompts (CKNNA); `None` where undefined.
    pub cknna: Option<f64>,
}

/// The new task's held-out questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewTaskScore {
    /// Share of completions drawn at temperature 1 that are right: the axis of every comparison.
    pub sampled: f64,
    /// Its standard error over questions.
    pub sampled_error: f64,
    /// Share of greedy completions that are right.
    pub greedy: f64,
    /// Share of questions with a right one among k draws, by k.
    pub pass_at_k: Vec<(usize, f64)>,
    /// Questions.
    pub n: usize,
}

/// One prior benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkScore {
    /// Its name.
    pub name: String,
    /// Mean over documents.
    pub score: f64,
    /// Each document's value, in order: what was lost and gained is counted by it.
    pub verdicts: Vec<f64>,
}

/// Δθ = θ − θ₀ over all weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightMovement {
    /// ‖Δθ‖₂/‖θ₀‖₂.
    pub relative: f64,
    /// Share of weights that are bitwise what they were.
    pub unchanged: f64,
    /// Root mean square of Δθ in ten equal parts of the weights, from the smallest to the largest new-task gradient of the
    /// base; empty where no gradients were taken.
    pub by_gradient: Vec<f64>,
}

/// Wall-clock seconds of a run by part. Not part of what two equal runs share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PartSeconds {
    /// Drawing completions to train on.
    pub sampling: f64,
    /// Forward, backward and optimizer.
    pub update: f64,
    /// New-task and prior-task scores with everything else of a [`Measurement`].
    pub evaluation: f64,
    /// KL to the base on new-task prompts.
    pub kl: f64,
    /// Everything: preparation and files too.
    pub total: f64,
}
