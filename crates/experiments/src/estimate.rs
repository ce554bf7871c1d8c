//! What a study will cost, before it is run.

use std::time::Duration;

/// Expected cost of a study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Wall time of all runs.
    pub time: Duration,
    /// Peak memory, bytes.
    pub memory: u64,
}
