//! What `razor eval` prints and writes.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use razor_benchmarks::{
    Benchmark, DtypeEffect, FEW_SHOT_SEED, GroupResult, MetricScore, TaskResult, results, samples,
};
use razor_core::{write_json, write_json_lines};
use razor_data::{ChatTemplate, PromptTime, sha256_hex};
use razor_report::{Cell, Column, NumberFormat, Table, table_text};
use serde_json::{Map, Value, json};

use crate::backend::{BACKEND, VERSION};
use crate::eval::{EvalArgs, Limit};
use crate::model::LoadedModel;
use crate::terminal::{print, print_json};

/// Everything that was found about one model.
pub(crate) struct Evaluation {
    /// Model folder or hub id, as it was given.
    pub(crate) name: String,
    /// Each benchmark with its tasks.
    pub(crate) benchmarks: Vec<(Benchmark, Vec<TaskResult>)>,
    pub(crate) groups: Vec<GroupResult>,
    /// What the results say of model and settings.
    pub(crate) facts: Map<String, Value>,
    /// Wall time.
    pub(crate) seconds: f64,
}

impl Evaluation {
    fn tasks(&self) -> impl Iterator<Item = &TaskResult> {
        self.benchmarks.iter().flat_map(|(_, results)| results)
    }

    /// What bf16 logits did to each task, where they were used.
    fn dtype_effects(&self) -> impl Iterator<Item = (&str, DtypeEffect)> {
        self.tasks().filter_map(|result| Some((result.task.name.as_str(), DtypeEffect::of(result)?)))
    }

    /// The results in the layout of lm-evaluation-harness.
    fn object(&self) -> Map<String, Value> {
        let tasks: Vec<&TaskResult> = self.tasks().collect();
        let mut object = results(&tasks, &self.groups);
        object.extend(self.facts.clone());
        let effects: Map<String, Value> =
            self.dtype_effects().map(|(task, effect)| (task.to_owned(), json!(effect))).collect();
        if !effects.is_empty() {
            object.insert("bf16_logits".to_owned(), Value::Object(effects));
        }
        object.insert("total_evaluation_time_seconds".to_owned(), json!(self.seconds.to_string()));
        object
    }
}

pub(crate) fn show(evaluation: &Evaluation, args: &EvalArgs) -> anyhow::Result<()> {
    let written = match &args.out {
        Some(dir) => Some(write_run(dir, evaluation)?),
        None => None,
    };
    if args.json {
        return print_json(&evaluation.object());
    }
    let mut text = table_text(&score_table(evaluation));
    let effects = table_text(&dtype_table(evaluation));
    if !effects.is_empty() {
        text.push_str(&format!("\n{effects}"));
    }
    if let Some(path) = written {
        text.push_str(&format!("\nresults   {}\n", path.display()));
    }
    print(&text)
}

/// The parts of the results that are about the model and the settings.
pub(crate) fn facts(
    model: &LoadedModel,
    template: Option<&ChatTemplate>,
    name: &str,
    args: &EvalArgs,
) -> Map<String, Value> {
    let limit = args.limit.map(|limit| match limit {
        Limit::Count(count) => json!(count),
        Limit::Share(share) => json!(share),
    });
    let token = |name: &str| model.tokenizer.special_tokens().get(name);
    let sha = |text: &str| sha256_hex(text.as_bytes());
    let template = template.map(ChatTemplate::source);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let object = json!({
        "config": {
            "model": "razor",
            "model_args": {"pretrained": name, "revision": args.model_args.revision},
            "model_num_parameters": model.decoder.config().n_parameters(),
            "model_dtype": format!("{:?}", model.decoder.head().dtype()).to_lowercase(),
            "softmax_dtype": if args.bf16_softmax(model).is_some() { "bf16" } else { "f32" },
            "batch_tokens": args.batch.batch_tokens,
            "device": BACKEND,
            "limit": limit,
            "fewshot_seed": FEW_SHOT_SEED,
        },
        "date": now.as_secs_f64(),
        "razor_version": VERSION,
        "tokenizer_pad_token": token("pad_token"),
        "tokenizer_eos_token": token("eos_token"),
        "tokenizer_bos_token": token("bos_token"),
        "eot_token_id": model.tokenizer.eos_ids().first(),
        "max_length": model.decoder.config().max_positions,
        "model_source": "razor",
        "model_name": name,
        "model_name_sanitized": folder_name(name),
        "system_instruction": args.system_instruction,
        "system_instruction_sha": args.system_instruction.as_deref().map(sha),
        "fewshot_as_multiturn": args.apply_chat_template && !args.fewshot_in_one_turn,
        "chat_template": template,
        "chat_template_sha": template.map(sha),
    });
    match object {
        Value::Object(fields) => fields,
        _ => unreachable!("it was written as an object"),
    }
}

