//! Names of the tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// A set of questions with checkable answers.
///
/// ```
/// use razor_data::TaskId;
///
/// let task: TaskId = "sciknoweval".parse()?;
/// assert_eq!(task.default_subset(), "Chemistry/L3");
/// # Ok::<(), razor_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskId {
    /// Open-Reasoner-Zero: mathematics; the paper's mathematics task.
    OpenReasonerZero,
    /// SciKnowEval: science questions; Chemistry L-3 is the paper's science task.
    Sciknoweval,
    /// ToolAlpaca: calls of documented tools; the paper's tool task.
    Toolalpaca,
    /// GSM8K: grade-school word problems.
    Gsm8k,
    /// The 5,000 test problems of MATH.
    Math,
    /// ASDiv: short word problems.
    Asdiv,
    /// Minerva: undergraduate physics and mathematics.
    MinervaMath,
    /// OlympiadBench: olympiad problems.
    OlympiadBench,
    /// AMC: competition problems with numeric answers.
    Amc,
    /// Tool questions with the prompts of closely related work.
    TooluseEval,
    /// Chemistry questions with the prompts of closely related work.
    ScienceEval,
    /// Sums in the tiny language of the embedded base.
    TinyMath,
    /// Tool calls in that language.
    TinyTools,
    /// Multiple choice in that language.
    TinyScience,
    /// A user's own file; see [`load_user_task`](crate::load_user_task). Not a name on the command line.
    UserFile,
}

impl TaskId {
    /// Every public set, in the order in which they are listed.
    pub const ALL: [Self; 11] = [
        Self::OpenReasonerZero,
        Self::Sciknoweval,
        Self::Toolalpaca,
        Self::Gsm8k,
        Self::Math,
        Self::Asdiv,
        Self::MinervaMath,
        Self::OlympiadBench,
        Self::Amc,
        Self::TooluseEval,
        Self::ScienceEval,
    ];

    /// Sets that are generated and need no file.
    pub const GENERATED: [Self; 3] = [Self::TinyMath, Self::TinyTools, Self::TinyScience];

    /// The name in records and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenReasonerZero => "open_reasoner_zero",
            Self::Sciknoweval => "sciknoweval",
            Self::Toolalpaca => "toolalpaca",
            Self::Gsm8k => "gsm8k",
            Self::Math => "math",
            Self::Asdiv => "asdiv",
            Self::MinervaMath => "minerva_math",
            Self::OlympiadBench => "olympiad_bench",
            Self::Amc => "amc",
            Self::TooluseEval => "tooluse_eval",
            Self::ScienceEval => "science_eval",
            Self::TinyMath => "tiny_math",
            Self::TinyTools => "tiny_tools",
            Self::TinyScience => "tiny_science",
            Self::UserFile => "user_file",
        }
    }

    /// Every set that has a name on the command line.
    fn named() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::GENERATED)
    }

    /// The names of all public and generated sets, for messages.
    pub(super) fn list() -> String {
        Self::named().map(Self::name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TaskId {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let known = Self::named().find(|task| task.name() == name);
        known.ok_or_else(|| DataError::UnknownTask { name: name.to_owned(), expected: Self::list() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_records_and_on_the_command_line() {
        for task in TaskId::named() {
            assert_eq!(task.name().parse::<TaskId>().unwrap(), task);
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
        }
        let message = "maths".parse::<TaskId>().unwrap_err().to_string();
        assert!(message.contains("`maths`") && message.contains("minerva_math"), "{message}");
        assert!("user_file".parse::<TaskId>().is_err(), "a user's file is named by its path");
    }
}
