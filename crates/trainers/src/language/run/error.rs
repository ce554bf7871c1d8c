//! Why a run could not be started, continued or written.

use std::path::PathBuf;

use razor_core::CoreError;
use razor_models::ModelError;

/// Why a run could not be started, continued or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum RunError {
    #[error("{path} holds other files ({}); choose another --out", listed(.found))]
    Occupied { path: PathBuf, found: Vec<String> },
    #[error("{path} holds this run, not finished; continue it with --resume or choose another --out")]
    Unfinished { path: PathBuf },
    #[error("{path} holds this run, finished; choose another --out to repeat it")]
    Finished { path: PathBuf },
    #[error(
        "{path} holds a run of another config: `{field}` is {found} there and {given} here; change it back or choose \
         another --out"
    )]
    OtherConfig { path: PathBuf, field: String, found: String, given: String },
    #[error("{path} holds no run to resume: it has no config.toml; start it without --resume")]
    NoRun { path: PathBuf },
    #[error("{path} is being written by another process; wait for its end or choose another --out")]
    Locked { path: PathBuf },
    #[error("cannot lock {path}: {source}; the file system must support file locks, choose another --out")]
    NoLock { path: PathBuf, source: std::io::Error },
    #[error("cannot remove {path}: {source}")]
    Remove { path: PathBuf, source: std::io::Error },
    #[error("{path} cannot be written as TOML: {message}")]
    Toml { path: PathBuf, message: String },
    #[error("{path} {message}")]
    Damaged { path: PathBuf, message: String },
    #[error(transparent)]
    Core(#[from] CoreError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Names that a message spells out before it only counts them.
const LISTED: usize = 5;

fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        text.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    text
}
