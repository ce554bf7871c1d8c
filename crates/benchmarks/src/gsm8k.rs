//! GSM8K: word problems of grade school, answered by a worked solution.
//!
//! Paper: arXiv 2110.14168. Version 3.0 in lm-evaluation-harness 0.4.13. `gsm8k/test.jsonl` and, for examples,
//! `gsm8k/train.jsonl` have `question` and `answer`, whose result follows `#### `.

use std::sync::LazyLock;

use razor_data::{DataFile, Sources};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::BenchmarkError;
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};
use crate::text_scoring::{Judges, TextScoring};
use crate::verdict::Verdict;

/// What stands for an answer without a number.
const INVALID: &str = "[invalid]";

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "gsm8k",
    about: "word problems of grade school, by the number at the end of a worked answer",
    default_shots: 5,
    read,
    groups: &[],
};

const SCORING: TextScoring = TextScoring {
    stops: &["Question:", "</s>", "<|im_end|>"],
    max_new_tokens: 256,
    judge,
    runs_programs: false,
};

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    question: String,
    answer: String,
}

fn read(sources: &Sources) -> Result<Vec<Task>, BenchmarkError> {
    let files = [DataFile::load("gsm8k/test.jsonl", sources)?, DataFile::load("gsm8k/train.jsonl", sources)?];
    let documents =
        |file: &DataFile| Ok::<_, BenchmarkError>(file.records()?.into_iter().map(document).collect());
    Ok(vec![Task {
        name: "gsm8k".to_owned(),
        alias: "gsm8k".to_owned(),
        version: 3.0,
        description: String::new(),
        documents: documents(&files[0])?,
        shots: Shots::SampledFrom(documents(&files[1])?),
        n_shots: 0,
        scoring: Scoring::Text(SCORING),
        files: files.iter().map(Into::into).collect(),
    }])
}

fn document(record: Record) -> Document {
    Document {
        record: json!(record),
        contexts: vec![format!("Question: {}\nAnswer:", record.question)],
        continuations: vec![record.answer.clone()],
        gold: 0,
        is_true: Vec::new(),
        target: record.answer,
        answer_start: String::new(),
    }
}

fn judge(document: &Document, answer: &str, _: &Judges) -> Result<Vec<Verdict>, BenchmarkError> {
    let expected = comparable(&document.target);
    let verdict = |filter: &'static str, found: String| {
        let is_right = comparable(&found) == expected;
        Verdict::flag("exact_match", filter, Some(found), is_right)
    };
    Ok(vec![verdict("strict-match", strict(answer)), verdict("flexible-extract", flexible(answer))])
}

/// The first number after `#### `.
fn strict(answer: &str) -> String {
    static MARKED: LazyLock<Regex> = LazyLock::new(|| pattern(r"#### (-?[0-9.,]+)"));
    MARKED.captures(answer).map_or_else(|| INVALID.to_owned(), |found| found[1].trim().to_owned())
}

/// The last of what looks like a number.
fn flexible(answer: &str) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"-?[$0-9.,]{2,}|-?[0-9]+"));
    NUMBER
        .find_iter(answer)
        .last()
        .map_or_else(|| INVALID.to_owned(), |found| found.as_str().trim().to_owned())
}

/// Without commas, dollar signs, what stands before the result, and a final period; in lower case.
fn comparable(text: &str) -> String {
    static MARK: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s).*#### "));
    static PERIOD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\.(\n?)\z"));
    let text = text.replace([',', '$'], "");
    PERIOD.replace(&MARK.replace_all(&text, ""), "$1").to_lowercase()
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strict and flexible.
    fn verdicts(answer: &str) -> [bool; 2] {
        let record = Record { question: "?".into(), answer: "12 x 900\n#### 10,800".into() };
        let found = judge(&document(record), answer, &Judges::for_tasks(&[], false).unwrap()).unwrap();
        [0, 1].map(|idx| found[idx].value == crate::verdict::VerdictValue::Number(1.0))
    }

    #[test]
    fn strict_wants_the_mark_and_flexible_the_last_number() {
        assert_eq!(verdicts(" 900 x 12 = 10800\n#### 10800"), [true, true]);
        assert_eq!(verdicts(" It is $10,800."), [false, true]);
        assert_eq!(verdicts(" #### 10800 of 9"), [true, false]);
        assert_eq!(verdicts(" #### 7\n#### 10800"), [false, true]);
        assert_eq!(verdicts(" none"), [false, false]);
    }

    #[test]
    fn what_is_found_is_what_the_reference_finds() {
        // findall of the reference's patterns in CPython
        assert_eq!(flexible("cost: $.,"), "$.,");
        assert_eq!(flexible("-5 and 3-4"), "-4");
        assert_eq!(flexible("no"), INVALID);
        assert_eq!(strict("#### -1,2.5. x"), "-1,2.5.");
        assert_eq!(comparable("A #### b #### 1.\n"), "1\n");
    }
}
