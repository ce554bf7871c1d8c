//! Section: what a new skill costs.

use anyhow::Result;
use razor_metrics::MeanInterval;
use razor_report::{Axis, Block, Cell, Column, Figure, Guide, NumberFormat, Section, Table};

use crate::comparison::{ComparedPolicy, Words, frontier_figure, pareto_figure};
use crate::llm::study::headline::{Contrast, headline_table};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::setting_groups::{by_setting, details};
use crate::llm::study::task_view::{TaskView, mean_of};
use crate::llm::study::words::{list, percent};

pub(crate) fn cost_section(views: &[TaskView<'_>]) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views {
        if view.points.is_empty() {
            blocks.push(Block::Text(format!("{}: no run of the main arm is finished.", view.name)));
            continue;
        }
        let sentence = Contrast::highest(view).map_or_else(
            || format!("{}: SFT and GRPO reach no level in common in all of their repetitions.", view.name),
            |contrast| contrast.sentence(view.name),
        );
        blocks.push(Block::Text(sentence));
        blocks.extend([Block::Figure(frontiers(view)?), Block::Figure(pareto(view)?)]);
        blocks.push(Block::Table(headline_table(view)));
        if !view.levels().is_empty() {
            blocks.push(Block::Table(drop_table(view)));
        }
        blocks.push(Block::Table(ends_table(view)));
        blocks.extend(unreached(view).map(Block::Text));
    }
    Ok(Section {
        title: "What a new skill costs".to_owned(),
        intro: vec![
            "Every run is measured several times. A method's frontier is the best prior score that any of its policies has at a \
             given new-task accuracy; methods are compared along it, never at equal steps. The new-task accuracy is that of \
             completions drawn at temperature 1, as greedy decoding hides where the base starts; greedy stands beside it."
                .to_owned(),
            "Drops are in accuracy points of the prior score, the unweighted mean of the prior benchmarks. Levels are the \
             multiples of 5 points above the base's accuracy that two methods or more reach in all their repetitions."
                .to_owned(),
        ],
        blocks,
    })
}

/// New-task levels at which frontiers are drawn, from the base's score up.
fn drawn_levels(view: &TaskView<'_>) -> Vec<f64> {
    let low = view.base_scores().0;
    let high = view.points.iter().map(|point| point.new_task()).fold(low, f64::max);
    (0..=150).map(|step| low + (high - low) * f64::from(step) / 150.0).collect()
}

fn frontiers(view: &TaskView<'_>) -> Result<Figure> {
    let words = Words::new(
        view.file("frontiers"),
        format!("{}: prior score at equal accuracy", view.name),
        "Prior score along each method's frontier; mean over repetitions, band from the lowest to the highest.",
    );
    let axes = (view.new_task_axis(), Axis::percent("Prior score"));
    let base = Guide::horizontal(view.base_scores().1, "base policy");
    let levels = drawn_levels(view);
    // A method whose worst repetition stays below the base has no line.
    let is_drawn = |method: &StudyMethod| view.drop_at(*method, levels[0]).is_some();
    let methods: Vec<StudyMethod> = view.methods.iter().copied().filter(is_drawn).collect();
    let prior = Point::prior_task;
    Ok(frontier_figure(&view.frontiers, &methods, &levels, prior, words.half(), axes, Some(base))?)
}

fn pareto(view: &TaskView<'_>) -> Result<Figure> {
    let words = Words::new(
        view.file("pareto"),
        format!("{}: the paper's protocol", view.name),
        "Policies within 2 accuracy points of their method's Pareto frontier, all repetitions, and the exponential \
         a − b·exp(c·x) fitted to them (the paper's appendix B.1).",
    );
    let axes = (view.new_task_axis(), Axis::percent("Prior score"));
    Ok(pareto_figure(&view.frontiers, &view.methods, view.base_scores(), words.half(), axes)?)
}

