//! Section: AdamW's epsilon, and the movement that KL on the new task does not see.

use std::collections::BTreeMap;

use anyhow::Result;
use razor_metrics::MeanInterval;
use razor_report::{Block, Cell, Column, NumberFormat, Section, Table};

use crate::comparison::{ComparedPolicy, n_runs};
use crate::llm::study::fitted::{quadratic_r2, rank_correlation};
use crate::llm::study::gradient_movement::{gradient_figures, lowest_tenth};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::Setting;
use crate::llm::study::points::{Measured, Point};
use crate::llm::study::setting_groups::by_setting;
use crate::llm::study::task_view::{TaskView, mean_of};
use crate::llm::study::words::{interval_words, list};

/// The arm of this section.
pub(crate) const EPSILON_ARM: &str = "epsilon";

pub(crate) fn epsilon_section(views: &[TaskView<'_>]) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views {
        let points = view.measured.arm(EPSILON_ARM, view.name);
        if points.is_empty() {
            continue;
        }
        blocks.extend(effects_sentence(view).map(Block::Text));
        blocks.push(Block::Table(ends_table(view, &points)));
        blocks.extend(
            gradient_figures(view, &ends(&points), &epsilons(&points))?.into_iter().map(Block::Figure),
        );
        blocks.push(Block::Table(law_table(view, &points)));
        blocks.push(Block::Table(sight_table(view, &points)));
        blocks.push(Block::Table(divergence_table(view, &points)));
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("No run of the arm `epsilon` is finished.".to_owned()));
    }
    Ok(Section {
        title: "AdamW's epsilon".to_owned(),
        intro: vec![
            "Past the floor of the loss AdamW divides gradients that are nearly zero by their own size: with a small epsilon, weights \
             that the new task does not use take steps as large as those that it does. Here the same runs with another \
             epsilon, how far weights moved by the size of the base's new-task gradient, and which KL sees that movement."
                .to_owned(),
        ],
        blocks,
    })
}

/// What a larger epsilon did to one method: pairs of runs that differ in nothing else.
struct Effect {
    method: StudyMethod,
    /// The smaller epsilon and the larger one.
    epsilons: (f64, f64),
    /// Drop at the end with the smaller less drop with the larger: mean over the pairs of a repetition, then over repetitions.
    saved: MeanInterval,
}

impl Effect {
    /// Whether the larger epsilon forgets less; `None` where the interval holds 0 or there is none.
    fn answer(&self) -> Option<bool> {
        let (low, high) = self.saved.low.zip(self.saved.high)?;
        if low > 0.0 { Some(true) } else { (high < 0.0).then_some(false) }
    }
}

/// What a larger epsilon did on a task; `None` where there is no pair of runs.
pub(crate) fn effects_sentence(view: &TaskView<'_>) -> Option<String> {
    let effects = effects(view);
    let (small, large) = effects.first()?.epsilons;
    let n_seeds = effects.iter().map(|effect| effect.saved.n_values).max()?;
    let part = |what: &str, answer: Option<bool>| {
        let own = effects.iter().filter(|effect| effect.answer() == answer);
        let words: Vec<String> = own
            .map(|Effect { method, saved, .. }| {
                format!("{} ({})", method.title(), interval_words(saved.mean, saved.low.zip(saved.high)))
            })
            .collect();
        (!words.is_empty()).then(|| format!("{what} {}", list(&words)))
    };
    let parts: Vec<String> = [
        part("fewer points lost with", Some(true)),
        part("more points lost with", Some(false)),
        part("not settled with", None),
    ]
    .into_iter()
    .flatten()
    .collect();
    let seeds = if n_seeds == 1 {
        "1 repetition, which has no interval".to_owned()
    } else {
        format!("{n_seeds} repetitions")
    };
    Some(format!(
        "{}: AdamW's epsilon of {large:e} instead of {small:e}: {} (drop at the end saved by it, points; mean over learning \
         rates; {seeds}).",
        view.name,
        parts.join("; ")
    ))
}

/// The smallest epsilon of the arm against the largest, by method.
fn effects(view: &TaskView<'_>) -> Vec<Effect> {
    let points = view.measured.arm(EPSILON_ARM, view.name);
    let ends: Vec<&Point> = points.iter().copied().filter(|point| point.is_last).collect();
    let epsilons = epsilons(&ends);
    let (Some(&small), Some(&large)) = (epsilons.first(), epsilons.last()) else { return vec![] };
    if small == large {
        return vec![];
    }
    let of_method = |method: StudyMethod| {
        let with = |epsilon: f64| {
            ends.iter()
                .copied()
                .filter(move |end| end.setting.method == method && end.setting.epsilon == epsilon)
        };
        let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for end in with(small) {
            let twin = Setting { epsilon: large, ..end.setting.clone() };
            if let Some(other) = with(large).find(|other| other.setting == twin) {
                by_seed.entry(twin.seed_idx).or_default().push(end.forgetting - other.forgetting);
            }
        }
        let means: Vec<f64> =
            by_seed.values().map(|saved| saved.iter().sum::<f64>() / saved.len() as f64).collect();
        Some(Effect { method, epsilons: (small, large), saved: MeanInterval::new(&means).ok()? })
    };
    Measured::methods(&ends).into_iter().filter_map(of_method).collect()
}

fn epsilons(points: &[&Point]) -> Vec<f64> {
    let mut epsilons: Vec<f64> = points.iter().map(|point| point.setting.epsilon).collect();
    epsilons.sort_unstable_by(f64::total_cmp);
    epsilons.dedup();
    epsilons
}

fn setting_columns() -> Vec<Column> {
    vec![
        Column::text("Method"),
        Column::number("Learning rate", "", NumberFormat::Significant(2)),
        Column::number("Epsilon", "", NumberFormat::Significant(1)),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
    ]
}

