//! Why a benchmark could not be run.

use std::path::PathBuf;

use razor_data::DataError;
use razor_models::ModelError;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum BenchmarkError {
    #[error("no benchmark is called `{name}`; expected some of: {expected}, all")]
    Unknown { name: String, expected: String },
    #[error("{task}: {wanted} few-shot examples were asked for, there are {found}")]
    TooFewShots { task: String, wanted: usize, found: usize },
    #[error("{task}, document {document}: {reason}")]
    Document { task: String, document: usize, reason: String },
    #[error("document {document}: choice {choice}, {text:?}, adds no token to its context")]
    Choice { document: usize, choice: usize, text: String },
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error(
        "an answer may take {max_new_tokens} tokens and the model has {positions} positions: allow fewer"
    )]
    Room { positions: usize, max_new_tokens: usize },
    #[error("answers are programs, and nothing was given to run them in")]
    NoSandbox,
    #[error(transparent)]
    Ifeval(#[from] crate::ifeval::IfevalError),
    #[cfg(unix)]
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::SandboxError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Model(#[from] ModelError),
}
