//! ToolAlpaca's evaluation files: tools with instructions and the calls that fulfil each.

use crate::answer::{Answer, ToolCall};
use crate::error::DataError;
use crate::task::example::{AnswerFormat, TaskExample};
use crate::task::id::TaskId;
use crate::task::notes::Notes;
use crate::task::prompt::{ToolText, final_answer_text, tool_prompt};
use crate::task::record::{Cursor, RecordFile};

pub(super) fn parse(file: &RecordFile, notes: &mut Notes) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::new();
    for record in file.cursors() {
        let tool = tool_text(&record)?;
        let instructions = record.field("Instructions")?.items()?;
        let golden = record.field("Golden_Answers")?;
        let answers = golden.items()?;
        if instructions.len() != answers.len() {
            let expected = format!("{} answers, one an instruction", instructions.len());
            return Err(golden.error(&expected, &answers.len().to_string()));
        }
        for (instruction, answer) in instructions.iter().zip(&answers) {
            let (question, id) = (instruction.filled_text()?, file.id(examples.len()));
            let calls = tool_calls(answer)?;
            if calls.iter().any(|call| !tool.functions.contains(&call.action.as_str())) {
                notes.flag("a golden call names a function that the documentation lacks", id.clone());
            }
            let mut example = tool_example(TaskId::Toolalpaca, id, question, calls, notes);
            example.prompt = tool_prompt(&tool, question);
            example.subject = Some(tool.name.to_owned());
            if let Some(category) = record.optional_field("Category")? {
                example.meta.insert("category".to_owned(), category.text()?.to_owned());
            }
            examples.push(example);
        }
    }
    Ok(examples)
}

fn tool_text<'a>(record: &Cursor<'a>) -> Result<ToolText<'a>, DataError> {
    let described = record.field("Function_Description")?;
    let functions =
        described.value().as_object().ok_or_else(|| described.error("an object", "another value"))?;
    // Keys, masked as `***` here and in the golden calls: a policy that is not told cannot write them.
    let fixed_arguments = record.optional_field("Authentication")?.map(|field| field.value());
    Ok(ToolText {
        fixed_arguments: fixed_arguments
            .filter(|value| value.as_object().is_some_and(|keys| !keys.is_empty()))
            .map(ToString::to_string),
        name: record.field("Name")?.filled_text()?,
        description: record.field("Description")?.text()?,
        documentation: record.field("NLDocumentation")?.filled_text()?,
        // `components` describes types that the functions return.
        functions: functions.keys().map(String::as_str).filter(|&name| name != "components").collect(),
    })
}

/// A list of `{"Action", "Action_Input"}`, both as they are.
pub(super) fn tool_calls(field: &Cursor<'_>) -> Result<Vec<ToolCall>, DataError> {
    let mut calls = Vec::new();
    for item in field.items()? {
        let action = item.field("Action")?.filled_text()?.to_owned();
        calls.push(ToolCall { action, action_input: item.field("Action_Input")?.text()?.to_owned() });
    }
    if calls.is_empty() { Err(field.error("at least one call", "an empty array")) } else { Ok(calls) }
}

/// An example without its prompt, whose target is its golden calls; notes what is out of the ordinary in them.
pub(super) fn tool_example(
    task: TaskId,
    id: String,
    question: &str,
    calls: Vec<ToolCall>,
    notes: &mut Notes,
) -> TaskExample {
    let is_not_json =
        |call: &&ToolCall| serde_json::from_str::<serde_json::Value>(&call.action_input).is_err();
    let n_not_json = calls.iter().filter(is_not_json).count();
    notes.flag_many("a golden call's input is not JSON, kept as text", n_not_json, &id);
    let answer = Answer::ToolCalls { calls };
    let target = final_answer_text(&answer, AnswerFormat::ToolCalls);
    let mut example = TaskExample::new(task, id, question, answer);
    if n_not_json > 0 {
        example.meta.insert("non_json_calls".to_owned(), n_not_json.to_string());
    }
    example.target = Some(target);
    example
}
