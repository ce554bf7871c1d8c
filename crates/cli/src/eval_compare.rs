//! `razor eval --base A --tuned B`: what the tuned model lost and gained.

use razor_benchmarks::{Answer, McNemar, Retained, TaskResult, VerdictValue};
use razor_core::{Seed, write_json};
use razor_metrics::{BootstrapInterval, RunBootstrap};
use razor_report::{table_text, write_report};
use serde::Serialize;
use serde_json::{Value, json};

use crate::eval::EvalArgs;
use crate::eval_compare_page::{change_table, regression_table, report};
use crate::eval_output::{Evaluation, write_run};
use crate::terminal::{print, print_json};

/// Documents that are listed as the most regressed, of each benchmark.
const N_REGRESSED: usize = 10;
/// A share of probability that fell by less is not listed.
const LEAST_FALL: f64 = 0.01;

/// One metric of one benchmark before and after, over the same documents.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    pub(crate) benchmark: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) filter: &'static str,
    /// Documents.
    pub(crate) n: usize,
    pub(crate) base: f64,
    pub(crate) tuned: f64,
    /// Tuned less base, with its 95 % interval over resampled documents; no interval for a single document.
    pub(crate) difference: f64,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Tuned by base; none where the base scores nothing.
    pub(crate) retention: Option<f64>,
    /// Only where every value is right or wrong.
    pub(crate) mcnemar: Option<McNemar>,
}

/// A document that the tuned model does worse on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Regression {
    pub(crate) task: String,
    pub(crate) doc_id: usize,
    pub(crate) metric: &'static str,
    pub(crate) base: f64,
    pub(crate) tuned: f64,
    /// How much further the right choice fell behind the likeliest other, in nats; none for written answers.
    pub(crate) margin_lost: Option<f64>,
    /// The first line of the question.
    pub(crate) question: String,
}

/// Everything that was compared.
pub(crate) struct Comparison {
    pub(crate) base: String,
    pub(crate) tuned: String,
    pub(crate) changes: Vec<Change>,
    pub(crate) retained: Option<Retained>,
    pub(crate) regressions: Vec<Regression>,
}

pub(crate) fn compare(base: &Evaluation, tuned: &Evaluation, args: &EvalArgs) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    let mut regressions = Vec::new();
    for ((benchmark, before), (_, after)) in base.benchmarks.iter().zip(&tuned.benchmarks) {
        changes.extend(of_benchmark(benchmark.name, before, after, args));
        regressions.extend(most_regressed(before, after));
    }
    // The first metric of each benchmark stands for it.
    let mut first: Vec<&Change> = changes.iter().collect();
    first.dedup_by_key(|change| change.benchmark);
    let scores = |of: fn(&Change) -> f64| first.iter().map(|change| of(change)).collect::<Vec<f64>>();
    let retained = Retained::new(&scores(|change| change.base), &scores(|change| change.tuned));
    let (base_name, tuned_name) = (base.name.clone(), tuned.name.clone());
    let comparison = Comparison { base: base_name, tuned: tuned_name, changes, retained, regressions };
    show(&comparison, [base, tuned], args)
}

/// Every metric, over the documents of all tasks.
fn of_benchmark(
    benchmark: &'static str,
    before: &[TaskResult],
    after: &[TaskResult],
    args: &EvalArgs,
) -> Vec<Change> {
    let n_metrics = before.iter().find_map(|result| result.verdicts.first()).map_or(0, Vec::len);
    let n: usize = before.iter().map(|result| result.verdicts.len()).sum();
    let documents: Vec<usize> = (0..n).collect();
    let seed = Seed::new(args.seed).derive("documents", 0);
    let bootstrap = RunBootstrap::new(&documents, args.resamples, seed).ok(); // none for a single document
    let change = |metric_idx: usize| {
        let values = |results: &[TaskResult]| -> Vec<(f64, f64)> {
            let of_task = |result: &TaskResult| {
                result
                    .verdicts
                    .iter()
                    .map(|verdicts| weighted(&verdicts[metric_idx].value))
                    .collect::<Vec<_>>()
            };
            results.iter().flat_map(of_task).collect()
        };
        let (before_values, after_values) = (values(before), values(after));
        let each_once = vec![1.0; n];
        let (base, tuned) = (mean(&before_values, &each_once)?, mean(&after_values, &each_once)?);
        let difference =
            |weights: &[f64]| Some(mean(&after_values, weights)? - mean(&before_values, weights)?);
        let interval: Option<BootstrapInterval> =
            bootstrap.as_ref().and_then(|bootstrap| bootstrap.interval(difference));
        let verdict = &before.iter().find_map(|result| result.verdicts.first())?[metric_idx];
        let plain =
            |values: &[(f64, f64)]| values.iter().map(|&(sum, weight)| sum / weight).collect::<Vec<f64>>();
        Some(Change {
            benchmark,
            metric: verdict.metric,
            filter: verdict.filter,
            n,
            base,
            tuned,
            difference: tuned - base,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            retention: (base > 0.0).then(|| tuned / base),
            mcnemar: McNemar::new(&plain(&before_values), &plain(&after_values)),
        })
    };
    (0..n_metrics).filter_map(change).collect()
}

