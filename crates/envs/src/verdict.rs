//! What a reward says of a completion.

use serde::{Deserialize, Serialize};

/// Whether a completion answers its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer was read and agrees with the gold answer.
    Correct,
    /// The answer was read and differs from the gold answer.
    Wrong,
    /// No answer could be taken out of the completion, or what was taken out could not be read.
    Unparseable,
}

/// Judgement of one completion, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Right, wrong or unreadable.
    pub outcome: Outcome,
    /// Why, in words for a reader of rollouts; its wording is not an interface.
    pub reason: String,
    /// The text that was taken for the answer, if any was found.
    pub extracted: Option<String>,
}

impl Verdict {
    /// Success flag of the study: 1 for a correct completion, 0 for any other.
    #[must_use]
    pub fn reward(&self) -> f32 {
        if self.outcome == Outcome::Correct { 1.0 } else { 0.0 }
    }

    pub(crate) fn correct(reason: impl Into<String>, extracted: impl Into<String>) -> Self {
        Self { outcome: Outcome::Correct, reason: reason.into(), extracted: Some(extracted.into()) }
    }

    pub(crate) fn wrong(reason: impl Into<String>, extracted: impl Into<String>) -> Self {
        Self { outcome: Outcome::Wrong, reason: reason.into(), extracted: Some(extracted.into()) }
    }

    pub(crate) fn nothing_found(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unparseable, reason: reason.into(), extracted: None }
    }

    pub(crate) fn unreadable(reason: impl Into<String>, extracted: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unparseable, reason: reason.into(), extracted: Some(extracted.into()) }
    }
}
