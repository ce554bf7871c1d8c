//! Why a study could not be run or read.

use std::path::PathBuf;

use razor_core::CoreError;
use razor_data::DataError;
use razor_metrics::MetricsError;
use razor_models::ModelError;
use razor_report::ReportError;

use crate::theory::TheoryError;

/// Why a study could not be run or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum ExperimentError {
    #[error("{study} has no preset `{name}`; there are {known}")]
    UnknownPreset { study: &'static str, name: String, known: String },
    #[error("config field `{field}`: expected {expected}, found {found}")]
    Config { field: &'static str, expected: String, found: String },
    #[error(
        "{path} holds an earlier study ({n_done} of {n_runs} runs done); add --resume to continue it, or choose another --out"
    )]
    StudyExists { path: PathBuf, n_done: usize, n_runs: usize },
    #[error("{path} holds a study with another config: {difference}; choose another --out")]
    OtherStudy { path: PathBuf, difference: String },
    #[error("{path} holds no study: {missing} is not there; give the folder that `reproduce --out` wrote")]
    NoStudy { path: PathBuf, missing: &'static str },
    #[error("{path}: {message}")]
    Record { path: PathBuf, message: String },
    #[error(transparent)]
    Core(#[from] CoreError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Theory(#[from] TheoryError),
}

impl ExperimentError {
    pub(crate) fn unknown_preset(study: &'static str, name: &str, known: &[&str]) -> Self {
        Self::UnknownPreset { study, name: name.to_owned(), known: known.join(", ") }
    }

    pub(crate) fn config(field: &'static str, expected: impl Into<String>, found: &impl ToString) -> Self {
        Self::Config { field, expected: expected.into(), found: found.to_string() }
    }
}
