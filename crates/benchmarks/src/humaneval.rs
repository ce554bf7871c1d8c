//! HumanEval: functions from their descriptions, judged by running them.
//!
//! Paper: arXiv 2107.03374. Versions 1.0 and, for chat models, 4.0 in lm-evaluation-harness 0.4.13.
//! `humaneval/HumanEval.jsonl` has `task_id`, `prompt`, `entry_point`, `canonical_solution`, `test`.

use razor_data::{DataFile, Sources};
use serde_json::json;

use crate::error::BenchmarkError;
use crate::humaneval_program::{HUMANEVAL_STOPS, HumanEvalRecord, parse_humaneval};
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};
use crate::text_scoring::{Judges, TextScoring};
use crate::verdict::Verdict;

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "humaneval",
    about: "Python functions, judged by running them in a sandbox",
    default_shots: 0,
    read: |sources| read(sources, "humaneval", 1.0, document),
    groups: &[],
};

pub(crate) const INSTRUCT: Benchmark = Benchmark {
    name: "humaneval_instruct",
    about: "Python functions asked for in a conversation, judged by running them in a sandbox",
    default_shots: 0,
    read: |sources| read(sources, "humaneval_instruct", 4.0, instruct_document),
    groups: &[],
};

const SCORING: TextScoring =
    TextScoring { stops: &HUMANEVAL_STOPS, max_new_tokens: 1024, judge, runs_programs: true };

fn read(
    sources: &Sources,
    name: &str,
    version: f64,
    document: fn(&HumanEvalRecord) -> Document,
) -> Result<Vec<Task>, BenchmarkError> {
    let file = DataFile::load("humaneval/HumanEval.jsonl", sources)?;
    let records = parse_humaneval(&file.text)
        .map_err(|error| BenchmarkError::File { path: file.path.clone(), reason: error.to_string() })?;
    Ok(vec![Task {
        name: name.to_owned(),
        alias: name.to_owned(),
        version,
        description: String::new(),
        documents: records.iter().map(document).collect(),
        shots: Shots::Never,
        n_shots: 0,
        scoring: Scoring::Text(SCORING),
        files: vec![(&file).into()],
    }])
}

fn document(record: &HumanEvalRecord) -> Document {
    Document {
        record: json!(record),
        contexts: vec![record.prompt.clone()],
        continuations: vec![record.canonical_solution.clone()],
        gold: 0,
        is_true: Vec::new(),
        target: format!("{}\ncheck({})", record.test, record.entry_point),
        answer_start: String::new(),
    }
}

/// The model is asked in words, and its answer begins with the function's head in an open code fence.
fn instruct_document(record: &HumanEvalRecord) -> Document {
    let prompt = &record.prompt;
    let question = "Write a solution to the following problem and make sure that it passes the tests:";
    Document {
        contexts: vec![format!("{question}\n```python\n{prompt}\n```\n")],
        answer_start: format!("Here is the completed function:\n```python\n{prompt}\n"),
        ..document(record)
    }
}

fn judge(document: &Document, answer: &str, judges: &Judges) -> Result<Vec<Verdict>, BenchmarkError> {
    let record: HumanEvalRecord =
        serde_json::from_value(document.record.clone()).expect("the document was made from such a record");
    // Only answers to the second form close a fence; a function's body has none.
    let is_fenced = !document.answer_start.is_empty();
    let body = if is_fenced { answer.split("```").next().unwrap_or_default() } else { answer };
    let passed = run(&record, body, judges)?;
    Ok(vec![Verdict::flag("pass@1", "create_test", Some(format!("{}{body}", record.prompt)), passed)])
}

#[cfg(unix)]
fn run(record: &HumanEvalRecord, body: &str, judges: &Judges) -> Result<bool, BenchmarkError> {
    let sandbox = judges.sandbox.as_ref().ok_or(BenchmarkError::NoSandbox)?;
    Ok(sandbox.run(&record.program(body), &crate::sandbox::Limits::human_eval())?.passed())
}

#[cfg(not(unix))]
fn run(_: &HumanEvalRecord, _: &str, _: &Judges) -> Result<bool, BenchmarkError> {
    Err(BenchmarkError::NoSandbox)
}
