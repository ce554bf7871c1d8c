//! Section: controls. What else holds a policy near its base, and does it do what RL does?

use std::collections::BTreeSet;

use anyhow::Result;
use razor_metrics::MeanInterval;
use razor_report::{Axis, Block, Cell, Column, Figure, Guide, NumberFormat, Section, Series, Table};

use crate::comparison::{ComparedMethod, ComparedPolicy, Words};
use crate::llm::study::config::MAIN_ARM;
use crate::llm::study::epsilon::EPSILON_ARM;
use crate::llm::study::method::StudyMethod;
use crate::llm::study::plan::Setting;
use crate::llm::study::points::{Measured, Point};
use crate::llm::study::setting_groups::by_setting;
use crate::llm::study::task_view::{TaskView, mean_of};

/// The methods that controls are held against.
const YARDSTICKS: [StudyMethod; 2] = [StudyMethod::Grpo, StudyMethod::Sft];

pub(crate) fn control_section(views: &[TaskView<'_>]) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views {
        let points = control_points(view);
        if points.is_empty() {
            continue;
        }
        blocks.push(Block::Figure(control_figure(view, &points)?));
        blocks.push(Block::Table(control_table(view, &points)));
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("No run of another arm is finished.".to_owned()));
    }
    Ok(Section {
        title: "Controls".to_owned(),
        intro: vec![
            "Adapters, low learning rates, penalties and other targets: if one of them keeps as much as RL does at the same new-task \
             accuracy, then it does not take RL's reward to keep it. An adapter or a penalty changes more than the size of a step, \
             so this does not say what does."
                .to_owned(),
        ],
        blocks,
    })
}

/// Policies of all other arms, and of adapters whatever their arm.
fn control_points<'a>(view: &TaskView<'a>) -> Vec<&'a Point> {
    let mut points = view.outside([MAIN_ARM, EPSILON_ARM]);
    points.extend(view.points.iter().copied().filter(|point| {
        point.setting.method.is_lora() && !point.arms.iter().any(|arm| arm != MAIN_ARM && arm != EPSILON_ARM)
    }));
    points
}

fn control_figure(view: &TaskView<'_>, points: &[&Point]) -> Result<Figure> {
    let lines = YARDSTICKS.into_iter().flat_map(|method| {
        view.frontiers.of(method).iter().map(move |seed| {
            let line = seed.frontier_points().iter().map(|p| (p.new_task(), p.prior_task())).collect();
            let name = match seed.seed_idx {
                0 => format!("{} (main)", method.title()),
                other => format!("{}, repetition {}", method.title(), other + 1),
            };
            Series::new(name, method.palette_idx()).line(line)
        })
    });
    // Controls that share a yardstick's colour would be taken for it: SFT at another learning rate is one.
    let dots = Measured::methods(points).into_iter().map(|method| {
        let own = points.iter().filter(|point| point.setting.method == method);
        let dots = own.map(|point| (point.new_task(), point.prior_task())).collect();
        let series = if YARDSTICKS.contains(&method) {
            Series::neutral(format!("{} (control)", method.title()))
        } else {
            Series::new(method.title(), method.palette_idx())
        };
        series.points(dots)
    });
    let words = Words::new(
        view.file("controls"),
        format!("{}: controls beside the frontiers of GRPO and SFT", view.name),
        "Every measured policy of the controls; lines are the frontiers of the main arm, one per repetition.",
    );
    let axes = (view.new_task_axis(), Axis::percent("Prior score"));
    let base = Guide::horizontal(view.base_scores().1, "base policy");
    Ok(words.chart(axes, lines.chain(dots).collect(), vec![base]).draw()?)
}

fn control_table(view: &TaskView<'_>, points: &[&Point]) -> Table {
    let columns = vec![
        Column::text("Control"),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        Column::number("Sampled", "", NumberFormat::Percent(1)),
        Column::number("Drop", "points", NumberFormat::Percent(1)),
        Column::number("Forward KL", "nats", NumberFormat::Fixed(2)),
        Column::number("Saved: SFT", "points", NumberFormat::Percent(1)),
        Column::number("Saved: GRPO", "points", NumberFormat::Percent(1)),
    ];
    let caption = format!(
        "{}: the end of each control. Saved: drop of SFT or GRPO on its frontier of the same repetition at the control's new-task \
         accuracy, less the control's drop; Student's 95 % interval over repetitions. A dash: not reached there, or the control \
         ended below the base and so learned nothing that could be compared.",
        view.name
    );
    let mut table = Table::new(view.file("controls"), caption, columns);
    let ends: Vec<&Point> = points.iter().copied().filter(|point| point.is_last).collect();
    for group in by_setting(&ends) {
        let mean = |of: fn(&Point) -> f64| Cell::from(mean_of(&group.points, of));
        table.push(vec![
            control_name(group.setting, &group.points[0].arms).into(),
            (group.points.len() as f64).into(),
            mean(Point::new_task),
            mean(Point::forgetting),
            mean(Point::forward_kl),
            saved_against(view, StudyMethod::Sft, &group.points),
            saved_against(view, StudyMethod::Grpo, &group.points),
        ]);
    }
    table
}

/// Method, learning rate, and the arm where it is not the usual one.
fn control_name(setting: &Setting, arms: &BTreeSet<String>) -> String {
    let name = format!("{}, {:e}", setting.method.title(), setting.learning_rate);
    let unusual = arms.iter().map(String::as_str).filter(|arm| !["controls", EPSILON_ARM].contains(arm));
    let unusual: Vec<&str> = unusual.collect();
    if unusual.is_empty() { name } else { format!("{name} ({})", unusual.join(", ")) }
}

fn saved_against(view: &TaskView<'_>, yardstick: StudyMethod, ends: &[&Point]) -> Cell {
    let saved: Vec<f64> = ends
        .iter()
        .filter(|end| end.new_task() > view.base_of(end).new_task.sampled)
        .filter_map(|end| {
            let seed =
                view.frontiers.of(yardstick).iter().find(|seed| seed.seed_idx == end.setting.seed_idx)?;
            Some(seed.at(end.new_task(), Point::forgetting)? - end.forgetting)
        })
        .collect();
    match MeanInterval::new(&saved) {
        Ok(mean) => Cell::interval(Some(mean.mean), mean.low, mean.high),
        Err(_) => Cell::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::folder::{read_measurements, write_measurement};
    use crate::llm::study::plan::Plan;
    use crate::llm::study::sample_study::CLEAR;

    #[test]
    fn a_control_that_learned_nothing_is_not_compared() {
        let dir = tempfile::tempdir().unwrap();
        let folder = CLEAR.write(dir.path(), |_| true);
        let saved = |learned: f64| {
            let plan = Plan::new(&folder.read_config().unwrap().study);
            let run = plan.runs.iter().find(|run| run.setting.method == StudyMethod::LoraSft).unwrap();
            let path = folder.run(&run.id);
            let mut last = read_measurements(&path).unwrap().pop().unwrap();
            last.new_task.sampled = learned;
            write_measurement(&path, &last).unwrap();
            let measured = Measured::read(&folder).unwrap();
            let views = TaskView::all(&measured).unwrap();
            let ends: Vec<&Point> =
                measured.points.iter().filter(|point| point.run == run.id && point.is_last).collect();
            saved_against(&views[0], StudyMethod::Sft, &ends)
        };
        // The base is right in 55 %.
        assert_eq!(saved(0.54), Cell::Missing);
        assert_ne!(saved(0.80), Cell::Missing);
    }
}
