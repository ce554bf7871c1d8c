//! How a study is run, besides its config.

use std::path::PathBuf;

use razor_core::Seed;
use razor_data::Sources;

use crate::environment::Environment;

/// How a study that trains many runs is run, besides its config.
pub struct StudyOptions {
    /// Folder of the study.
    pub out: PathBuf,
    /// Name of the preset, for the records.
    pub preset: String,
    /// Seed of everything.
    pub seed: Seed,
    /// Whether an earlier study in `out` is continued.
    pub resume: bool,
    /// Runs at a time, each on one core; a run of a large language model takes all cores.
    pub n_workers: usize,
    /// Where data sets are looked for.
    pub sources: Sources,
    /// What the study ran on, for the records.
    pub environment: Environment,
}
