//! Section: what was forgotten, by benchmark and by document, and what sampling and representations say.

use anyhow::Result;
use razor_metrics::RunBootstrap;
use razor_report::{Axis, Block, Cell, Column, Figure, NumberFormat, Section, Series, Table};

use crate::comparison::ComparedPolicy;
use crate::comparison::{ComparedMethod, Resampling, Words, frontier_figure};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::record::{BenchmarkScore, Measurement};
use crate::llm::study::regressions::{DocumentText, regression_blocks};
use crate::llm::study::setting_groups::by_setting;
use crate::llm::study::task_view::{TaskView, mean_of};

pub(crate) fn forgotten_section(views: &[TaskView<'_>], text: DocumentText<'_>) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views.iter().filter(|view| !view.points.is_empty()) {
        let best = best_ends(view);
        blocks.push(Block::Table(change_table(view, &best)));
        blocks.extend(pass_figure(view, &best)?.map(Block::Figure));
        blocks.extend(representation_figure(view)?.map(Block::Figure));
        blocks.extend(regression_blocks(view, text));
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("No run of the main arm is finished.".to_owned()));
    }
    Ok(Section {
        title: "What was forgotten".to_owned(),
        intro: vec![
            "By benchmark, at the end of each method's best setting by new-task accuracy at temperature 1 (of equal ones the setting that \
             kept more); the documents are those of the base, so differences are paired. Pass@k above the base's shows answers \
             that the base never drew in k tries, where its own pass@k leaves room for them. CKNNA compares the last hidden \
             state on prior prompts with the base's."
                .to_owned(),
        ],
        blocks,
    })
}

/// The ends of each method's setting with the best mean new-task score; of equal ones the setting that kept more.
fn best_ends<'a>(view: &TaskView<'a>) -> Vec<(StudyMethod, Vec<&'a Point>)> {
    let groups = by_setting(&view.ends());
    let best = |method: StudyMethod| {
        let own = groups.iter().filter(|group| group.setting.method == method);
        let mean =
            |points: &[&Point], of: fn(&Point) -> f64| mean_of(points, of).unwrap_or(f64::NEG_INFINITY);
        let score = |points: &[&Point]| mean(points, Point::new_task);
        let kept = |points: &[&Point]| mean(points, Point::prior_task);
        let best = own.max_by(|a, b| {
            score(&a.points).total_cmp(&score(&b.points)).then(kept(&a.points).total_cmp(&kept(&b.points)))
        })?;
        Some((method, best.points.clone()))
    };
    view.methods.iter().filter_map(|&method| best(method)).collect()
}

fn change_table(view: &TaskView<'_>, best: &[(StudyMethod, Vec<&Point>)]) -> Table {
    let mut columns = vec![Column::text("Benchmark"), Column::number("Base", "", NumberFormat::Percent(1))];
    columns.extend(
        best.iter().map(|(method, _)| Column::number(method.title(), "points", NumberFormat::Percent(1))),
    );
    let settings: Vec<String> = best
        .iter()
        .map(|(method, points)| format!("{} {:e}", method.title(), points[0].setting.learning_rate))
        .collect();
    let caption = format!(
        "{}: change of each benchmark's score since the base, mean over repetitions of each method's best setting by new-task \
         accuracy (learning rates: {}); 95 % intervals over documents, paired with the base's.",
        view.name,
        settings.join(", ")
    );
    let mut table = Table::new(view.file("changes"), caption, columns);
    let bases = view.bases();
    for (idx, benchmark) in bases[0].prior.iter().enumerate() {
        let scores = bases.iter().filter_map(|base| base.prior.get(idx)).map(|score| score.score);
        let scores: Vec<f64> = scores.collect();
        let mut cells: Vec<Cell> =
            vec![benchmark.name.as_str().into(), (scores.iter().sum::<f64>() / scores.len() as f64).into()];
        let resampling = view.resampling("documents");
        cells.extend(best.iter().map(|(_, ends)| change(view, ends, &benchmark.name, resampling)));
        table.push(cells);
    }
    let mut cells: Vec<Cell> = vec!["mean".into(), view.base_scores().1.into()];
    cells.extend(best.iter().map(|(_, ends)| Cell::from(mean_of(ends, |end| -end.forgetting))));
    table.push(cells);
    table
}

/// The score of a benchmark in a measurement.
pub(crate) fn benchmark<'a>(measured: &'a Measurement, name: &str) -> Option<&'a BenchmarkScore> {
    measured.prior.iter().find(|score| score.name == name)
}

