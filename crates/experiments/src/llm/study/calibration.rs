//! Section: a forecast from new-task measurements alone, and the runs that it stands on.

use anyhow::Result;
use razor_metrics::{
    CALIBRATION_SCHEMA, Calibration, CalibrationBase, CalibrationPoint, HeldOutError, law_errors,
};
use razor_report::{Block, Cell, Column, NumberFormat, Section, Table};

use crate::llm::study::points::{Measured, Point};
use crate::llm::study::task_view::TaskView;

/// What `razor measure --calibration` forecasts from: every measured policy of every arm that started from the first base.
/// `None` before the first run is done.
pub(crate) fn calibration(measured: &Measured) -> Option<Calibration> {
    let config = &measured.config;
    let points: Vec<CalibrationPoint> =
        measured.points.iter().filter(|point| point.base_idx == 0).map(calibration_point).collect();
    (!points.is_empty()).then(|| Calibration {
        schema: CALIBRATION_SCHEMA.to_owned(),
        base: CalibrationBase {
            name: config.base_name.clone(),
            fingerprint: config.weights.clone(),
            n_parameters: config.n_parameters as u64,
        },
        benchmarks: measured.bases[0][0].prior.iter().map(|score| score.name.clone()).collect(),
        points,
    })
}

fn calibration_point(point: &Point) -> CalibrationPoint {
    CalibrationPoint {
        task: point.setting.task.clone(),
        run: point.run.clone(),
        method: point.setting.method.name().to_owned(),
        learning_rate: point.setting.learning_rate,
        // A sum of terms that rounding may leave a little below 0.
        kl_reference_to_policy: point.shift.kl_reference_to_policy.max(0.0),
        relative_weight_change: point.measured.weights.relative,
        log_step: Some(point.log_step()),
        drop: point.forgetting,
    }
}

pub(crate) fn forecast_section(views: &[TaskView<'_>], calibration: Option<&Calibration>) -> Result<Section> {
    let mut blocks = Vec::new();
    if let Some(calibration) = calibration {
        let known = calibration.tasks();
        for view in views.iter().filter(|view| known.contains(&view.name)) {
            blocks.push(Block::Table(error_table(view, calibration)?));
        }
    } else {
        blocks.push(Block::Text("No run is finished.".to_owned()));
    }
    Ok(Section {
        title: "Forecast".to_owned(),
        intro: vec![
            "What a forecaster may expect who has measured the new task alone: each law fitted to all methods but one, or to all \
             learning rates but one, and asked for the rest; every arm of this study is in. `razor measure --calibration \
             calibration.json` forecasts from these runs, with the law whose error on methods left out is smallest."
                .to_owned(),
        ],
        blocks,
    })
}

fn error_table(view: &TaskView<'_>, calibration: &Calibration) -> Result<Table> {
    let number = |title: &str| Column::number(title, "points", NumberFormat::Percent(1));
    let columns = vec![
        Column::text("Law"),
        number("Method left out, root mean square"),
        number("Method left out, mean absolute"),
        number("Learning rate left out, root mean square"),
        number("Learning rate left out, mean absolute"),
    ];
    let caption = format!(
        "{}: out-of-sample error of each law of forgetting, in accuracy points. A dash: too few methods or learning rates to leave \
         one out.",
        view.name
    );
    let mut table = Table::new(view.file("forecast"), caption, columns);
    for error in law_errors(calibration, view.name)? {
        let mut cells: Vec<Cell> = vec![error.law.description().into()];
        for held_out in [error.without_method, error.without_learning_rate] {
            let of = |value: fn(&HeldOutError) -> f64| Cell::from(held_out.as_ref().map(value));
            cells.extend([of(|error| error.root_mean_square), of(|error| error.mean_absolute)]);
        }
        table.push(cells);
    }
    Ok(table)
}
