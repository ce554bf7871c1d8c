//! ARC: science questions from school exams, easy and challenging.
//!
//! Paper: arXiv 1803.05457. Version 1.0 in lm-evaluation-harness 0.4.13. `arc/arc_easy_test.jsonl` and
//! `arc/arc_challenge_test.jsonl` have `query` ("Question: ..."), `choices` and `gold`.

use razor_data::{DataFile, Sources};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::choice_scoring::ChoiceMetric;
use crate::error::BenchmarkError;
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};

pub(crate) const EASY: Benchmark = Benchmark {
    name: "arc_easy",
    about: "school science questions that word statistics can answer",
    default_shots: 0,
    read: |sources| read(sources, "arc_easy"),
    groups: &[],
};

pub(crate) const CHALLENGE: Benchmark = Benchmark {
    name: "arc_challenge",
    about: "school science questions that word statistics cannot answer",
    default_shots: 0,
    read: |sources| read(sources, "arc_challenge"),
    groups: &[],
};

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    query: String,
    choices: Vec<String>,
    gold: usize,
}

fn read(sources: &Sources, name: &str) -> Result<Vec<Task>, BenchmarkError> {
    let file = DataFile::load(&format!("arc/{name}_test.jsonl"), sources)?;
    let mut documents = Vec::new();
    for (idx, record) in file.records::<Record>()?.iter().enumerate() {
        if record.gold >= record.choices.len() {
            let reason = format!("the answer is choice {} of {}", record.gold, record.choices.len());
            return Err(BenchmarkError::Document { task: name.to_owned(), document: idx, reason });
        }
        documents.push(Document {
            record: json!(record),
            contexts: vec![format!("{}\nAnswer:", record.query)],
            continuations: record.choices.clone(),
            gold: record.gold,
            is_true: Vec::new(),
            target: record.gold.to_string(),
            answer_start: String::new(),
        });
    }
    Ok(vec![Task {
        name: name.to_owned(),
        alias: name.to_owned(),
        version: 1.0,
        description: String::new(),
        documents,
        shots: Shots::FromOtherDocuments,
        n_shots: 0,
        scoring: Scoring::Choice(&[ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::AccBytes]),
        files: vec![(&file).into()],
    }])
}
