//! The forecast of forgetting beside a measurement.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use razor_metrics::{
    Calibration, CalibrationBase, Forecast, HeldOutError, Law, NewTaskMeasurement, forecast,
};
use razor_models::fingerprint_weights;
use razor_report::{Column, NumberFormat, Table};
use serde::Serialize;

use crate::UsageError;
use crate::measure_shift::Shift;
use crate::measure_weights::Weights;
use crate::model::LoadedModel;

/// Calibrations that come with the program, for the base model with their fingerprint only: `(path, text)`, as in
/// `("datasets/NAME/calibration.json", include_str!("../../../datasets/NAME/calibration.json"))`.
const SHIPPED: &[(&str, &str)] =
    &[("datasets/tiny_base/calibration.json", include_str!("../../../datasets/tiny_base/calibration.json"))];

/// The measured KL that laws are fitted on.
const KL: &str = "kl_reference_to_policy_exact_per_sequence";

/// From which finished runs the prior-task drop is forecast.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// Finished runs (JSON) from which the drop of the prior-task score is forecast
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// The task of the calibration that is like yours; needed when it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) calibration_task: Option<String>,
    /// Peak learning rate of the tuning, for laws of the step size
    #[arg(long, value_name = "RATE", requires = "steps")]
    pub(crate) learning_rate: Option<f64>,
    /// Optimizer steps of the tuning, for laws of the step size
    #[arg(long, value_name = "N", requires = "learning_rate")]
    pub(crate) steps: Option<u64>,
}

/// A calibration that was read, and what of it is used.
pub(crate) struct ReadCalibration {
    origin: String,
    calibration: Calibration,
    task: String,
    base_fingerprint: String,
}

/// What is known of the drop before any benchmark is run.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    /// Where the calibration was read.
    calibration: String,
    /// The model whose runs it holds.
    calibration_base: CalibrationBase,
    /// Whether that is another model than the measured base.
    is_other_base: bool,
    /// The benchmarks whose mean score drops.
    benchmarks: Vec<String>,
    #[serde(flatten)]
    forecast: Option<Forecast>,
    /// Why there is no forecast.
    refused: Option<String>,
}

impl ForecastArgs {
    /// Refuses numbers that no training has.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
        if let Some(rate) = self.learning_rate.filter(|&rate| !is_rate(rate)) {
            return Err(UsageError(format!("--learning-rate is {rate}, expected a number above 0")));
        }
        if self.steps == Some(0) {
            return Err(UsageError("--steps is 0, expected at least 1".into()));
        }
        Ok(())
    }

    /// Reads `--calibration`, or finds a shipped one of the same base. Comes before the long work, since a file may be wrong.
    pub(crate) fn read(&self, base: &LoadedModel) -> anyhow::Result<Option<ReadCalibration>> {
        let fingerprint = || fingerprint_weights(&base.folder);
        let (origin, calibration, base_fingerprint) = match &self.calibration {
            Some(path) => {
                let text =
                    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                (path.display().to_string(), Calibration::parse(path, &text)?, fingerprint()?)
            }
            None => {
                let n_parameters = base.decoder.config().n_parameters() as u64;
                match shipped_for(SHIPPED, n_parameters, fingerprint)? {
                    Some(found) => found,
                    None if self.calibration_task.is_some() => {
                        return Err(UsageError("--calibration-task needs --calibration".into()).into());
                    }
                    None => return Ok(None),
                }
            }
        };
        let task = calibration.choose_task(self.calibration_task.as_deref());
        let task = task.with_context(|| format!("--calibration-task, with {origin}"))?.to_owned();
        Ok(Some(ReadCalibration { origin, calibration, task, base_fingerprint }))
    }

    fn log_step(&self) -> Option<f64> {
        Some((self.learning_rate? * self.steps? as f64).ln())
    }
}

