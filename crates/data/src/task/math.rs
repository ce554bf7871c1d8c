//! Sets of mathematics with one field for the problem and one for the answer: MATH, ASDiv, Minerva, OlympiadBench, AMC.

use serde_json::Value;

use crate::answer::Answer;
use crate::error::DataError;
use crate::task::example::TaskExample;
use crate::task::id::TaskId;
use crate::task::prompt::math_prompt;
use crate::task::record::{Cursor, RecordFile};

pub(super) fn parse(task: TaskId, file: &RecordFile) -> Result<Vec<TaskExample>, DataError> {
    let question_field = if task == TaskId::Math { "context" } else { "problem" };
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let question = record.field(question_field)?.filled_text()?;
        let answer = Answer::Math { accepted: accepted_answers(&record.field("answer")?)? };
        let mut example = TaskExample::new(task, file.id(idx), question, answer);
        example.prompt = math_prompt(question);
        if let Some(field) = record.optional_field("chain_of_thought")? {
            example.target = Some(field.filled_text()?.to_owned());
        }
        if let Some(field) = record.optional_field("category")? {
            example.subject = Some(field.text()?.to_owned());
        }
        if let Some(difficulty) = record.optional_field("difficulty")? {
            example.meta.insert("difficulty".to_owned(), number_text(&difficulty)?);
        }
        examples.push(example);
    }
    Ok(examples)
}

/// A string, a number or a list of them; white space at the ends goes, and what is then repeated.
pub(super) fn accepted_answers(field: &Cursor<'_>) -> Result<Vec<String>, DataError> {
    let one = |field: &Cursor<'_>| match field.value() {
        Value::Number(_) => number_text(field),
        _ => field.filled_text().map(|text| text.trim().to_owned()),
    };
    if !field.value().is_array() {
        return Ok(vec![one(field)?]);
    }
    let mut accepted = Vec::new();
    for item in field.items()? {
        let answer = one(&item)?;
        if !accepted.contains(&answer) {
            accepted.push(answer);
        }
    }
    if accepted.is_empty() { Err(field.error("at least one answer", "an empty array")) } else { Ok(accepted) }
}

/// A number without the `.0` that a float has in JSON: 142.0 is `142`.
fn number_text(field: &Cursor<'_>) -> Result<String, DataError> {
    let Value::Number(number) = field.value() else {
        return Err(field.error("a number", &field.value().to_string()));
    };
    match number.as_f64() {
        Some(value) if !number.is_i64() && !number.is_u64() => Ok(value.to_string()),
        _ => Ok(number.to_string()),
    }
}
