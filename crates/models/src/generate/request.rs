//! What is asked of generation, and what comes back.

use razor_core::Seed;
use serde::Serialize;

/// One prompt.
#[derive(Debug, Clone)]
pub struct GenerationRequest {
    /// Token ids; at least one.
    pub prompt: Vec<u32>,
    /// Stream of random numbers of each completion; as many completions as seeds.
    pub seeds: Vec<Seed>,
}

/// When completions end, and how many are drawn at a time.
#[derive(Debug, Clone)]
pub struct GenerationLimits {
    /// Tokens after which a completion is cut.
    pub max_new_tokens: usize,
    /// Tokens that end a completion. The one that did is part of it.
    pub stop_tokens: Vec<u32>,
    /// Completions at a time.
    pub max_rows: usize,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// One of the stop tokens was drawn.
    StopToken,
    /// The caller saw what it was waiting for in the text.
    StopString,
    /// `max_new_tokens` were drawn.
    Length,
    /// The model has no more positions.
    ContextFull,
}

/// What was drawn for one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Token ids, with the stop token if there is one.
    pub tokens: Vec<u32>,
    /// Log-probability of each token in nats, under the distribution that it was drawn from; see
    /// [`Draw::log_prob`](crate::Draw::log_prob).
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub stop_reason: StopReason,
}
