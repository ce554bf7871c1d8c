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
pub(crate) use matched::{MatchLevels, matched_rows, score_over_repetitions, score_over_runs};
pub(crate) use policy::{ComparedMethod, ComparedPolicy};
pub(crate) use predictors::{Candidate, FORWARD_KL, fit_predictors, scatter};
pub(crate) use tally::gate_sentence;

use std::collections::BTreeSet;

use razor_core::Seed;

/// Runs of a method below which it has no interval over runs: half of the resamples of two runs hold one of them alone.
pub(crate) const LEAST_RUNS: usize = 3;

/// Runs among policies.
pub(crate) fn n_runs<P: ComparedPolicy>(points: &[&P]) -> usize {
    points.iter().map(|point| point.run_idx()).collect::<BTreeSet<usize>>().len()
}

/// How intervals are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resampling {
    /// Resamples of runs.
    pub n_resamples: usize,
    /// Their seed.
    pub seed: Seed,
}