/// Drop of every method at every level; each repetition's is from its own base.
fn drop_table(view: &TaskView<'_>) -> Table {
    let levels = view.levels();
    let mut columns = vec![Column::text("Method"), Column::number("Repetitions", "", NumberFormat::Fixed(0))];
    let header = |level: &f64| format!("At {}", NumberFormat::Percent(0).format(*level));
    columns
        .extend(levels.iter().map(|level| Column::number(header(level), "points", NumberFormat::Percent(1))));
    let caption = format!(
        "{}: drop of the prior score at equal new-task accuracy; mean with Student's 95 % interval over repetitions. A dash: not \
         reached in every repetition.",
        view.name
    );
    let mut table = Table::new(view.file("drops"), caption, columns);
    for &method in &view.methods {
        let mut cells: Vec<Cell> =
            vec![method.title().into(), (view.frontiers.of(method).len() as f64).into()];
        cells.extend(levels.iter().map(|&level| {
            let drops: Option<Vec<f64>> =
                view.frontiers.per_seed(method, level, Point::forgetting).into_iter().collect();
            let mean = drops.and_then(|drops| MeanInterval::new(&drops).ok());
            mean.map_or(Cell::Missing, |mean| Cell::interval(Some(mean.mean), mean.low, mean.high))
        }));
        table.push(cells);
    }
    table
}

/// Where every setting ended.
fn ends_table(view: &TaskView<'_>) -> Table {
    let columns = vec![
        Column::text("Method"),
        Column::number("Learning rate", "", NumberFormat::Significant(2)),
        Column::number("Epsilon", "", NumberFormat::Significant(1)),
        Column::text("Setting"),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        Column::number("Sampled", "", NumberFormat::Percent(1)),
        Column::number("Greedy", "", NumberFormat::Percent(1)),
        Column::number("Drop", "points", NumberFormat::Percent(1)),
        Column::number("Forward KL", "nats", NumberFormat::Fixed(2)),
    ];
    let caption = format!(
        "{}: the end of the runs of every setting, mean over repetitions. Sampled is at temperature 1.",
        view.name
    );
    let mut table = Table::new(view.file("ends"), caption, columns);
    table.folded = true;
    for base in view.bases() {
        table.push(vec![
            "base".into(),
            Cell::Missing,
            Cell::Missing,
            "".into(),
            Cell::Missing,
            base.new_task.sampled.into(),
            base.new_task.greedy.into(),
            Cell::Missing,
            Cell::Missing,
        ]);
    }
    for group in by_setting(&view.ends()) {
        let mean = |of: fn(&Point) -> f64| Cell::from(mean_of(&group.points, of));
        table.push(vec![
            group.setting.method.title().into(),
            group.setting.learning_rate.into(),
            group.setting.epsilon.into(),
            details(group.setting).into(),
            (group.points.len() as f64).into(),
            mean(Point::new_task),
            mean(|point| point.measured.new_task.greedy),
            mean(Point::forgetting),
            mean(Point::forward_kl),
        ]);
    }
    table
}

/// The methods that a reader misses in the columns of the tables.
fn unreached(view: &TaskView<'_>) -> Option<String> {
    let lowest = *view.levels().first()?;
    let is_out = |method: &&StudyMethod| view.drop_at(**method, lowest).is_none();
    let out: Vec<String> =
        view.methods.iter().filter(is_out).map(|method| method.title().to_owned()).collect();
    (!out.is_empty()).then(|| {
        let level = percent(lowest, 0);
        format!(
            "{}: not even the lowest level, {level} %, is reached in every repetition by {}.",
            view.name,
            list(&out)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::points::Measured;
    use crate::llm::study::sample_study::CLEAR;

    #[test]
    fn a_base_with_a_lower_prior_score_changes_no_drop() {
        let dir = tempfile::tempdir().unwrap();
        let mut measured = Measured::read(&CLEAR.write(dir.path(), |_| true)).unwrap();
        let drops = |measured: &Measured| {
            let views = TaskView::all(measured).unwrap();
            drop_table(&views[0]).rows().to_vec()
        };
        let before = drops(&measured);
        assert!(before.iter().flatten().any(|cell| matches!(cell, Cell::Interval { .. })));
        for point in measured.points.iter_mut().filter(|point| point.setting.seed_idx == 1) {
            point.measured.prior_score -= 0.2;
        }
        assert_eq!(drops(&measured), before);
    }
}
