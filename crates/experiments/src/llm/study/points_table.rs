//! `points.csv`: every measured policy.

use razor_report::{Cell, Column, NumberFormat, Table};

use crate::llm::study::points::Point;
use crate::llm::study::setting_groups::details;

/// A column of numbers and what stands in it.
type Quantity = (&'static str, fn(&Point) -> Option<f64>);

#[rustfmt::skip] // a table
const QUANTITIES: [Quantity; 23] = [
    ("seed", |p| Some(p.setting.seed_idx as f64)),
    ("base", |p| Some(p.base_idx as f64)),
    ("learning_rate", |p| Some(p.setting.learning_rate)),
    ("epsilon", |p| Some(p.setting.epsilon)),
    ("step", |p| Some(p.measured.step as f64)),
    ("is_last", |p| Some(f64::from(u8::from(p.is_last)))),
    ("new_task_sampled", |p| Some(p.measured.new_task.sampled)),
    ("new_task_sampled_error", |p| Some(p.measured.new_task.sampled_error)),
    ("new_task_greedy", |p| Some(p.measured.new_task.greedy)),
    ("prior_score", |p| Some(p.measured.prior_score)),
    ("forgetting", |p| Some(p.forgetting)),
    ("kl_reference_to_policy", |p| Some(p.shift.kl_reference_to_policy)),
    ("kl_reference_to_policy_low", |p| p.shift.kl_interval.map(|interval| interval.0)),
    ("kl_reference_to_policy_high", |p| p.shift.kl_interval.map(|interval| interval.1)),
    ("kl_policy_to_reference", |p| Some(p.shift.kl_policy_to_reference)),
    ("total_variation", |p| Some(p.shift.total_variation)),
    ("l2", |p| Some(p.shift.l2)),
    ("kl_on_prior_prompts", |p| Some(p.measured.kl_on_prior_prompts)),
    ("kl_on_random_prompts", |p| Some(p.measured.kl_on_random_prompts)),
    ("log_step", |p| Some(p.log_step())),
    ("relative_weight_change", |p| Some(p.measured.weights.relative)),
    ("unchanged_weights", |p| Some(p.measured.weights.unchanged)),
    ("cknna", |p| p.measured.cknna),
];

/// Every measured policy of every arm.
pub(crate) fn points_table(points: &[Point]) -> Table {
    let mut columns: Vec<Column> = ["run", "task", "method", "arms", "setting"].map(Column::text).into();
    columns
        .extend(QUANTITIES.iter().map(|(name, _)| Column::number(*name, "", NumberFormat::Significant(6))));
    // The scores of the prior benchmarks, by name: all policies of a study have the same ones.
    let benchmarks: Vec<&str> = points
        .first()
        .map_or(vec![], |point| point.measured.prior.iter().map(|score| score.name.as_str()).collect());
    columns.extend(
        benchmarks
            .iter()
            .map(|name| Column::number(format!("prior {name}"), "", NumberFormat::Significant(6))),
    );
    let mut table = Table::new("points", "Every measured policy.", columns);
    for point in points {
        let arms: Vec<&str> = point.arms.iter().map(String::as_str).collect();
        let setting = &point.setting;
        let mut row: Vec<Cell> = vec![
            point.run.as_str().into(),
            setting.task.as_str().into(),
            setting.method.name().into(),
            arms.join(" ").into(),
            details(setting).into(),
        ];
        row.extend(QUANTITIES.iter().map(|(_, value)| Cell::from(value(point))));
        row.extend(benchmarks.iter().map(|name| {
            let score = point.measured.prior.iter().find(|score| score.name == *name);
            Cell::from(score.map(|score| score.score))
        }));
        table.push(row);
    }
    table
}