/// Mean change of a benchmark over runs, with its interval over documents.
fn change(
    view: &TaskView<'_>,
    ends: &[&Point],
    name: &str,
    Resampling { n_resamples, seed }: Resampling,
) -> Cell {
    let of_run = |end: &&Point| -> Option<Vec<f64>> {
        let (before, after) = (benchmark(view.base_of(end), name)?, benchmark(&end.measured, name)?);
        if before.verdicts.len() != after.verdicts.len() {
            return None;
        }
        Some(before.verdicts.iter().zip(&after.verdicts).map(|(before, after)| after - before).collect())
    };
    let Some(runs) = ends.iter().map(of_run).collect::<Option<Vec<Vec<f64>>>>() else { return Cell::Missing };
    let n_documents = runs.iter().map(Vec::len).min().unwrap_or(0);
    let documents: Vec<f64> = (0..n_documents)
        .map(|idx| runs.iter().map(|run| run[idx]).sum::<f64>() / runs.len() as f64)
        .collect();
    let mean = |weights: &[f64]| {
        let total: f64 = weights.iter().sum();
        (total > 0.0).then(|| {
            documents.iter().zip(weights).map(|(change, weight)| change * weight).sum::<f64>() / total
        })
    };
    let numbers: Vec<usize> = (0..n_documents).collect();
    let interval = RunBootstrap::new(&numbers, n_resamples, seed).ok().and_then(|all| all.interval(mean));
    let ends = interval.map(|interval| (interval.low, interval.high)).unzip();
    Cell::interval(mean(&vec![1.0; n_documents]), ends.0, ends.1)
}

/// Pass@k of the base and of each method's best setting.
///
/// `None` where it was not measured.
fn pass_figure(view: &TaskView<'_>, best: &[(StudyMethod, Vec<&Point>)]) -> Result<Option<Figure>> {
    let curve = |measured: &[&Measurement]| -> Vec<(f64, f64)> {
        let Some(first) = measured.first() else { return vec![] };
        let at = |k: usize| -> Option<f64> {
            let shares: Option<Vec<f64>> = measured
                .iter()
                .map(|one| {
                    one.new_task.pass_at_k.iter().find(|(other, _)| *other == k).map(|(_, share)| *share)
                })
                .collect();
            shares.map(|shares| shares.iter().sum::<f64>() / shares.len() as f64)
        };
        let ks = first.new_task.pass_at_k.iter().map(|(k, _)| *k);
        ks.filter_map(|k| Some((k as f64, at(k)?))).collect()
    };
    let of_base = curve(&view.bases());
    if of_base.is_empty() {
        return Ok(None);
    }
    let mut series = vec![Series::neutral("base").points(of_base.clone()).line(of_base)];
    for (method, ends) in best {
        let measured: Vec<&Measurement> = ends.iter().map(|end| &end.measured).collect();
        let line = curve(&measured);
        if !line.is_empty() {
            series.push(Series::new(method.title(), method.palette_idx()).points(line.clone()).line(line));
        }
    }
    let words = Words::new(
        view.file("pass_at_k"),
        format!("{}: pass@k", view.name),
        "Share of held-out questions with a right completion among k draws at temperature 1: the base and the end of each \
         method's best setting, mean over repetitions.",
    );
    let axes = (Axis::log("k", "draws"), Axis::percent("Pass@k"));
    Ok(Some(words.half().chart(axes, series, vec![]).draw()?))
}

/// `None` where it was not measured.
fn representation_figure(view: &TaskView<'_>) -> Result<Option<Figure>> {
    if view.points.iter().all(|point| point.measured.cknna.is_none()) {
        return Ok(None);
    }
    let words = Words::new(
        view.file("cknna"),
        format!("{}: representations", view.name),
        "CKNNA of the last hidden state on prior prompts with the base's, along the frontiers; mean over repetitions. The paper \
         has 0.94 for RL and 0.56 for SFT on a 3B model.",
    );
    let axes = (view.new_task_axis(), Axis::linear("CKNNA with the base policy", ""));
    let low = view.base_scores().0;
    let high = view.points.iter().map(|point| point.new_task()).fold(low, f64::max);
    let levels: Vec<f64> = (0..=60).map(|step| low + (high - low) * f64::from(step) / 60.0).collect();
    let cknna = |point: &Point| point.measured.cknna.unwrap_or(f64::NAN);
    let (frontiers, methods) = (&view.frontiers, &view.methods);
    Ok(Some(frontier_figure(frontiers, methods, &levels, cknna, words.half(), axes, None)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::folder::{read_measurements, write_measurement};
    use crate::llm::study::plan::{Plan, Setting};
    use crate::llm::study::points::Measured;
    use crate::llm::study::sample_study::CLEAR;

    #[test]
    fn of_equally_good_settings_the_one_that_kept_more_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let folder = CLEAR.write(dir.path(), |_| true);
        // SimPO reaches the same at both rates; here it keeps everything at the lower one.
        let plan = Plan::new(&folder.read_config().unwrap().study);
        let is_lower = |setting: &Setting| {
            setting.task == "math" && setting.method == StudyMethod::Simpo && setting.learning_rate == 3e-4
        };
        for run in plan.runs.iter().filter(|run| is_lower(&run.setting)) {
            let path = folder.run(&run.id);
            let last = read_measurements(&path).unwrap().pop().unwrap();
            write_measurement(&path, &Measurement { prior_score: 0.8, ..last }).unwrap();
        }
        let measured = Measured::read(&folder).unwrap();
        let views = TaskView::all(&measured).unwrap();
        let best = best_ends(&views[0]);
        let (_, ends) = best.iter().find(|(method, _)| *method == StudyMethod::Simpo).unwrap();
        assert_eq!(ends[0].setting.learning_rate, 3e-4);
    }
}
