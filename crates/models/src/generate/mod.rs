//! Completions by cached decoding.
//!
//! Prompts of unequal length share a batch by left padding. A prompt is read once, however many completions it gets, and
//! its keys and values are copied to the rows of its group. Rows that have ended leave the batch. Each completion draws
//! from a stream of its own, so its text depends neither on the batch that it was drawn in nor on the others.

mod request;
mod rows;
mod sampler;

pub use request::{Completion, GenerationLimits, GenerationRequest, StopReason};
pub use rows::generate;
pub use sampler::{Draw, Sampling, sample_token};
