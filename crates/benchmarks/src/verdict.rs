//! What is said of a policy's answer to one document.

use serde_json::{Value, json};

/// One figure of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `acc`, `exact_match`, ...
    pub metric: &'static str,
    /// How the answer was read; `none` for as it is.
    pub filter: &'static str,
    /// What was read in it, where something was.
    pub found: Option<String>,
    /// The figure; higher is better.
    pub value: VerdictValue,
}

/// A figure of one document.
#[derive(Debug, Clone, PartialEq)]
pub enum VerdictValue {
    /// In 0..=1; its mean over documents is reported, with a standard error.
    Number(f64),
    /// Several of one document, such as its instructions. Their mean over all documents is reported, without a standard
    /// error, as those of one document are not independent.
    Flags(Vec<bool>),
}

impl Verdict {
    /// Right or wrong.
    pub(crate) fn flag(
        metric: &'static str,
        filter: &'static str,
        found: Option<String>,
        is_right: bool,
    ) -> Self {
        Self { metric, filter, found, value: VerdictValue::Number(f64::from(u8::from(is_right))) }
    }
}

impl VerdictValue {
    /// As it stands in the record of samples.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Flags(flags) => json!(flags),
        }
    }

    /// One number: the share of flags, where there are several.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Flags(flags) => flags.iter().filter(|&&flag| flag).count() as f64 / flags.len() as f64,
        }
    }
}
