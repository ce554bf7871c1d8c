//! Evaluation sets and splits of closely related work. Their prompts are kept as published.

use crate::answer::{Answer, ChoiceOption, ToolCall};
use crate::error::DataError;
use crate::task::example::{AnswerFormat, PromptMessage, TaskExample};
use crate::task::id::TaskId;
use crate::task::notes::Notes;
use crate::task::record::{Cursor, RecordFile};
use crate::task::toolalpaca::{tool_calls, tool_example};

const LABELS: [&str; 4] = ["A", "B", "C", "D"];
/// What one of the sets adds after the last option.
const APPENDED: &str = "\nPlease reason step by step.";

/// Tool questions: `instruction` and `golden_answer`, or `answer` with the calls as a JSON text.
pub(super) fn parse_tools(file: &RecordFile, notes: &mut Notes) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let prompt = record.field("prompt")?;
        let text = prompt.filled_text()?;
        let calls = match record.optional_field("golden_answer")? {
            Some(field) => tool_calls(&field)?,
            None => calls_in_text(&record.field("answer")?)?,
        };
        let question = match record.optional_field("instruction")? {
            Some(field) => field.filled_text()?,
            None => match text.rsplit_once("\nQuestion: ") {
                Some((_, question)) => question,
                None => return Err(prompt.error("a line that begins with `Question: `", "none")),
            },
        };
        let mut example = tool_example(TaskId::TooluseEval, file.id(idx), question, calls, notes);
        example.prompt = with_system(&record, vec![PromptMessage::user(text)])?;
        if let Some(field) = record.optional_field("name")? {
            example.subject = Some(field.text()?.to_owned());
        }
        examples.push(example);
    }
    Ok(examples)
}

fn calls_in_text(field: &Cursor<'_>) -> Result<Vec<ToolCall>, DataError> {
    let calls: Vec<ToolCall> = serde_json::from_str(field.filled_text()?)
        .map_err(|error| field.error("a JSON text with a list of calls", &error.to_string()))?;
    if calls.is_empty() { Err(field.error("at least one call", "an empty array")) } else { Ok(calls) }
}

/// Chemistry questions with four options, as messages or as text; rows that state no answer are skipped.
pub(super) fn parse_science(file: &RecordFile, notes: &mut Notes) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let processed = record.optional_field("_answer")?;
        let key = processed.clone().map_or_else(|| record.field("answer"), Ok)?;
        let label = key.text()?.trim();
        if label.is_empty() {
            notes.skip("states no answer, not multiple choice", record.place());
            continue;
        }
        let field = record.field("prompt")?;
        let prompt = if field.value().is_array() {
            messages(&field)?
        } else {
            vec![PromptMessage::user(field.text()?)]
        };
        let asked = prompt.last().map_or("", |message| message.content.as_str());
        let (question, options) =
            question_and_options(asked).ok_or_else(|| field.error("options A to D, one a line", "none"))?;
        if !options.iter().any(|option| option.label == label) {
            return Err(key.error("A, B, C or D", &format!("`{label}`")));
        }
        let answer = Answer::Choice { label: label.to_owned(), options };
        let mut example = TaskExample::new(TaskId::ScienceEval, file.id(idx), &question, answer);
        example.format = if processed.is_some() { AnswerFormat::Whole } else { AnswerFormat::AnswerTag };
        example.prompt = with_system(&record, prompt)?;
        if let Some(field) = record.optional_field("messages")? {
            example.target = messages(&field)?.pop().map(|last| last.content);
        }
        examples.push(example);
    }
    Ok(examples)
}

/// Chat messages, at least one.
pub(super) fn messages(field: &Cursor<'_>) -> Result<Vec<PromptMessage>, DataError> {
    let mut messages = Vec::new();
    for item in field.items()? {
        let role = item.field("role")?;
        let name = role.text()?;
        if !["system", "user", "assistant"].contains(&name) {
            return Err(role.error("system, user or assistant", &format!("`{name}`")));
        }
        messages.push(PromptMessage {
            role: name.to_owned(),
            content: item.field("content")?.text()?.to_owned(),
        });
    }
    if messages.is_empty() {
        Err(field.error("at least one message", "an empty array"))
    } else {
        Ok(messages)
    }
}

/// Puts the record's `system` text first, unless it is null or the text `None`.
fn with_system(record: &Cursor<'_>, prompt: Vec<PromptMessage>) -> Result<Vec<PromptMessage>, DataError> {
    let Some(field) = record.optional_field("system")? else {
        return Ok(prompt);
    };
    let content = field.text()?;
    if content == "None" {
        return Ok(prompt);
    }
    let system = PromptMessage { role: "system".to_owned(), content: content.to_owned() };
    Ok([system].into_iter().chain(prompt).collect())
}

/// The question alone and its four options, each `A: text` or `A. text` on a line of its own.
fn question_and_options(asked: &str) -> Option<(String, Vec<ChoiceOption>)> {
    let text = asked.strip_suffix(APPENDED).unwrap_or(asked);
    [":", "."].into_iter().find_map(|mark| {
        let mut rest = text;
        let mut options = Vec::with_capacity(LABELS.len());
        for label in LABELS.into_iter().rev() {
            let (before, option) = rest.rsplit_once(&format!("\n{label}{mark} "))?;
            options.push(ChoiceOption { label: label.to_owned(), text: option.to_owned() });
            rest = before;
        }
        options.reverse();
        let question = rest.strip_suffix('\n').unwrap_or(rest); // an empty line before the options
        let question = question.split_once("\n\nQuestion: ").map_or(question, |(_, question)| question);
        Some((question.to_owned(), options))
    })
}