/// Sum and number of values: a document with several instructions counts as often.
fn weighted(value: &VerdictValue) -> (f64, f64) {
    match value {
        VerdictValue::Number(number) => (*number, 1.0),
        VerdictValue::Flags(flags) => (value.mean() * flags.len() as f64, flags.len() as f64),
    }
}

fn mean(values: &[(f64, f64)], weights: &[f64]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((value, n), weight) in values.iter().zip(weights) {
        sum += weight * value;
        count += weight * n;
    }
    (count > 0.0).then(|| sum / count)
}

/// Documents whose first metric fell, those first whose right choice fell furthest.
fn most_regressed(before: &[TaskResult], after: &[TaskResult]) -> Vec<Regression> {
    let mut found = Vec::new();
    for (before, after) in before.iter().zip(after) {
        for (doc_id, (old, new)) in before.verdicts.iter().zip(&after.verdicts).enumerate() {
            let (Some(old), Some(new)) = (old.first(), new.first()) else { continue };
            let (base, tuned) = (old.value.mean(), new.value.mean());
            if base - tuned < LEAST_FALL {
                continue;
            }
            let document = &before.task.documents[doc_id];
            let margins = [before, after].map(|result| margin(&result.answers[doc_id], document.gold));
            found.push(Regression {
                task: before.task.name.clone(),
                doc_id,
                metric: old.metric,
                base,
                tuned,
                margin_lost: margins[0].zip(margins[1]).map(|(base, tuned)| base - tuned),
                question: question(&document.contexts[0]).to_owned(),
            });
        }
    }
    let fall =
        |regression: &Regression| (regression.base - regression.tuned, regression.margin_lost.unwrap_or(0.0));
    found.sort_by(|a, b| {
        let ((a, a_margin), (b, b_margin)) = (fall(a), fall(b));
        b.total_cmp(&a).then(b_margin.total_cmp(&a_margin))
    });
    found.truncate(N_REGRESSED);
    found
}

/// The first line of a question, without what stands before every question of its task.
fn question(context: &str) -> &str {
    let last = context.trim().rsplit("\n\n").next().unwrap_or_default();
    last.lines().next().unwrap_or_default()
}

/// By how much the right choice leads, in nats; `None` for a written answer.
fn margin(answer: &Answer, gold: usize) -> Option<f64> {
    let Answer::Choices(scores) = answer else { return None };
    let others = scores.iter().enumerate().filter(|&(choice, _)| choice != gold);
    let best = others.map(|(_, score)| score.log_likelihood).fold(f64::NEG_INFINITY, f64::max);
    Some(scores.get(gold)?.log_likelihood - best)
}

fn show(comparison: &Comparison, runs: [&Evaluation; 2], args: &EvalArgs) -> anyhow::Result<()> {
    let json = as_json(comparison, args);
    if let Some(dir) = &args.out {
        for run in runs {
            write_run(dir, run)?;
        }
        let (page, summary) = report(comparison, runs, args)?;
        write_report(dir, &page, &summary)?;
        write_json(&dir.join("comparison.json"), &json)?;
    }
    if args.json {
        return print_json(&json);
    }
    let mut text = table_text(&change_table(comparison));
    if let Some(retained) = comparison.retained {
        text.push_str(&format!(
            "\nover benchmarks: backward transfer {:+.4}, forgetting {:+.4}, retention {}\n",
            retained.backward_transfer,
            retained.forgetting,
            retained.retention.map_or("-".to_owned(), |share| format!("{share:.3}"))
        ));
    }
    if !comparison.regressions.is_empty() {
        text.push_str(&format!("\n{}", table_text(&regression_table(comparison))));
    }
    if let Some(dir) = &args.out {
        text.push_str(&format!("\nreport   {}\n", dir.join("report.html").display()));
    }
    print(&text)
}

fn as_json(comparison: &Comparison, args: &EvalArgs) -> Value {
    json!({
        "base": comparison.base,
        "tuned": comparison.tuned,
        "changes": comparison.changes,
        "over_benchmarks": comparison.retained,
        "most_regressed": comparison.regressions,
        "resamples": args.resamples,
        "seed": args.seed,
    })
}