/// The shipped calibration of a base. Hashing weights takes seconds, so their number is compared first.
fn shipped_for<E>(
    shipped: &[(&str, &str)],
    n_parameters: u64,
    fingerprint: impl FnOnce() -> Result<String, E>,
) -> anyhow::Result<Option<(String, Calibration, String)>>
where
    anyhow::Error: From<E>,
{
    let mut candidates = Vec::new();
    for (origin, text) in shipped {
        let calibration = Calibration::parse(Path::new(origin), text)?;
        if calibration.base.n_parameters == n_parameters {
            candidates.push(((*origin).to_owned(), calibration));
        }
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    let fingerprint = fingerprint()?;
    let own = candidates.into_iter().find(|(_, calibration)| calibration.base.fingerprint == fingerprint);
    Ok(own.map(|(origin, calibration)| (origin, calibration, fingerprint)))
}

impl Outlook {
    /// Forecasts from what was measured.
    pub(crate) fn new(
        read: ReadCalibration,
        shift: &Shift,
        weights: Option<&Weights>,
        args: &ForecastArgs,
    ) -> Self {
        let kl = shift.quantities.iter().find(|quantity| quantity.name == KL);
        let measurement = NewTaskMeasurement {
            kl_reference_to_policy: kl.and_then(|quantity| quantity.mean).unwrap_or(f64::NAN),
            relative_weight_change: weights.and_then(|weights| weights.drift.relative_l2),
            log_step: args.log_step(),
        };
        let ReadCalibration { origin, calibration, task, base_fingerprint } = read;
        let (forecast, refused) = match forecast(&calibration, &task, &measurement) {
            Ok(forecast) => (Some(forecast), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            calibration: origin,
            is_other_base: calibration.base.fingerprint != base_fingerprint,
            calibration_base: calibration.base,
            benchmarks: calibration.benchmarks,
            forecast,
            refused,
        }
    }

    /// The number, or why there is none, and in the same breath whose law it is.
    pub(crate) fn headline(&self) -> String {
        let mut text = match (&self.forecast, &self.refused) {
            (Some(forecast), _) => format!(
                "Forecast: the mean prior-task score drops by {} points, {} % interval {} to {}",
                points(forecast.drop),
                NumberFormat::Percent(0).format(forecast.level),
                points(forecast.low),
                points(forecast.high),
            ),
            (None, refused) => {
                format!("No forecast of forgetting: {}", refused.as_deref().unwrap_or_default())
            }
        };
        if self.is_other_base {
            let CalibrationBase { name, n_parameters, .. } = &self.calibration_base;
            text.push_str(&format!(
                ". ANOTHER MODEL'S LAW: the calibration is of `{name}` ({n_parameters} parameters), not of this base, whose \
                 law may be far from it"
            ));
        }
        text
    }

    /// The headline and what stands behind it, one line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline()];
        if let Some(forecast) = &self.forecast {
            lines.push(format!(
                "Law: {}, fitted on {} checkpoints of {} runs of {} methods on task `{}` of {}",
                forecast.law.description(),
                forecast.n_points,
                forecast.n_runs,
                forecast.n_methods,
                forecast.task,
                self.calibration
            ));
        }
        lines.push(format!("Prior tasks: {}", self.benchmarks.join(", ")));
        lines
    }

    /// The number with its interval, for a card of the page.
    pub(crate) fn card(&self) -> Option<[String; 3]> {
        let forecast = self.forecast.as_ref()?;
        let (low, high) = (points(forecast.low), points(forecast.high));
        let whose = if self.is_other_base { ", another model's law" } else { "" };
        let level = NumberFormat::Percent(0).format(forecast.level);
        Some([
            points(forecast.drop),
            format!("forecast drop of the prior-task score, points{whose}"),
            format!("{level} %: {low} to {high}"),
        ])
    }

    /// How wrong each law is out of sample.
    pub(crate) fn table(&self) -> Option<Table> {
        let forecast = self.forecast.as_ref()?;
        let caption = "Errors of the drop in points, on runs that the law was not fitted on: each method predicted from all \
                       others, each learning rate from all others. Used is the law with the smallest root mean square error \
                       on new methods among those whose inputs are known.";
        let column = |title: &str| Column::number(title, "points", NumberFormat::Percent(2));
        let columns = vec![
            Column::text("Law"),
            Column::text("Used"),
            column("New method, root mean square"),
            column("New method, mean absolute"),
            column("New learning rate, root mean square"),
            column("New learning rate, mean absolute"),
        ];
        let mut table = Table::new("forecast_laws", caption, columns);
        let both = |error: Option<HeldOutError>| {
            [error.map(|error| error.root_mean_square).into(), error.map(|error| error.mean_absolute).into()]
        };
        for error in &forecast.errors {
            let used = if error.law == forecast.law { "yes" } else { "" };
            let mut row = vec![Law::description(error.law).into(), used.into()];
            row.extend(both(error.without_method));
            row.extend(both(error.without_learning_rate));
            table.push(row);
        }
        Some(table)
    }
}

/// What stands in place of a forecast without any calibration.
pub(crate) const NO_CALIBRATION: &str = "No forecast of forgetting: give finished runs with --calibration FILE; \
                                         docs/language-models.md says what the file holds and what writes one";

/// A fraction of accuracy in points.
fn points(fraction: f64) -> String {
    NumberFormat::Percent(1).format(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(fingerprint: &str) -> String {
        format!(
            r#"{{"schema": "razor.calibration.v1",
            "base": {{"name": "own", "fingerprint": "{fingerprint}", "n_parameters": 7}}, "benchmarks": ["x"],
            "points": [{{"task": "t", "run": "r", "method": "m", "learning_rate": 1.0, "kl_reference_to_policy": 1.0,
                "relative_weight_change": 0.1, "log_step": null, "drop": 0.0}}]}}"#
        )
    }

    #[test]
    fn a_shipped_calibration_serves_its_own_base_only() {
        let (own, other) = (calibration("f00d"), calibration("beef"));
        let shipped = [("other.json", other.as_str()), ("own.json", own.as_str())];
        let find = |n_parameters, fingerprint: &str| {
            let fingerprint = fingerprint.to_owned();
            let found = shipped_for(&shipped, n_parameters, || Ok::<_, anyhow::Error>(fingerprint)).unwrap();
            found.map(|(origin, ..)| origin)
        };
        assert_eq!(find(7, "f00d").as_deref(), Some("own.json"));
        assert_eq!(find(7, "cafe"), None);
        assert_eq!(find(8, "f00d"), None);
        let unread = || -> anyhow::Result<String> { unreachable!("weights of another size are not hashed") };
        assert!(shipped_for(&shipped, 8, unread).unwrap().is_none());
    }

    #[test]
    fn shipped_calibrations_can_be_read() {
        for (origin, text) in SHIPPED {
            Calibration::parse(Path::new(origin), text).unwrap();
        }
    }
}
