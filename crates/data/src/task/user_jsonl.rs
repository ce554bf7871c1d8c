//! A user's own task: JSON lines with a prompt and, where there is one, an answer.

use std::path::Path;

use crate::answer::{Answer, ChoiceOption};
use crate::error::DataError;
use crate::task::example::{AnswerFormat, PromptMessage, TaskData, TaskExample, TaskFile};
use crate::task::id::TaskId;
use crate::task::math::accepted_answers;
use crate::task::record::{Cursor, RecordFile};
use crate::task::self_distillation::messages;
use crate::task::toolalpaca::tool_calls;

const PROMPT_FIELDS: [&str; 2] = ["prompt", "messages"];
const ANSWER_FIELDS: [&str; 4] = ["answer", "choice", "tool_calls", "text"];
const COMPLETION_FIELD: &str = "completion";

/// Reads a user's own file of JSON lines, gzip or not. Prompts go to the policy as they are: nothing is added to them.
///
/// | field | holds | |
/// |---|---|---|
/// | `prompt` | string, one message of the user | one of these two |
/// | `messages` | list of `{"role", "content"}`, the last one of the user | |
/// | `completion` | string to imitate | optional |
/// | `answer` | mathematics: string, number or list, expected in `\boxed{}` | at most one of these |
/// | `choice` | `{"label", "options": [{"label", "text"}]}`, expected after `Answer: ` | |
/// | `tool_calls` | list of `{"Action", "Action_Input"}` | |
/// | `text` | string that the completion has to match | |
///
/// An example is called after its file and line.
///
/// # Errors
/// [`DataError::NotJson`] or [`DataError::Field`] with file, line and field, also for a field that is not in the table;
/// the errors of reading and unpacking a file.
pub fn load_user_task(path: &Path) -> Result<TaskData, DataError> {
    let file = RecordFile::read(path)?;
    let mut examples = Vec::with_capacity(file.records.len());
    for record in file.cursors() {
        examples.push(user_example(&record)?);
    }
    let provenance = TaskFile {
        path: file.path,
        sha256: file.sha256,
        bytes: file.bytes,
        records: file.records.len(),
        matches_manifest: None,
    };
    let (task, subset) = (TaskId::UserFile, TaskId::UserFile.default_subset().to_owned());
    Ok(TaskData { task, subset, examples, notes: Vec::new(), provenance: vec![provenance] })
}

fn user_example(record: &Cursor<'_>) -> Result<TaskExample, DataError> {
    refuse_unknown_fields(record)?;
    let (name, field) =
        only_one(record, &PROMPT_FIELDS)?.ok_or_else(|| record.error("`prompt` or `messages`", "neither"))?;
    let prompt = match name {
        "prompt" => vec![PromptMessage::user(field.filled_text()?)],
        _ => messages(&field)?,
    };
    let question = match prompt.last() {
        Some(last) if last.role == "user" => last.content.clone(),
        _ => return Err(field.error("a last message of the user", "another role")),
    };
    let answer = match only_one(record, &ANSWER_FIELDS)? {
        Some((name, field)) => Some(user_answer(name, &field)?),
        None => None,
    };
    let target = match record.optional_field(COMPLETION_FIELD)? {
        Some(field) => Some(field.filled_text()?.to_owned()),
        None => None,
    };
    let format = answer.as_ref().map_or(AnswerFormat::Whole, AnswerFormat::usual);
    let meta = std::collections::BTreeMap::new();
    Ok(TaskExample {
        id: record.short_place(),
        task: TaskId::UserFile,
        prompt,
        question,
        answer,
        format,
        target,
        subject: None,
        meta,
    })
}

fn refuse_unknown_fields(record: &Cursor<'_>) -> Result<(), DataError> {
    let known: Vec<&str> = PROMPT_FIELDS.into_iter().chain([COMPLETION_FIELD]).chain(ANSWER_FIELDS).collect();
    let object = record.value().as_object().ok_or_else(|| record.error("an object", "another value"))?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(record.error(&format!("only {}", known.join(", ")), &format!("`{name}`"))),
        None => Ok(()),
    }
}

fn only_one<'a, 'n>(
    record: &Cursor<'a>,
    names: &[&'n str],
) -> Result<Option<(&'n str, Cursor<'a>)>, DataError> {
    let mut found: Option<(&str, Cursor<'_>)> = None;
    for name in names {
        let Some(field) = record.optional_field(name)? else {
            continue;
        };
        if let Some((first, _)) = &found {
            let expected = format!("at most one of {}", names.join(", "));
            return Err(record.error(&expected, &format!("`{first}` and `{name}`")));
        }
        found = Some((name, field));
    }
    Ok(found)
}

fn user_answer(name: &str, field: &Cursor<'_>) -> Result<Answer, DataError> {
    match name {
        "answer" => Ok(Answer::Math { accepted: accepted_answers(field)? }),
        "choice" => choice(field),
        "tool_calls" => Ok(Answer::ToolCalls { calls: tool_calls(field)? }),
        _ => Ok(Answer::Text { accepted: vec![field.filled_text()?.to_owned()] }),
    }
}

fn choice(field: &Cursor<'_>) -> Result<Answer, DataError> {
    let mut options: Vec<ChoiceOption> = Vec::new();
    for item in field.field("options")?.items()? {
        let label = item.field("label")?;
        let name = label.filled_text()?.to_owned();
        if options.iter().any(|option| option.label == name) {
            return Err(label.error("labels that differ", &format!("`{name}` again")));
        }
        options.push(ChoiceOption { label: name, text: item.field("text")?.text()?.to_owned() });
    }
    let key = field.field("label")?;
    let label = key.text()?.to_owned();
    if !options.iter().any(|option| option.label == label) {
        return Err(key.error("a label of the options", &format!("`{label}`")));
    }
    Ok(Answer::Choice { label, options })
}
