//! Methods compared by what their policies learned and forgot, whatever was trained.
//!
//! Both studies, ParityMNIST and language models, read their records into policies of their own and hand them over as
//! [`ComparedPolicy`]. A comparison is always of one new task: the scale of what is forgotten is a task's own.

mod figures;
mod frontiers;
mod law;
mod matched;
mod policy;
mod predictors;
mod tally;

pub(crate) use figures::{
    Words, frontier_figure, law_figure, pareto_figure, predictor_figure, residual_figure,
};
pub(crate) use frontiers::Frontiers;
pub(crate) use law::{Law, held_out_table};
pub(crate) use matched::{MatchLevels, matched_rows};
pub(crate) use policy::{ComparedMethod, ComparedPolicy};
pub(crate) use predictors::{Candidate, FORWARD_KL, fit_predictors, scatter};
pub(crate) use tally::gate_sentence;

use razor_core::Seed;

/// How intervals are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resampling {
    /// Resamples of runs.
    pub n_resamples: usize,
    /// Their seed.
    pub seed: Seed,
}
