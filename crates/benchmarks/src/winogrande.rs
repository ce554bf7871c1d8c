//! WinoGrande: who or what does the blank stand for?
//!
//! Paper: arXiv 1907.10641. Version 1.0 in lm-evaluation-harness 0.4.13. `winogrande/dev.jsonl` has `sentence` with one
//! `_`, `option1`, `option2` and `answer`, "1" or "2". Partial evaluation: what follows the blank is scored after each
//! filled-in beginning.

use razor_data::{DataFile, Sources};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::choice_scoring::ChoiceMetric;
use crate::error::BenchmarkError;
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "winogrande",
    about: "which of two names fills the blank",
    default_shots: 0,
    read,
    groups: &[],
};

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    sentence: String,
    option1: String,
    option2: String,
    answer: String,
}

fn read(sources: &Sources) -> Result<Vec<Task>, BenchmarkError> {
    let file = DataFile::load("winogrande/dev.jsonl", sources)?;
    let mut documents = Vec::new();
    for (idx, record) in file.records::<Record>()?.iter().enumerate() {
        let reason = "expected a sentence with `_` and the answer 1 or 2".to_owned();
        let refused = || BenchmarkError::Document { task: "winogrande".to_owned(), document: idx, reason };
        documents.push(document(record).ok_or_else(refused)?);
    }
    Ok(vec![Task {
        name: "winogrande".to_owned(),
        alias: "winogrande".to_owned(),
        version: 1.0,
        description: String::new(),
        documents,
        shots: Shots::FromOtherDocuments,
        n_shots: 0,
        scoring: Scoring::Choice(&[ChoiceMetric::Acc]),
        files: vec![(&file).into()],
    }])
}

/// `None` where the sentence has no blank or the answer is neither option.
fn document(record: &Record) -> Option<Document> {
    let (before, after) = record.sentence.split_once('_')?;
    let gold = ["1", "2"].iter().position(|&answer| answer == record.answer)?;
    let after = after.trim().to_owned();
    Some(Document {
        record: json!(record),
        contexts: [&record.option1, &record.option2].map(|option| format!("{before}{option}")).to_vec(),
        continuations: vec![after.clone()],
        gold,
        is_true: Vec::new(),
        target: after,
        answer_start: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_stand_before_what_is_scored() {
        let text =
            r#"{"sentence": "Ann saw Bo, so _ waved.", "option1": "Ann", "option2": "Bo", "answer": "1"}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        let found = document(&record).unwrap();
        assert_eq!(found.contexts, ["Ann saw Bo, so Ann", "Ann saw Bo, so Bo"]);
        assert_eq!((found.continuations[0].as_str(), found.gold, found.n_choices()), ("waved.", 0, 2));
        assert!(document(&Record { answer: "3".into(), ..record }).is_none());
    }
}
