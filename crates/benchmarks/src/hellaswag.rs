//! HellaSwag: which of four endings goes on from a scene?
//!
//! Paper: arXiv 1905.07830. Version 1.0 in lm-evaluation-harness 0.4.13. `hellaswag/hellaswag_val.jsonl` is the published file;
//! where it is not, `hellaswag/hellaswag_val_full.txt` has six lines a document: label and context, the number of the right
//! ending, four endings. Its contexts were joined without the change of letters that the reference makes.

use std::sync::LazyLock;

use razor_data::{DataError, DataFile, Sources};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::choice_scoring::ChoiceMetric;
use crate::error::BenchmarkError;
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};

const LINES: usize = 6;

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "hellaswag",
    about: "the likeliest ending of a scene, of four",
    default_shots: 0,
    read,
    groups: &[],
};

fn read(sources: &Sources) -> Result<Vec<Task>, BenchmarkError> {
    let (file, documents) = match DataFile::load("hellaswag/hellaswag_val.jsonl", sources) {
        Ok(file) => {
            let documents = published_documents(&file)?;
            (file, documents)
        }
        Err(DataError::FileNotFound { .. }) => {
            let file = DataFile::load("hellaswag/hellaswag_val_full.txt", sources)?;
            let documents = documents(&file)?;
            (file, documents)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(vec![Task {
        name: "hellaswag".to_owned(),
        alias: "hellaswag".to_owned(),
        version: 1.0,
        description: String::new(),
        documents,
        shots: Shots::FromOtherDocuments,
        n_shots: 0,
        scoring: Scoring::Choice(&[ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::AccBytes]),
        files: vec![(&file).into()],
    }])
}

/// A row of the published file.
#[derive(Deserialize)]
struct Row {
    activity_label: String,
    ctx_a: String,
    ctx_b: String,
    endings: Vec<String>,
    /// A number, or one as text in copies that went through other tools.
    label: Value,
}

fn published_documents(file: &DataFile) -> Result<Vec<Document>, DataError> {
    let rows: Vec<Value> = file.records()?;
    let document = |(idx, record): (usize, Value)| {
        let refused = |reason: String| file.refuse(idx + 1, reason);
        let row: Row = serde_json::from_value(record.clone()).map_err(|error| refused(error.to_string()))?;
        let label = row.label.as_str().map_or_else(|| row.label.to_string(), str::to_owned);
        let gold: Option<usize> = label.trim().parse().ok().filter(|&gold| gold < row.endings.len());
        let gold = gold.ok_or_else(|| {
            refused(format!(
                "`label` is {}, expected the number of one of {} endings",
                row.label,
                row.endings.len()
            ))
        })?;
        let context = format!("{}: {} {}", row.activity_label, row.ctx_a, capitalized(&row.ctx_b));
        Ok(Document {
            record,
            contexts: vec![clean(&context)],
            continuations: row.endings.iter().map(|ending| clean(ending)).collect(),
            gold,
            is_true: Vec::new(),
            target: gold.to_string(),
            answer_start: String::new(),
        })
    };
    rows.into_iter().enumerate().map(document).collect()
}

/// As Python capitalizes: the first letter large, every other one small, names too.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut first = first.to_uppercase();
    let large: String = first.by_ref().take(1).collect();
    // A letter that becomes several, as German sharp s: only the first of them is large.
    large + &first.flat_map(char::to_lowercase).collect::<String>() + &letters.as_str().to_lowercase()
}

fn documents(file: &DataFile) -> Result<Vec<Document>, DataError> {
    let lines: Vec<&str> = file.text.lines().collect();
    let document = |(idx, lines): (usize, &[&str])| {
        let first = LINES * idx + 1;
        let [context, label, endings @ ..] = lines else { return Err(cut(file, first, lines.len())) };
        if endings.len() != LINES - 2 {
            return Err(cut(file, first, lines.len()));
        }
        let refused =
            || file.refuse(first + 1, format!("expected the ending's number, 0 to 3, found `{label}`"));
        let gold = label.trim().parse().ok().filter(|&gold| gold < endings.len()).ok_or_else(refused)?;
        Ok(Document {
            record: json!({"context": context, "endings": endings, "label": label}),
            contexts: vec![clean(context)],
            continuations: endings.iter().map(|ending| clean(ending)).collect(),
            gold,
            is_true: Vec::new(),
            target: gold.to_string(),
            answer_start: String::new(),
        })
    };
    lines.chunks(LINES).enumerate().map(document).collect()
}

fn cut(file: &DataFile, line: usize, found: usize) -> DataError {
    file.refuse(line, format!("expected {LINES} lines a document, found {found}"))
}

/// What the reference does to every text. The published file was cleaned once; a second time changes two contexts.
fn clean(text: &str) -> String {
    static BRACKETS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[.*?\]").expect("the pattern is valid"));
    let text = text.trim().replace(" [title]", ". ");
    BRACKETS.replace_all(&text, "").replace("  ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_as_the_reference_cleans_them() {
        assert_eq!(clean(" Fix it [title] Steps [step] a   b "), "Fix it. Steps a  b");
        assert_eq!(clean("no [end"), "no [end");
    }

    #[test]
    fn letters_become_large_and_small_as_in_python() {
        let cases = [
            ("she Waves to NASA", "She waves to nasa"),
            ("", ""),
            ("éA", "Éa"),
            ("ßX", "Ssx"),
            ("9Ab", "9ab"),
        ];
        for (text, expected) in cases {
            assert_eq!(capitalized(text), expected);
        }
    }

    #[test]
    fn a_row_of_the_published_file_is_named_by_its_line() {
        let row =
            r#"{"activity_label": "a", "ctx_a": "b", "ctx_b": "C", "endings": ["w", "x"], "label": "1"}"#;
        let message = |rows: &str| {
            let file = DataFile { path: "h.jsonl".into(), sha256: String::new(), text: rows.to_owned() };
            published_documents(&file).map(|found| found.len()).map_err(|error| error.to_string())
        };
        assert_eq!(message(&format!("{row}\n{row}\n")), Ok(2));
        let wrong = message(&format!("{row}\n{}", row.replace("\"1\"", "2"))).unwrap_err();
        assert!(
            wrong.contains("h.jsonl:2: `label` is 2, expected the number of one of 2 endings"),
            "{wrong}"
        );
        let missing = message(&row.replace("ctx_b", "ctx_c")).unwrap_err();
        assert!(missing.contains("h.jsonl:1: missing field `ctx_b`"), "{missing}");
    }

    #[test]
    fn a_damaged_file_is_named_by_its_line() {
        let file =
            |text: &str| DataFile { path: "h.txt".into(), sha256: String::new(), text: text.to_owned() };
        let message = |text: &str| documents(&file(text)).unwrap_err().to_string();
        assert!(message("a: b\n1\nw\nx\ny\nz\nc: d\n").contains("h.txt:7: expected 6 lines"));
        assert!(message("a: b\n4\nw\nx\ny\nz\n").contains("h.txt:2: expected the ending's number"));
    }
}
