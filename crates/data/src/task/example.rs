//! One question with its prompt and answer, and a loaded set of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::task::id::TaskId;
use crate::task::notes::TaskNote;

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text, as it is.
    pub content: String,
}

impl PromptMessage {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }
}

/// Where in a completion the prompt asks the answer to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// Inside the last `\boxed{}`.
    Boxed,
    /// After `Answer: ` on the last line.
    AnswerLine,
    /// Between `<answer>` and `</answer>`.
    AnswerTag,
    /// Lines `Action: ` and `Action Input: `, once a call.
    ToolCalls,
    /// The completion as a whole.
    Whole,
}

impl AnswerFormat {
    /// The format in which this project asks for an answer of this kind.
    pub(super) const fn usual(answer: &Answer) -> Self {
        match answer {
            Answer::Math { .. } => Self::Boxed,
            Answer::Choice { .. } => Self::AnswerLine,
            Answer::ToolCalls { .. } => Self::ToolCalls,
            Answer::Text { .. } => Self::Whole,
        }
    }
}

/// One question with its prompt and answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExample {
    /// Unique in its task: file without extensions, `#`, place in the file from 0 (of the question, for tools).
    pub id: String,
    /// The set that it comes from.
    pub task: TaskId,
    /// Chat messages to send; ends with one of the user.
    pub prompt: Vec<PromptMessage>,
    /// The question alone, as the data set writes it: no options, no instructions. Splits and overlaps go by it.
    pub question: String,
    /// What a completion is held against; `None` only in a user's own records.
    pub answer: Option<Answer>,
    /// Where the prompt asks the answer to stand.
    pub format: AnswerFormat,
    /// A completion to imitate, where the set has one: a worked solution or the golden calls in the prompt's format.
    pub target: Option<String>,
    /// Subject, category or tool.
    pub subject: Option<String>,
    /// What else the set says, such as `type`, `subtask`, `category` or `difficulty`; `non_json_calls` counts golden
    /// calls whose input is not JSON.
    pub meta: BTreeMap<String, String>,
}

impl TaskExample {
    /// An example in the [usual](AnswerFormat::usual) format, its prompt still to be written.
    pub(crate) fn new(task: TaskId, id: String, question: &str, answer: Answer) -> Self {
        Self {
            id,
            task,
            prompt: Vec::new(),
            question: question.to_owned(),
            format: AnswerFormat::usual(&answer),
            answer: Some(answer),
            target: None,
            subject: None,
            meta: BTreeMap::new(),
        }
    }
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its unpacked bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Unpacked size.
    pub bytes: u64,
    /// Records in it, used or not.
    pub records: usize,
    /// Whether the bytes are those of `datasets/manifest.toml`; `None` where the manifest does not list the file.
    pub matches_manifest: Option<bool>,
}

/// A loaded set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskData {
    /// Which set.
    pub task: TaskId,
    /// Which part of it.
    pub subset: String,
    /// The examples, in the order of the files.
    pub examples: Vec<TaskExample>,
    /// What was skipped or is out of the ordinary, with counts.
    pub notes: Vec<TaskNote>,
    /// The files that were read, in order.
    pub provenance: Vec<TaskFile>,
}
