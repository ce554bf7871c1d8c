//! SciKnowEval: one object a line, fields in any order, five kinds of questions.

use crate::answer::{Answer, ChoiceOption};
use crate::error::DataError;
use crate::task::example::{AnswerFormat, TaskExample};
use crate::task::id::TaskId;
use crate::task::notes::Notes;
use crate::task::prompt::{choice_prompt, text_prompt};
use crate::task::record::{Cursor, RecordFile};

pub(super) fn parse(file: &RecordFile, notes: &mut Notes) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let kind = record.field("type")?;
        let example = match kind.text()? {
            "mcq-4-choices" | "mcq-2-choices" => choice_example(&record, file.id(idx), notes)?,
            "true_or_false" => Some(true_or_false_example(&record, file.id(idx))?),
            "filling" => Some(text_example(&record, file.id(idx), AnswerFormat::AnswerLine)?),
            "open-ended-qa" | "relation_extraction" => {
                notes.flag("an open answer, held against one text", file.id(idx));
                Some(text_example(&record, file.id(idx), AnswerFormat::Whole)?)
            }
            found => {
                let known = "mcq-4-choices, mcq-2-choices, true_or_false, filling, open-ended-qa or \
                             relation_extraction";
                return Err(kind.error(known, &format!("`{found}`")));
            }
        };
        if let Some(mut example) = example {
            describe(&record, file, &mut example)?;
            examples.push(example);
        }
    }
    Ok(examples)
}

/// `None`, with a note, where options and labels do not pair: nobody can tell which option a label means.
fn choice_example(
    record: &Cursor<'_>,
    id: String,
    notes: &mut Notes,
) -> Result<Option<TaskExample>, DataError> {
    let choices = record.field("choices")?;
    let (texts, labels) = (choices.field("text")?.items()?, choices.field("label")?.items()?);
    if texts.len() != labels.len() {
        notes.skip("options and labels do not pair", record.place());
        return Ok(None);
    }
    if !(2..=4).contains(&labels.len()) {
        return Err(choices.error("2 to 4 options", &labels.len().to_string()));
    }
    let mut options = Vec::with_capacity(labels.len());
    for (text, label) in texts.iter().zip(&labels) {
        options.push(ChoiceOption { label: label.filled_text()?.to_owned(), text: text.text()?.to_owned() });
    }
    let key = record.field("answerKey")?;
    let label = key.text()?.to_owned();
    if !options.iter().any(|option| option.label == label) {
        return Err(key.error("a label of the options", &format!("`{label}`")));
    }
    let is_repeated = |idx: usize| options[..idx].iter().any(|earlier| earlier.text == options[idx].text);
    if (1..options.len()).any(is_repeated) {
        notes.flag("two options read the same", id.clone());
    }
    let question = record.field("question")?.filled_text()?;
    let prompt = choice_prompt(question, &options);
    let example = TaskExample::new(TaskId::Sciknoweval, id, question, Answer::Choice { label, options });
    Ok(Some(TaskExample { prompt, ..example }))
}

/// The set writes `Yes` or `No`; options labelled `True` and `False` with these texts.
fn true_or_false_example(record: &Cursor<'_>, id: String) -> Result<TaskExample, DataError> {
    let options = [("True", "Yes"), ("False", "No")]
        .map(|(label, text)| ChoiceOption { label: label.to_owned(), text: text.to_owned() });
    let field = record.field("answer")?;
    let found = field.text()?;
    let right = options.iter().find(|option| option.text == found || option.label == found);
    let label = match right {
        Some(option) => option.label.clone(),
        None => return Err(field.error("`Yes` or `No`", &format!("`{found}`"))),
    };
    let question = record.field("question")?.filled_text()?;
    let prompt = choice_prompt(question, &options);
    let answer = Answer::Choice { label, options: options.to_vec() };
    Ok(TaskExample { prompt, ..TaskExample::new(TaskId::Sciknoweval, id, question, answer) })
}

fn text_example(record: &Cursor<'_>, id: String, format: AnswerFormat) -> Result<TaskExample, DataError> {
    let question = record.field("question")?.filled_text()?;
    let answer = Answer::Text { accepted: vec![record.field("answer")?.filled_text()?.to_owned()] };
    let instruction = record.field("prompt")?.field("default")?.text()?;
    let prompt = text_prompt(instruction, question, format);
    Ok(TaskExample { prompt, format, ..TaskExample::new(TaskId::Sciknoweval, id, question, answer) })
}

fn describe(record: &Cursor<'_>, file: &RecordFile, example: &mut TaskExample) -> Result<(), DataError> {
    example.subject = Some(file.stem());
    let mut set = |name: &str, value: &str| example.meta.insert(name.to_owned(), value.to_owned());
    set("type", record.field("type")?.text()?);
    set("domain", record.field("domain")?.text()?);
    let details = record.field("details")?;
    for name in ["level", "task", "subtask", "source"] {
        if let Some(field) = details.optional_field(name)? {
            set(name, field.text()?);
        }
    }
    Ok(())
}
