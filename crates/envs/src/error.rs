//! Answers that no completion can be held against.

/// Why an answer cannot be used as gold. It is reported when the answer is loaded, never while completions are judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum RewardError {
    #[error("the answer lists nothing that would be right, expected at least one {expected}")]
    NoGold { expected: &'static str },
    #[error("cannot read the gold answer `{gold}`: {reason}; correct it or leave the example out")]
    UnparseableGold { gold: String, reason: String },
    #[error("the right option `{label}` is not among the options {labels:?}")]
    UnknownLabel { label: String, labels: Vec<String> },
    #[error("the option label `{label}` is given twice")]
    RepeatedLabel { label: String },
}
