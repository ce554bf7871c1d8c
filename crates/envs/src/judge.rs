//! From the kind of an answer to its reward.

use razor_data::Answer;

use crate::choice::ChoiceGold;
use crate::error::RewardError;
use crate::math::MathGold;
use crate::text::TextGold;
use crate::tool_call::ToolCallGold;
use crate::verdict::Verdict;

/// A gold answer that is ready to judge completions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Judge {
    /// A mathematical value.
    Math(MathGold),
    /// A label among options.
    Choice(ChoiceGold),
    /// Calls of tools.
    ToolCalls(ToolCallGold),
    /// Text, or a chemical equation.
    Text(TextGold),
}

impl Judge {
    /// Parses the gold answer of an example.
    ///
    /// # Errors
    /// [`RewardError`] for an answer that nothing can be held against. Load every example through this before training.
    pub fn new(answer: &Answer) -> Result<Self, RewardError> {
        Ok(match answer {
            Answer::Math { accepted } => Self::Math(MathGold::parse(accepted)?),
            Answer::Choice { label, options } => Self::Choice(ChoiceGold::new(label, options)?),
            Answer::ToolCalls { calls } => Self::ToolCalls(ToolCallGold::new(calls)?),
            Answer::Text { accepted } => Self::Text(TextGold::new(accepted)?),
        })
    }

    /// Judges one completion.
    #[must_use]
    pub fn judge(&self, completion: &str) -> Verdict {
        match self {
            Self::Math(gold) => gold.judge(completion),
            Self::Choice(gold) => gold.judge(completion),
            Self::ToolCalls(gold) => gold.judge(completion),
            Self::Text(gold) => gold.judge(completion),
        }
    }
}

/// Judges one completion against an answer that is parsed for it; to judge a group, keep a [`Judge`].
///
/// # Errors
/// As [`Judge::new`].
pub fn judge(answer: &Answer, completion: &str) -> Result<Verdict, RewardError> {
    Ok(Judge::new(answer)?.judge(completion))
}
