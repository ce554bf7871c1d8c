//! Why a report could not be drawn, written or read.

use std::error::Error;
use std::path::PathBuf;

/// Why a report could not be drawn, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum ReportError {
    #[error("figure `{figure}` cannot be drawn: {source}")]
    Draw { figure: String, source: Box<dyn Error + Send + Sync> },
    #[error("{kind} name `{name}`: expected 1 to 80 of a-z, 0-9, `_` and `-`, since it becomes a file name")]
    Name { kind: &'static str, name: String },
    #[error("{kind} name `{name}` is used twice in one report; each is a file of its own")]
    DuplicateName { kind: &'static str, name: String },
    #[error("the page cannot be rendered: {0}")]
    Template(#[from] minijinja::Error),
    #[error("table `{table}` cannot be written as CSV: {source}")]
    Csv { table: String, source: csv::Error },
    #[error(transparent)]
    Write(#[from] razor_core::CoreError),
    #[error("cannot remove the outdated {path}: {source}")]
    Remove { path: PathBuf, source: std::io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a summary: {source}")]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{path}: schema `{found}`, expected `{expected}`; draw the report again with this version")]
    Schema { path: PathBuf, found: String, expected: &'static str },
}
