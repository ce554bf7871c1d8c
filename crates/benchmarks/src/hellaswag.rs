//! HellaSwag: which of four endings goes on from a scene?
//!
//! Paper: arXiv 1905.07830. Version 1.0 in lm-evaluation-harness 0.4.13. `hellaswag/hellaswag_val_full.txt` has six lines a
//! document: label and context, the number of the right ending, four endings.

use std::sync::LazyLock;

use razor_data::{DataError, DataFile, Sources};
use regex::Regex;
use serde_json::json;

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
    let file = DataFile::load("hellaswag/hellaswag_val_full.txt", sources)?;
    Ok(vec![Task {
        name: "hellaswag".to_owned(),
        alias: "hellaswag".to_owned(),
        version: 1.0,
        description: String::new(),
        documents: documents(&file)?,
        shots: Shots::FromOtherDocuments,
        n_shots: 0,
        scoring: Scoring::Choice(&[ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::AccBytes]),
        files: vec![(&file).into()],
    }])
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
    fn a_damaged_file_is_named_by_its_line() {
        let file =
            |text: &str| DataFile { path: "h.txt".into(), sha256: String::new(), text: text.to_owned() };
        let message = |text: &str| documents(&file(text)).unwrap_err().to_string();
        assert!(message("a: b\n1\nw\nx\ny\nz\nc: d\n").contains("h.txt:7: expected 6 lines"));
        assert!(message("a: b\n4\nw\nx\ny\nz\n").contains("h.txt:2: expected the ending's number"));
    }
}
