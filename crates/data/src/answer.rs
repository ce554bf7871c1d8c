//! What a completion is held against.

use serde::{Deserialize, Serialize};

/// The right answer of an example, in the form that its reward needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// A mathematical value or expression, as LaTeX or plain text; any of the `accepted` ones is right.
    Math {
        /// Right answers as the data set writes them, not normalized; at least one.
        accepted: Vec<String>,
    },
    /// One of several options, named by its label.
    Choice {
        /// Label of the right option, such as `B`.
        label: String,
        /// All options, in the order of the question.
        options: Vec<ChoiceOption>,
    },
    /// Calls of tools, in order.
    ToolCalls {
        /// The calls; at least one.
        calls: Vec<ToolCall>,
    },
    /// Text that has to match after folding case and white space.
    Text {
        /// Right answers; at least one.
        accepted: Vec<String>,
    },
}

/// An option of a multiple-choice question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceOption {
    /// `A`, `B`, ...
    pub label: String,
    /// What it says.
    pub text: String,
}

/// One call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Name of the function.
    #[serde(rename = "Action")]
    pub action: String,
    /// Its arguments: a JSON text, or any text where the data set has no valid JSON.
    #[serde(rename = "Action_Input")]
    pub action_input: String,
}
