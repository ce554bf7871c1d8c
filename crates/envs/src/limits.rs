//! Bounds that keep every reward cheap, whatever a policy writes.
//!
//! There is no clock in this crate: a completion is judged the same on a fast and on a slow machine. Work is bounded by
//! the size of the input instead, and what is larger has no reward.

/// Longest completion that is read, in bytes: about fifty times the longest one of the study.
pub const MAX_COMPLETION_BYTES: usize = 1 << 20;

/// Longest answer that is parsed, in bytes.
pub const MAX_ANSWER_BYTES: usize = 2_000;

/// Deepest nesting of brackets, fractions, roots and powers.
pub const MAX_NESTING: usize = 40;

/// Most nodes of one expression.
pub const MAX_NODES: usize = 400;

/// Most members of a list, set, tuple or matrix.
pub const MAX_ITEMS: usize = 64;

/// Longest exact number, in bits. `2004!` has 19,053.
pub const MAX_BITS: u64 = 32_768;

/// Exact arithmetic that one comparison may spend, in products of two 64-bit words.
pub const MAX_WORK: u64 = 40_000_000;

/// Numerical evaluations of an expression that one comparison may spend.
pub const MAX_EVALUATIONS: u32 = 10_000;

/// Most tool calls read from one completion.
pub const MAX_CALLS: usize = 64;
