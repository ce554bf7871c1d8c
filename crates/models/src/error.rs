//! Why a model could not be read or written.

use std::path::PathBuf;

use razor_core::CoreError;

/// Why a model could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum ModelError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a safetensors file: {source}")]
    Format { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("{path}: tensor `{name}` {message}")]
    Tensor { path: PathBuf, name: String, message: String },
    #[error(transparent)]
    Core(#[from] CoreError),
}
