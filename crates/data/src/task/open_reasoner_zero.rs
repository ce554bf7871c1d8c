//! Open-Reasoner-Zero, in both of its forms.
//!
//! Evaluation: `{"prompt": [{"from": "user", "value"}], "final_answer"}`. Training: an array of two, `{"from": "human",
//! "value"}` and `{"from": "assistant", "ground_truth": {"value"}}`.

use crate::answer::Answer;
use crate::error::DataError;
use crate::task::example::TaskExample;
use crate::task::id::TaskId;
use crate::task::math::accepted_answers;
use crate::task::prompt::math_prompt;
use crate::task::record::{Cursor, RecordFile};

pub(super) fn parse(file: &RecordFile) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let (question, answer) =
            if record.value().is_array() { training_form(&record)? } else { evaluation_form(&record)? };
        let answer = Answer::Math { accepted: accepted_answers(&answer)? };
        let mut example = TaskExample::new(TaskId::OpenReasonerZero, file.id(idx), question, answer);
        example.prompt = math_prompt(question);
        examples.push(example);
    }
    Ok(examples)
}

fn evaluation_form<'a>(record: &Cursor<'a>) -> Result<(&'a str, Cursor<'a>), DataError> {
    let prompt = record.field("prompt")?;
    let turns = prompt.items()?;
    let [turn] = &turns[..] else {
        return Err(prompt.error("one turn", &turns.len().to_string()));
    };
    expect_speaker(turn, "user")?;
    Ok((turn.field("value")?.filled_text()?, record.field("final_answer")?))
}

fn training_form<'a>(record: &Cursor<'a>) -> Result<(&'a str, Cursor<'a>), DataError> {
    let turns = record.items()?;
    let [question, answer] = &turns[..] else {
        return Err(record.error("two turns", &turns.len().to_string()));
    };
    expect_speaker(question, "human")?;
    expect_speaker(answer, "assistant")?;
    Ok((question.field("value")?.filled_text()?, answer.field("ground_truth")?.field("value")?))
}

fn expect_speaker(turn: &Cursor<'_>, expected: &str) -> Result<(), DataError> {
    let field = turn.field("from")?;
    let found = field.text()?;
    if found == expected { Ok(()) } else { Err(field.error(&format!("`{expected}`"), &format!("`{found}`"))) }
}
