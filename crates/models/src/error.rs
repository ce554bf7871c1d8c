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
    #[error("{path}: {message}")]
    Config { path: PathBuf, message: String },
    #[error("{path}: {message}")]
    Layout { path: PathBuf, message: String },
    #[error("{path} does not fit its config.json: {}", listed(.problems))]
    Mismatch { path: PathBuf, problems: Vec<String> },
    #[error("cannot get the model {name}: {reason}")]
    Hub { name: String, reason: String },
    #[error("prompt {request_idx} {message}")]
    Prompt { request_idx: usize, message: String },
    #[error("the model's logits are not finite: its weights are damaged or its training diverged")]
    Logits,
    #[error(transparent)]
    Core(#[from] CoreError),
}

/// Problems that a message spells out before it only counts them.
const LISTED: usize = 40;

fn listed(problems: &[String]) -> String {
    let mut text = problems.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if problems.len() > LISTED {
        text.push_str(&format!("; and {} more", problems.len() - LISTED));
    }
    text
}
