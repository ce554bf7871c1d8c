//! Results in the layout of lm-evaluation-harness 0.4.13, so that its readers read ours.

use razor_data::sha256_hex;
use serde_json::{Map, Value, json};

use crate::choice_scoring::ChoiceScore;
use crate::few_shot::FEW_SHOT_SEED;
use crate::prompt::Prompt;
use crate::task::{Scoring, Shots, Task};
use crate::task_result::{Answer, GroupResult, MetricScore, TaskResult};
use crate::verdict::Verdict;

/// One object a document and filter, as in its `samples_TASK_DATE.jsonl`.
pub fn samples(result: &TaskResult) -> Vec<Value> {
    let mut filters: Vec<&str> = Vec::new();
    for verdict in result.verdicts.iter().take(1).flatten() {
        if !filters.contains(&verdict.filter) {
            filters.push(verdict.filter);
        }
    }
    let n = result.answers.len();
    filters.into_iter().flat_map(|filter| (0..n).map(move |doc_id| sample(result, doc_id, filter))).collect()
}

fn sample(result: &TaskResult, doc_id: usize, filter: &str) -> Value {
    let (document, prompt) = (&result.task.documents[doc_id], &result.prompts[doc_id]);
    let verdicts: Vec<&Verdict> =
        result.verdicts[doc_id].iter().filter(|verdict| verdict.filter == filter).collect();
    let found = verdicts.first().and_then(|verdict| verdict.found.as_deref());
    let (responses, filtered) = match &result.answers[doc_id] {
        Answer::Choices(scores) => {
            let answers: Vec<Value> = scores.iter().map(choice_answer).collect();
            (answers.iter().map(|answer| json!([answer])).collect(), answers)
        }
        Answer::Text(text) => (vec![json!([text])], vec![json!(found.unwrap_or(text))]),
    };
    let mut sample = json!({
        "doc_id": doc_id,
        "doc": document.record,
        "target": document.target,
        "arguments": arguments(&result.task, prompt),
        "resps": responses,
        "filtered_resps": filtered,
        "filter": filter,
        "metrics": verdicts.iter().map(|verdict| verdict.metric).collect::<Vec<_>>(),
        "doc_hash": hash(&format!("{:#}", document.record)),
        "prompt_hash": hash(&prompt.contexts[0]),
        "target_hash": hash(&document.target),
    });
    for verdict in verdicts {
        sample[verdict.metric] = verdict.value.json();
    }
    sample
}

fn choice_answer(score: &ChoiceScore) -> Value {
    let is_greedy = if score.is_greedy { "True" } else { "False" };
    json!([json!(score.log_likelihood).to_string(), is_greedy])
}

fn arguments(task: &Task, prompt: &Prompt) -> Map<String, Value> {
    let pairs: Vec<Value> = match &task.scoring {
        Scoring::Choice(_) => (0..prompt.n_choices())
            .map(|choice| {
                let (context, continuation) = prompt.pair(choice);
                json!({"arg_0": context, "arg_1": continuation})
            })
            .collect(),
        Scoring::Text(_) => vec![json!({"arg_0": prompt.contexts[0], "arg_1": generation(task)})],
    };
    pairs.into_iter().enumerate().map(|(idx, pair)| (format!("gen_args_{idx}"), pair)).collect()
}

/// How answers are written; null where none are.
fn generation(task: &Task) -> Value {
    match &task.scoring {
        Scoring::Choice(_) => Value::Null,
        Scoring::Text(text) => {
            json!({"until": text.stops, "max_gen_toks": text.max_new_tokens, "do_sample": false})
        }
    }
}

