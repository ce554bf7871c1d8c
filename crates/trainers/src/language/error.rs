//! Why a training run stopped.

use std::path::PathBuf;

use razor_core::CoreError;
use razor_models::ModelError;

use crate::language::run::RunError;

/// Why a training run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum TrainError {
    #[error("there is nothing to train on: {0}")]
    NoData(String),
    #[error(
        "step {step}: the {what} {} not finite; its batch is in {batch}. A lower learning rate or a look at that batch \
         is due; {}",
        if .what.ends_with('s') && !.what.ends_with("ss") { "are" } else { "is" },
        kept(.last_checkpoint)
    )]
    NotFinite { step: u64, what: &'static str, batch: PathBuf, last_checkpoint: Option<u64> },
    #[error(
        "the policy after step {step} cannot be measured: its logits are not finite. Its training diverged, a lower \
         learning rate is due; {}",
        kept(.last_checkpoint)
    )]
    Diverged { step: u64, last_checkpoint: Option<u64> },
    #[error("{source}; {}; once it can be written, --resume goes on from there", kept(.last_checkpoint))]
    Unwritten { source: RunError, last_checkpoint: Option<u64> },
    #[error("the reward of prompt {prompt_idx}: {message}")]
    Reward { prompt_idx: usize, message: String },
    #[error("the policy cannot be evaluated")]
    Evaluation(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot go on from {path}: {message}")]
    Resume { path: PathBuf, message: String },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Core(#[from] CoreError),
}

fn kept(last_checkpoint: &Option<u64>) -> String {
    match last_checkpoint {
        Some(step) => format!("the last checkpoint, of step {step}, is intact"),
        None => "there was no checkpoint yet".to_owned(),
    }
}