fn setting_cells(setting: &Setting, n_runs: usize) -> Vec<Cell> {
    vec![
        setting.method.title().into(),
        setting.learning_rate.into(),
        setting.epsilon.into(),
        (n_runs as f64).into(),
    ]
}

fn ends_table(view: &TaskView<'_>, points: &[&Point]) -> Table {
    let mut columns = setting_columns();
    columns.extend([
        Column::number("Sampled", "", NumberFormat::Percent(1)),
        Column::number("Drop", "points", NumberFormat::Percent(1)),
        Column::number("Forward KL", "nats", NumberFormat::Fixed(2)),
        Column::number("Weight change ‖Δθ‖/‖θ₀‖", "", NumberFormat::Percent(2)),
        Column::number("Lowest tenth", "", NumberFormat::Fixed(2)),
    ]);
    let caption = format!(
        "{}: the end of runs by epsilon, mean over repetitions. Lowest tenth: movement of \
         the tenth of the weights with the smallest new-task gradient, over that of all weights (root mean squares).",
        view.name
    );
    let mut table = Table::new(view.file("epsilon"), caption, columns);
    for group in by_setting(&ends(points)) {
        let mean = |of: fn(&Point) -> f64| Cell::from(mean_of(&group.points, of));
        let lowest: Option<Vec<f64>> = group.points.iter().map(|point| lowest_tenth(point)).collect();
        let lowest = lowest.map(|values| values.iter().sum::<f64>() / values.len() as f64);
        let mut cells = setting_cells(group.setting, group.points.len());
        cells.extend([
            mean(Point::new_task),
            mean(Point::forgetting),
            mean(Point::forward_kl),
            mean(|point| point.measured.weights.relative),
            lowest.into(),
        ]);
        table.push(cells);
    }
    table
}

fn ends<'a>(points: &[&'a Point]) -> Vec<&'a Point> {
    points.iter().copied().filter(|point| point.is_last).collect()
}

/// The law at each epsilon.
fn law_table(view: &TaskView<'_>, points: &[&Point]) -> Table {
    let columns = vec![
        Column::number("Epsilon", "", NumberFormat::Significant(1)),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        Column::number("Policies", "", NumberFormat::Fixed(0)),
        Column::number("R² forward KL", "", NumberFormat::Fixed(2)),
        Column::number("R² ln(rate × steps)", "", NumberFormat::Fixed(2)),
        Column::number("R² weight change", "", NumberFormat::Fixed(2)),
        Column::number("Spearman forward KL", "", NumberFormat::Fixed(2)),
    ];
    let caption = format!(
        "{}: the law at each epsilon, on the same methods, learning rates and repetitions; 95 % intervals over runs.",
        view.name
    );
    let mut table = Table::new(view.file("epsilon_law"), caption, columns);
    let resampling = view.resampling("epsilon");
    for epsilon in epsilons(points) {
        let own: Vec<&Point> =
            points.iter().copied().filter(|point| point.setting.epsilon == epsilon).collect();
        table.push(vec![
            epsilon.into(),
            (n_runs(&own) as f64).into(),
            (own.len() as f64).into(),
            quadratic_r2(&own, Point::forward_kl, resampling).into(),
            quadratic_r2(&own, Point::log_step, resampling).into(),
            quadratic_r2(&own, |point| point.measured.weights.relative, resampling).into(),
            rank_correlation(&own, Point::forward_kl, resampling).into(),
        ]);
    }
    table
}

/// The prompts of a KL, and the KL.
type Divergence = (&'static str, fn(&Point) -> f64);

/// The three KLs, by the prompts they are measured on.
const DIVERGENCES: [Divergence; 3] = [
    ("new-task prompts", |point| point.shift.kl_reference_to_policy),
    ("prior prompts", |point| point.measured.kl_on_prior_prompts),
    ("random prompts", |point| point.measured.kl_on_random_prompts),
];

/// Which KL sees what was forgotten.
fn sight_table(view: &TaskView<'_>, points: &[&Point]) -> Table {
    let columns = vec![
        Column::text("KL(π₀‖π) on"),
        Column::number("R² quadratic", "", NumberFormat::Fixed(2)),
        Column::number("Spearman", "", NumberFormat::Fixed(2)),
    ];
    let caption = format!(
        "{}: forgetting on the KL measured on three kinds of prompts, all epsilons and methods of this arm together; 95 % \
         intervals over runs.",
        view.name
    );
    let mut table = Table::new(view.file("epsilon_sight"), caption, columns);
    let resampling = view.resampling("epsilon");
    for (prompts, value) in DIVERGENCES {
        table.push(vec![
            prompts.into(),
            quadratic_r2(points, value, resampling).into(),
            rank_correlation(points, value, resampling).into(),
        ]);
    }
    table
}

/// The three KLs beside the drop, at the end of runs.
fn divergence_table(view: &TaskView<'_>, points: &[&Point]) -> Table {
    let mut columns = setting_columns();
    columns.push(Column::number("Drop", "points", NumberFormat::Percent(1)));
    columns.extend(
        DIVERGENCES
            .map(|(prompts, _)| Column::number(format!("KL on {prompts}"), "nats", NumberFormat::Fixed(2))),
    );
    let caption =
        format!("{}: three KLs beside the drop at the end of runs, mean over repetitions.", view.name);
    let mut table = Table::new(view.file("epsilon_kl"), caption, columns);
    table.folded = true;
    for group in by_setting(&ends(points)) {
        let mut cells = setting_cells(group.setting, group.points.len());
        cells.push(mean_of(&group.points, Point::forgetting).into());
        cells.extend(DIVERGENCES.map(|(_, value)| Cell::from(mean_of(&group.points, value))));
        table.push(cells);
    }
    table
}
