//! A comparison as tables and a page.

use std::collections::BTreeMap;

use razor_report::{
    Axis, Bar, BarChart, Block, Cell, Column, DataKind, Figure, FigureSize, Highlight, NumberFormat, Page,
    ReportError, SUMMARY_SCHEMA, Section, Summary, Table,
};

use crate::backend::{BACKEND, VERSION};
use crate::eval::EvalArgs;
use crate::eval_compare::{Change, Comparison};
use crate::eval_output::Evaluation;
use crate::terminal::command_text;

const SCORE: NumberFormat = NumberFormat::Fixed(4);

/// Every metric before and after.
pub(crate) fn change_table(comparison: &Comparison) -> Table {
    let caption = "Both models on the same documents. Intervals are 95 % over resampled documents; p is that of McNemar's \
                   exact test on documents that one model has right and the other has not.";
    let columns = vec![
        Column::text("Benchmark"),
        Column::text("Metric"),
        Column::number("Base", "", SCORE),
        Column::number("Tuned", "", SCORE),
        Column::number("Difference", "", SCORE),
        Column::number("Retention", "", NumberFormat::Fixed(3)),
        Column::number("Lost", "", NumberFormat::Fixed(0)),
        Column::number("Gained", "", NumberFormat::Fixed(0)),
        Column::number("p", "", NumberFormat::Significant(2)),
        Column::number("n", "", NumberFormat::Fixed(0)),
    ];
    let mut table = Table::new("changes", caption, columns);
    for change in &comparison.changes {
        let count = |count: fn(&razor_benchmarks::McNemar) -> f64| -> Cell {
            change.mcnemar.as_ref().map(count).into()
        };
        table.push(vec![
            change.benchmark.into(),
            metric_text(change).into(),
            change.base.into(),
            change.tuned.into(),
            Cell::interval(Some(change.difference), change.low, change.high),
            change.retention.into(),
            count(|test| test.n_lost as f64),
            count(|test| test.n_gained as f64),
            count(|test| test.p_value),
            (change.n as f64).into(),
        ]);
    }
    table
}

fn metric_text(change: &Change) -> String {
    match change.filter {
        "none" => change.metric.to_owned(),
        filter => format!("{}, {filter}", change.metric),
    }
}

/// The documents that fell furthest.
pub(crate) fn regression_table(comparison: &Comparison) -> Table {
    let caption = "Documents that the tuned model does worse on, at most ten of each benchmark; those first whose right \
                   choice fell furthest behind the likeliest other.";
    let columns = vec![
        Column::text("Task"),
        Column::number("Document", "", NumberFormat::Fixed(0)),
        Column::number("Base", "", NumberFormat::Fixed(2)),
        Column::number("Tuned", "", NumberFormat::Fixed(2)),
        Column::number("Margin lost", "nats", NumberFormat::Fixed(2)),
        Column::text("Question"),
    ];
    let mut table = Table::new("regressions", caption, columns);
    for regression in &comparison.regressions {
        let question: String = regression.question.chars().take(60).collect();
        table.push(vec![
            regression.task.as_str().into(),
            (regression.doc_id as f64).into(),
            regression.base.into(),
            regression.tuned.into(),
            regression.margin_lost.into(),
            question.into(),
        ]);
    }
    table
}

/// Composes the page and what stands beside it for programs.
pub(crate) fn report(
    comparison: &Comparison,
    runs: [&Evaluation; 2],
    args: &EvalArgs,
) -> Result<(Page, Summary), ReportError> {
    let blocks = vec![Block::Figure(chart(comparison)?), Block::Table(change_table(comparison))];
    let mut sections = vec![Section { title: "Scores".to_owned(), intro: vec![], blocks }];
    if !comparison.regressions.is_empty() {
        sections.push(Section {
            title: "Most regressed documents".to_owned(),
            intro: vec![],
            blocks: vec![Block::Table(regression_table(comparison))],
        });
    }
    let page = Page {
        title: "What the tuned model kept".to_owned(),
        subtitle: format!("{} against {} on prior abilities", comparison.tuned, comparison.base),
        highlights: highlights(comparison),
        sections,
        rerun: vec![command_text(std::env::args())],
        footer: "Scores as in lm-evaluation-harness 0.4.13; higher is better.".to_owned(),
    };
    let environment = [
        ("base", comparison.base.clone()),
        ("tuned", comparison.tuned.clone()),
        ("razor", VERSION.to_owned()),
        ("backend", BACKEND.to_owned()),
        ("resamples", args.resamples.to_string()),
        ("seconds", format!("{:.0}", runs[0].seconds + runs[1].seconds)),
    ];
    let summary = Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "eval".to_owned(),
        preset: "none".to_owned(),
        data: DataKind::Real,
        verdict: verdict(comparison),
        gates: vec![],
        predictors: vec![],
        matched: vec![],
        residuals: vec![],
        provenance: vec![],
        environment: environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
    };
    Ok((page, summary))
}

/// What changed beyond chance, in words.
fn verdict(comparison: &Comparison) -> Vec<String> {
    let is_sure = |change: &&Change| match (change.low, change.high) {
        (Some(low), Some(high)) => low > 0.0 || high < 0.0,
        _ => false,
    };
    let sure: Vec<String> = comparison
        .changes
        .iter()
        .filter(is_sure)
        .map(|change| format!("{} {} {:+.4}", change.benchmark, metric_text(change), change.difference))
        .collect();
    match sure.is_empty() {
        true => vec!["No score changed by more than its 95 % interval.".to_owned()],
        false => vec![format!("Changed by more than their 95 % intervals: {}.", sure.join("; "))],
    }
}

fn highlights(comparison: &Comparison) -> Vec<Highlight> {
    let Some(retained) = comparison.retained else { return vec![] };
    let card = |value: String, label: &str, detail: &str| Highlight {
        value,
        label: label.to_owned(),
        detail: detail.to_owned(),
    };
    let share = retained.retention.unwrap_or(f64::NAN);
    vec![
        card(NumberFormat::Fixed(3).format(share), "retention", "mean of tuned by base over benchmarks"),
        card(SCORE.format(retained.backward_transfer), "backward transfer", "mean of tuned less base"),
        card(SCORE.format(retained.forgetting), "forgetting", "mean of base less tuned"),
    ]
}

fn chart(comparison: &Comparison) -> Result<Figure, ReportError> {
    let bar = |change: &Change| Bar {
        name: format!("{} {}", change.benchmark, metric_text(change)),
        value: change.difference,
        low: change.low.unwrap_or(f64::NAN),
        high: change.high.unwrap_or(f64::NAN),
        highlighted: change.high.is_some_and(|high| high < 0.0),
        reference: None,
    };
    let chart = BarChart {
        name: "changes".to_owned(),
        title: "Tuned less base".to_owned(),
        caption: "Change of each score with its 95 % interval; coloured where it fell by more than that."
            .to_owned(),
        size: FigureSize::Wide,
        x: Axis::points("Tuned less base"),
        bars: comparison.changes.iter().map(bar).collect(),
        reference_name: String::new(),
    };
    chart.draw()
}