/// The parts of its `results_DATE.json` that are about tasks.
pub fn results(tasks: &[&TaskResult], groups: &[GroupResult]) -> Map<String, Value> {
    let mut found = Map::new();
    let mut part = |name: &str, entries: Vec<(String, Value)>| {
        found.insert(name.to_owned(), Value::Object(entries.into_iter().collect()));
    };
    let of_tasks = |value: &dyn Fn(&TaskResult) -> Value| -> Vec<(String, Value)> {
        tasks.iter().map(|result| (result.task.name.clone(), value(result))).collect()
    };
    let of_groups = |value: &dyn Fn(&GroupResult) -> Value| -> Vec<(String, Value)> {
        groups.iter().map(|group| (group.group.name.to_owned(), value(group))).collect()
    };
    let both = |of_task: &dyn Fn(&TaskResult) -> Value, of_group: &dyn Fn(&GroupResult) -> Value| {
        [of_groups(of_group), of_tasks(of_task)].concat()
    };
    let of_task = |result: &TaskResult| {
        scored(&result.task.name, &result.task.alias, result.answers.len(), &result.scores())
    };
    let of_group = |group: &GroupResult| {
        let n = group.scores.first().map_or(0, |score| score.score.n);
        scored(group.group.name, group.group.alias, n, &group.scores)
    };
    part("results", both(&of_task, &of_group));
    if !groups.is_empty() {
        part("groups", of_groups(&of_group));
    }
    part("group_subtasks", of_groups(&|group| json!(group.tasks)));
    part("configs", of_tasks(&|result| config(&result.task, &result.scores())));
    part("versions", both(&|result| json!(result.task.version), &|group| json!(group.group.version)));
    part("n-shot", of_tasks(&|result| json!(result.task.n_shots)));
    let better = |scores: &[MetricScore]| -> Value {
        scores.iter().map(|score| (score.metric.to_owned(), json!(true))).collect::<Map<_, _>>().into()
    };
    part("higher_is_better", both(&|result| better(&result.scores()), &|group| better(&group.scores)));
    let counts = |result: &TaskResult| json!({"original": result.task.documents.len(), "effective": result.answers.len()});
    part("n-samples", of_tasks(&counts));
    part("task_hashes", of_tasks(&|result| json!(task_hash(result))));
    found
}

fn scored(name: &str, alias: &str, n: usize, scores: &[MetricScore]) -> Value {
    let mut entry = json!({"name": name, "alias": alias, "sample_len": n});
    for MetricScore { metric, filter, score } in scores {
        entry[format!("{metric},{filter}")] = json!(score.value);
        entry[format!("{metric}_stderr,{filter}")] =
            score.stderr.map_or_else(|| json!("N/A"), |stderr| json!(stderr));
    }
    entry
}

fn config(task: &Task, scores: &[MetricScore]) -> Value {
    let mut metrics: Vec<&str> = scores.iter().map(|score| score.metric).collect();
    metrics.dedup();
    let metric = |metric: &str| json!({"metric": metric, "aggregation": "mean", "higher_is_better": true});
    let sampler = match task.shots {
        Shots::Never => Value::Null,
        Shots::FirstOf(_) => json!({"sampler": "first_n"}),
        Shots::SampledFrom(_) => json!({"sampler": "default", "split": "train", "seed": FEW_SHOT_SEED}),
        Shots::FromOtherDocuments => {
            json!({"sampler": "default", "split": "the evaluated one", "seed": FEW_SHOT_SEED})
        }
    };
    let files = task.files.iter().map(
        |file| json!({"path": file.path, "sha256": file.sha256, "matches_manifest": file.matches_manifest}),
    );
    let is_choice = matches!(task.scoring, Scoring::Choice(_));
    json!({
        "task": task.name,
        "task_alias": task.alias,
        "data_files": files.collect::<Vec<_>>(),
        "description": task.description,
        "output_type": if is_choice { "multiple_choice" } else { "generate_until" },
        "generation_kwargs": generation(task),
        "num_fewshot": task.n_shots,
        "fewshot_config": sampler,
        "metric_list": metrics.into_iter().map(metric).collect::<Vec<_>>(),
        "metadata": {"version": task.version},
    })
}

/// Of all documents, prompts and targets.
fn task_hash(result: &TaskResult) -> String {
    let documents = result.task.documents.iter().zip(&result.prompts);
    let hashes = documents.map(|(document, prompt)| {
        let parts = [format!("{:#}", document.record), prompt.contexts[0].clone(), document.target.clone()];
        parts.map(|part| hash(&part)).concat()
    });
    hash(&hashes.collect::<String>())
}

fn hash(text: &str) -> String {
    sha256_hex(text.as_bytes())
}
