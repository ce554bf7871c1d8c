//! The lists of a summary as tables, for the page and for the terminal.

use crate::number::NumberFormat::{Fixed, Percent, Significant};
use crate::summary::{MatchAxis, Matched, Predictor, PredictorInputs, Residual};
use crate::table::{Cell, Column, Table};

/// The methods where they agree on `axis`: one row per level and method, in the order of `matched`.
#[must_use]
pub fn matched_table(matched: &[Matched], axis: MatchAxis) -> Table {
    let (name, what, level) = match axis {
        MatchAxis::Accuracy => {
            let level = Column::number("Matched at", "", Percent(1));
            ("matched_accuracy", "equal new-task accuracy", level)
        }
        MatchAxis::Kl => ("matched_kl", "equal forward KL", Column::number("Matched at", "nats", Fixed(2))),
        MatchAxis::LearningRate => {
            let level = Column::number("Matched at", "", Significant(2));
            ("matched_learning_rate", "equal peak learning rate", level)
        }
    };
    let caption =
        format!("Methods at {what}, with 95 % intervals. A dash: the method does not reach the level.");
    let columns = vec![
        level,
        Column::text("Method"),
        Column::number("New task", "", Percent(1)),
        Column::number("Prior task", "", Percent(1)),
        Column::number("Forward KL", "nats", Fixed(2)),
    ];
    let rows: Vec<&Matched> = matched.iter().filter(|row| row.axis == axis).collect();
    let has_tasks = rows.iter().any(|row| !row.task.is_empty());
    let mut table = Table::new(name, caption, with_task_column(has_tasks, columns));
    for row in rows {
        let cells = vec![
            row.level.into(),
            row.method.as_str().into(),
            Cell::interval(row.new_task, row.new_task_low, row.new_task_high),
            Cell::interval(row.prior_task, row.prior_task_low, row.prior_task_high),
            Cell::interval(
                row.kl_reference_to_policy,
                row.kl_reference_to_policy_low,
                row.kl_reference_to_policy_high,
            ),
        ];
        table.push(with_task(has_tasks, &row.task, cells));
    }
    table
}

/// Prior-task accuracy where the methods agree on new-task accuracy: one row per method, one column per level.
#[must_use]
pub fn kept_table(matched: &[Matched]) -> Table {
    let at_accuracy: Vec<&Matched> = matched.iter().filter(|row| row.axis == MatchAxis::Accuracy).collect();
    let has_tasks = at_accuracy.iter().any(|row| !row.task.is_empty());
    let (mut levels, mut methods) = (Vec::new(), Vec::new());
    for row in &at_accuracy {
        if !levels.contains(&row.level) {
            levels.push(row.level);
        }
        let method = (row.task.as_str(), row.method.as_str());
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    levels.sort_unstable_by(f64::total_cmp);
    let mut columns = vec![Column::text("Method")];
    let header = |level: &f64| format!("At {}", Percent(0).format(*level));
    columns.extend(levels.iter().map(|level| Column::number(header(level), "", Percent(1))));
    let caption = "Prior-task accuracy at equal new-task accuracy, with 95 % intervals over runs. A dash: the method does not \
                   reach the level in every repetition.";
    let mut table = Table::new("kept", caption, with_task_column(has_tasks, columns));
    for (task, method) in methods {
        let mut cells = vec![Cell::from(method)];
        cells.extend(levels.iter().map(|level| {
            let is_wanted = |row: &&&Matched| row.task == task && row.method == method && row.level == *level;
            let row = at_accuracy.iter().find(is_wanted);
            row.map_or(Cell::Missing, |row| {
                Cell::interval(row.prior_task, row.prior_task_low, row.prior_task_high)
            })
        }));
        table.push(with_task(has_tasks, task, cells));
    }
    table
}

/// How well each quantity predicts forgetting, in the order of `predictors`.
#[must_use]
pub fn predictor_table(predictors: &[Predictor]) -> Table {
    let columns = vec![
        Column::text("Predictor"),
        Column::text("Inputs"),
        Column::number("R² quadratic", "", Fixed(3)),
        Column::number("R² monotone", "", Fixed(3)),
        Column::number("Spearman", "", Fixed(3)),
        Column::number("Pearson", "", Fixed(3)),
    ];
    let caption =
        "How well each quantity predicts forgetting, all methods and runs pooled, with 95 % intervals.";
    let has_tasks = predictors.iter().any(|row| !row.task.is_empty());
    let mut table = Table::new("predictors", caption, with_task_column(has_tasks, columns));
    for row in predictors {
        let inputs = match row.inputs {
            PredictorInputs::NewTask => "new task",
            PredictorInputs::OldTask => "old task",
            PredictorInputs::Random => "random",
            PredictorInputs::None => "none",
        };
        let cells = vec![
            row.name.as_str().into(),
            inputs.into(),
            Cell::Interval { value: row.r2, low: row.r2_low, high: row.r2_high },
            row.r2_monotone.into(),
            Cell::Interval { value: row.spearman, low: row.spearman_low, high: row.spearman_high },
            row.pearson.into(),
        ];
        table.push(with_task(has_tasks, &row.task, cells));
    }
    table
}

/// Mean distance of each method from the pooled fit, in the order of `residuals`.
#[must_use]
pub fn residual_table(residuals: &[Residual]) -> Table {
    let columns = vec![Column::text("Method"), Column::number("Mean residual", "points", Percent(1))];
    let caption = "Measured minus predicted forgetting, mean per method with its 95 % interval.";
    let has_tasks = residuals.iter().any(|row| !row.task.is_empty());
    let mut table = Table::new("residuals", caption, with_task_column(has_tasks, columns));
    for row in residuals {
        let interval = Cell::Interval { value: row.mean, low: row.mean_low, high: row.mean_high };
        table.push(with_task(has_tasks, &row.task, vec![row.method.as_str().into(), interval]));
    }
    table
}

/// `columns`, behind one of tasks in a study that has several.
fn with_task_column(has_tasks: bool, mut columns: Vec<Column>) -> Vec<Column> {
    if has_tasks {
        columns.insert(0, Column::text("Task"));
    }
    columns
}

/// `cells`, behind the task in a study that has several.
fn with_task(has_tasks: bool, task: &str, mut cells: Vec<Cell>) -> Vec<Cell> {
    if has_tasks {
        cells.insert(0, task.into());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::summary;

    #[test]
    fn only_rows_of_the_asked_axis_are_shown() {
        let summary = summary();
        let at_accuracy = matched_table(&summary.matched, MatchAxis::Accuracy);
        assert_eq!(at_accuracy.rows().len(), 2);
        assert_eq!(matched_table(&summary.matched, MatchAxis::Kl).rows().len(), 0);
    }

    #[test]
    fn methods_of_two_tasks_are_not_mixed() {
        let of_task = |task: &str, kept: f64| {
            let row = &summary().matched[0];
            Matched { task: task.to_owned(), prior_task: Some(kept), ..row.clone() }
        };
        let table = kept_table(&[of_task("math", 0.9), of_task("tools", 0.8)]);
        let shown: Vec<(String, String)> = table
            .rows()
            .iter()
            .map(|row| (row[0].shown(None).0, row[2].shown(table.columns()[2].format).0))
            .collect();
        let expected = [("math", "90.0"), ("tools", "80.0")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(shown, expected);
    }

    #[test]
    fn residuals_are_shown_in_points() {
        let table = residual_table(&summary().residuals);
        let column = &table.columns()[1];
        assert_eq!(column.header(), "Mean residual (points)");
        assert_eq!(table.rows()[0][1].shown(column.format).1, "[−2.5, −0.5]");
    }
}
