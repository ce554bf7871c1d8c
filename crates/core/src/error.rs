//! Why configuration or records could not be read or written.

use std::path::PathBuf;

/// Why configuration or records could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum CoreError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write {path}: {source}; nothing was replaced, free some space or choose another --out")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}")]
    Config { path: PathBuf, message: String },
    #[error("{path}:{line}: not a valid record: {source}")]
    Record { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("--set {assignment}: {message}")]
    Override { assignment: String, message: String },
}
