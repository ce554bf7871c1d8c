//! What can be wrong with a prompt, or with a model of sentences.

use std::path::PathBuf;

/// Why an IFEval prompt or a trained Punkt model could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum IfevalError {
    #[error("not an IFEval prompt")]
    Json { source: serde_json::Error },
    #[error("prompt {key}: {instructions} instructions but {arguments} argument objects")]
    Lengths { key: i64, instructions: usize, arguments: usize },
    #[error("prompt {key}, instruction {index}")]
    Instruction { key: i64, index: usize, source: Box<Self> },
    #[error("unknown instruction `{id}`")]
    UnknownInstruction { id: String },
    #[error("`{id}` needs `{argument}`")]
    MissingArgument { id: String, argument: &'static str },
    #[error("`{id}` does not take `{argument}`")]
    UnknownArgument { id: String, argument: String },
    #[error("`{id}`: `{argument}` must be {expected}, not {found}")]
    Argument { id: String, argument: &'static str, expected: &'static str, found: String },
    #[error("`{text}` is not plain text: expressions in keywords and markers are not supported")]
    Pattern { text: String },
    #[error("cannot read {path}")]
    ReadPunkt { path: PathBuf, source: std::io::Error },
    #[error("{path}: unexpected line `{}`", text.escape_debug())]
    PunktLine { path: PathBuf, text: String },
}
