//! GSM8K: `{"question", "answer"}`, the result after `#### `, calculator marks `<<48/2=24>>` in the working.

use crate::answer::Answer;
use crate::error::DataError;
use crate::task::example::{AnswerFormat, TaskExample};
use crate::task::id::TaskId;
use crate::task::prompt::{final_answer_text, math_prompt};
use crate::task::record::RecordFile;

pub(super) fn parse(file: &RecordFile) -> Result<Vec<TaskExample>, DataError> {
    let mut examples = Vec::with_capacity(file.records.len());
    for (idx, record) in file.cursors().enumerate() {
        let question = record.field("question")?.filled_text()?;
        let field = record.field("answer")?;
        let text = field.text()?;
        let (working, result) =
            text.rsplit_once("####").ok_or_else(|| field.error("a result after `#### `", "no `####`"))?;
        let result = without_thousands_commas(result.trim());
        if result.is_empty() {
            return Err(field.error("a result after `#### `", "nothing"));
        }
        let answer = Answer::Math { accepted: vec![result] };
        let last_line = final_answer_text(&answer, AnswerFormat::Boxed);
        let mut example = TaskExample::new(TaskId::Gsm8k, file.id(idx), question, answer);
        example.prompt = math_prompt(question);
        example.target = Some(format!("{}\n{last_line}", without_calculator_marks(working).trim_end()));
        examples.push(example);
    }
    Ok(examples)
}

/// Removes every `<<...>>`; an opening mark that is never closed stays.
fn without_calculator_marks(working: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(working.len()), working);
    while let Some((before, marked)) = rest.split_once("<<") {
        let Some((_, after)) = marked.split_once(">>") else {
            break;
        };
        text.push_str(before);
        rest = after;
    }
    text + rest
}

/// `1,200` becomes `1200`; anything but digits in groups of three stays as it is.
fn without_thousands_commas(number: &str) -> String {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let is_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped = groups.next().is_some_and(|first| is_digits(first) && first.len() <= 3)
        && groups.all(|group| is_digits(group) && group.len() == 3);
    if is_grouped { number.replace(',', "") } else { number.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_thousands_commas_go() {
        for (number, expected) in [
            ("1,200", "1200"),
            ("-12,345,678.5", "-12345678.5"),
            ("72", "72"),
            ("1,2", "1,2"),
            ("a,b", "a,b"),
        ] {
            assert_eq!(without_thousands_commas(number), expected);
        }
    }

    #[test]
    fn calculator_marks_go_and_nothing_else() {
        assert_eq!(without_calculator_marks("6*2 = <<6*2=12>>12, 1 < 2 <<"), "6*2 = 12, 1 < 2 <<");
    }
}
