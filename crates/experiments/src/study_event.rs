//! What a study tells its caller on the way.

/// What a study tells its caller on the way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StudyEvent {
    /// A stage has begun.
    Stage(String),
    /// Runs are done, among them those of an earlier, interrupted study.
    Progress {
        /// Runs that are done.
        n_done: usize,
        /// Runs of the study.
        n_runs: usize,
        /// Share of the whole work that is done, in `[0, 1]`.
        share: f64,
    },
}