/// Writes samples, then results: where results are, everything is.
pub(crate) fn write_run(dir: &Path, evaluation: &Evaluation) -> anyhow::Result<PathBuf> {
    let dir = dir.join(folder_name(&evaluation.name));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = PromptTime::from_unix_seconds(now.as_secs() as u32);
    let date = time.format("%Y-%m-%dT%H-%M-%S").map_err(anyhow::Error::msg)?;
    let date = format!("{date}.{:06}", now.subsec_micros());
    for result in evaluation.tasks() {
        let name = format!("samples_{}_{date}.jsonl", result.task.name);
        write_json_lines(&dir.join(name), &samples(result))?;
    }
    let path = dir.join(format!("results_{date}.json"));
    write_json(&path, &evaluation.object())?;
    Ok(path)
}

/// The model's name without what a file name cannot have, as lm-evaluation-harness has it.
fn folder_name(model: &str) -> String {
    let is_refused = |letter: char| "\"<>:/|\\?*[]".contains(letter);
    let mut name = String::new();
    let mut was_refused = false;
    for letter in model.chars() {
        if !is_refused(letter) {
            name.push(letter);
        } else if !was_refused {
            name.push_str("__");
        }
        was_refused = is_refused(letter);
    }
    name
}

/// One row a metric: of groups, then of tasks.
fn score_table(evaluation: &Evaluation) -> Table {
    let columns = vec![
        Column::text("Task"),
        Column::number("Version", "", NumberFormat::Significant(2)),
        Column::number("Shots", "", NumberFormat::Fixed(0)),
        Column::text("Filter"),
        Column::text("Metric"),
        Column::number("Value", "", NumberFormat::Fixed(4)),
        Column::number("Stderr", "", NumberFormat::Fixed(4)),
        Column::number("n", "", NumberFormat::Fixed(0)),
    ];
    let mut table = Table::new("scores", "", columns);
    let mut push = |name: &str, version: f64, shots: Cell, scores: &[MetricScore]| {
        for MetricScore { metric, filter, score } in scores {
            table.push(vec![
                name.into(),
                version.into(),
                shots.clone(),
                (*filter).into(),
                (*metric).into(),
                score.value.into(),
                score.stderr.into(),
                (score.n as f64).into(),
            ]);
        }
    };
    for group in &evaluation.groups {
        push(group.group.name, group.group.version, "".into(), &group.scores);
    }
    for result in evaluation.tasks() {
        let shots = (result.task.n_shots as f64).into();
        push(&result.task.name, result.task.version, shots, &result.scores());
    }
    table
}

/// One row a metric of each task with bf16 logits; no rows without them.
fn dtype_table(evaluation: &Evaluation) -> Table {
    let caption = "bf16 logits beside f32 logits of the same model; changed documents are right with one and wrong with \
                   the other.";
    let columns = vec![
        Column::text("Task"),
        Column::text("Metric"),
        Column::number("bf16", "", NumberFormat::Fixed(4)),
        Column::number("f32", "", NumberFormat::Fixed(4)),
        Column::number("Changed documents", "", NumberFormat::Fixed(0)),
        Column::number("Largest difference of a log-likelihood", "nats", NumberFormat::Significant(2)),
    ];
    let mut table = Table::new("bf16_logits", caption, columns);
    for (task, effect) in evaluation.dtype_effects() {
        for metric in &effect.metrics {
            table.push(vec![
                task.into(),
                metric.metric.into(),
                metric.bf16.into(),
                metric.f32.into(),
                metric.n_changed.map(|n| n as f64).into(),
                effect.largest_difference.into(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_becomes_a_folder() {
        assert_eq!(folder_name("org/model"), "org__model");
        assert_eq!(folder_name("/a//b:c"), "__a__b__c");
    }
}
