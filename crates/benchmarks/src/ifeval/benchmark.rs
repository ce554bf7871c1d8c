//! IFEval as a benchmark.
//!
//! Version 4.0 in lm-evaluation-harness 0.4.13. `ifeval/input_data.jsonl` has the published prompts.

use razor_data::{DataFile, Sources};
use serde_json::Value;

use crate::error::BenchmarkError;
use crate::ifeval::prompt::IfevalPrompt;
use crate::ifeval::verdict::judge as judge_response;
use crate::suite::Benchmark;
use crate::task::{Document, Scoring, Shots, Task};
use crate::text_scoring::{Judges, TextScoring};
use crate::verdict::{Verdict, VerdictValue};

pub(crate) const BENCHMARK: Benchmark = Benchmark {
    name: "ifeval",
    about: "instructions that a program can verify",
    default_shots: 0,
    read,
    groups: &[],
};

const SCORING: TextScoring = TextScoring { stops: &[], max_new_tokens: 1280, judge, runs_programs: false };

fn read(sources: &Sources) -> Result<Vec<Task>, BenchmarkError> {
    let file = DataFile::load("ifeval/input_data.jsonl", sources)?;
    let refused = |error: crate::ifeval::IfevalError| BenchmarkError::File {
        path: file.path.clone(),
        reason: with_cause(&error),
    };
    let document = |record: Value| {
        let prompt = IfevalPrompt::parse(&record.to_string()).map_err(refused)?;
        Ok(Document {
            record,
            contexts: vec![prompt.prompt],
            continuations: vec![String::new()],
            gold: 0,
            is_true: Vec::new(),
            target: "0".to_owned(),
            answer_start: String::new(),
        })
    };
    Ok(vec![Task {
        name: "ifeval".to_owned(),
        alias: "ifeval".to_owned(),
        version: 4.0,
        description: String::new(),
        documents: file
            .records::<Value>()?
            .into_iter()
            .map(document)
            .collect::<Result<_, BenchmarkError>>()?,
        shots: Shots::Never,
        n_shots: 0,
        scoring: Scoring::Text(SCORING),
        files: vec![(&file).into()],
    }])
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn judge(document: &Document, answer: &str, judges: &Judges) -> Result<Vec<Verdict>, BenchmarkError> {
    let prompt = IfevalPrompt::parse(&document.record.to_string()).expect("it was parsed when it was read");
    let found = judge_response(&prompt, answer, &judges.punkt);
    let flag = |metric, is_right| Verdict::flag(metric, "none", None, is_right);
    let flags =
        |metric, flags| Verdict { metric, filter: "none", found: None, value: VerdictValue::Flags(flags) };
    Ok(vec![
        flag("prompt_level_strict_acc", found.follows_all_strictly()),
        flags("inst_level_strict_acc", found.strict.clone()),
        flag("prompt_level_loose_acc", found.follows_all_loosely()),
        flags("inst_level_loose_acc", found.loose.clone()),
    ])
}
