//! Finished runs whose prior-task scores are known: what a forecast stands on.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::NewTaskMeasurement;
use crate::error::MetricsError;

/// The schema of a [`Calibration`] as this version reads and writes it.
pub const CALIBRATION_SCHEMA: &str = "razor.calibration.v1";

/// Finished runs of one base model, as a JSON file holds them. Written with `razor_core::write_json`, which is whole or
/// not at all.
///
/// ```
/// use std::path::Path;
/// use razor_metrics::Calibration;
///
/// let text = r#"{
///     "schema": "razor.calibration.v1",
///     "base": { "name": "tiny", "fingerprint": "3b1f0c5d2e4a6978", "n_parameters": 774912 },
///     "benchmarks": ["reverse", "sort"],
///     "points": [{ "task": "math", "run": "sft-1e-3-s0", "method": "sft", "learning_rate": 1e-3,
///         "kl_reference_to_policy": 21.5, "relative_weight_change": 0.11, "log_step": -2.3, "drop": 0.042 }]
/// }"#;
/// let calibration = Calibration::parse(Path::new("calibration.json"), text)?;
/// assert_eq!(calibration.tasks(), ["math"]);
/// # Ok::<(), razor_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`CALIBRATION_SCHEMA`].
    pub schema: String,
    /// The model that all runs started from.
    pub base: CalibrationBase,
    /// What "prior" is: the benchmarks whose mean score dropped.
    pub benchmarks: Vec<String>,
    /// One measured checkpoint each; several of a run are expected.
    pub points: Vec<CalibrationPoint>,
}

/// The model that the runs of a [`Calibration`] started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBase {
    /// What people call it.
    pub name: String,
    /// Of the files with its weights, as `razor_models::fingerprint_weights` has it.
    pub fingerprint: String,
    /// Trainable numbers.
    pub n_parameters: u64,
}

/// One checkpoint of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationPoint {
    /// The new task; laws are fitted for each task by itself.
    pub task: String,
    /// Which training; its checkpoints are correlated and are left out together.
    pub run: String,
    /// `grpo`, `sft`, ...; one per run.
    pub method: String,
    /// Peak step size; one per run.
    pub learning_rate: f64,
    /// KL(π₀‖π) on held-out prompts of the new task, nats per completion.
    pub kl_reference_to_policy: f64,
    /// ‖Δθ‖₂ / ‖θ₀‖₂ of all weights.
    pub relative_weight_change: f64,
    /// ln(learning rate × optimizer steps so far); unknown for some runs.
    pub log_step: Option<f64>,
    /// Base less tuned mean score of the benchmarks, as a fraction: 0.05 is five points lost, below 0 is a gain.
    pub drop: f64,
}

impl CalibrationPoint {
    /// What a user could measure of this checkpoint without any benchmark.
    pub fn measurement(&self) -> NewTaskMeasurement {
        NewTaskMeasurement {
            kl_reference_to_policy: self.kl_reference_to_policy,
            relative_weight_change: Some(self.relative_weight_change),
            log_step: self.log_step,
        }
    }
}

impl Calibration {
    /// Reads the text of a file and checks it. `origin` is named in errors.
    ///
    /// # Errors
    /// [`MetricsError::Calibration`] with the line or field for text that is no calibration, another schema, an empty name,
    /// no points, a value outside its range, and a run of two tasks, methods or learning rates.
    pub fn parse(origin: &Path, text: &str) -> Result<Self, MetricsError> {
        let invalid = |message: String| MetricsError::Calibration { path: origin.to_owned(), message };
        let calibration: Self = serde_json::from_str(text)
            .map_err(|error| invalid(format!("not a calibration of razor: {error}")))?;
        calibration.problem().map_or(Ok(()), |message| Err(invalid(message)))?;
        Ok(calibration)
    }

    /// The tasks, in alphabetical order.
    pub fn tasks(&self) -> Vec<&str> {
        let mut tasks: Vec<&str> = self.points.iter().map(|point| point.task.as_str()).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// The task that was `named`, or the only one there is.
    ///
    /// # Errors
    /// [`MetricsError::UnknownTask`], and [`MetricsError::UnnamedTask`] where there are several and none was named.
    pub fn choose_task(&self, named: Option<&str>) -> Result<&str, MetricsError> {
        let tasks = self.tasks();
        let known = || tasks.join(", ");
        match (named, tasks.as_slice()) {
            (Some(named), _) => tasks
                .iter()
                .find(|&&task| task == named)
                .copied()
                .ok_or_else(|| MetricsError::UnknownTask { task: named.to_owned(), known: known() }),
            (None, &[only]) => Ok(only),
            (None, _) => Err(MetricsError::UnnamedTask { known: known() }),
        }
    }

    /// The points of a task, in the order of the file.
    pub(super) fn points_of(&self, task: &str) -> Result<Vec<&CalibrationPoint>, MetricsError> {
        let task = self.choose_task(Some(task))?;
        Ok(self.points.iter().filter(|point| point.task == task).collect())
    }

    fn problem(&self) -> Option<String> {
        if self.schema != CALIBRATION_SCHEMA {
            return Some(format!("`schema` is `{}`, expected `{CALIBRATION_SCHEMA}`", self.schema));
        }
        let CalibrationBase { name, fingerprint, .. } = &self.base;
        for (field, text) in [("base.name", name), ("base.fingerprint", fingerprint)] {
            if text.is_empty() {
                return Some(format!("`{field}` is empty"));
            }
        }
        if self.base.n_parameters == 0 {
            return Some("`base.n_parameters` is 0".to_owned());
        }
        for (field, is_empty) in
            [("benchmarks", self.benchmarks.is_empty()), ("points", self.points.is_empty())]
        {
            if is_empty {
                return Some(format!("`{field}` is an empty list, expected at least one entry"));
            }
        }
        let mut runs: BTreeMap<&str, &CalibrationPoint> = BTreeMap::new();
        for (idx, point) in self.points.iter().enumerate() {
            if let Some(message) = point.problem() {
                return Some(format!("`points[{idx}].{message}"));
            }
            let first = runs.entry(&point.run).or_insert(point);
            let same = [
                ("task", first.task == point.task),
                ("method", first.method == point.method),
                ("learning_rate", first.learning_rate == point.learning_rate),
            ];
            if let Some((field, _)) = same.into_iter().find(|&(_, is_same)| !is_same) {
                let run = &point.run;
                return Some(format!("`points[{idx}].{field}` differs from that of run `{run}` before"));
            }
        }
        None
    }
}

impl CalibrationPoint {
    /// The rest of a sentence that begins with "`points[3].".
    fn problem(&self) -> Option<String> {
        for (field, text) in [("task", &self.task), ("run", &self.run), ("method", &self.method)] {
            if text.is_empty() {
                return Some(format!("{field}` is empty"));
            }
        }
        let ranges = [
            ("learning_rate", self.learning_rate, f64::MIN_POSITIVE, f64::MAX),
            ("kl_reference_to_policy", self.kl_reference_to_policy, 0.0, f64::MAX),
            ("relative_weight_change", self.relative_weight_change, 0.0, f64::MAX),
            ("log_step", self.log_step.unwrap_or(0.0), f64::MIN, f64::MAX),
            ("drop", self.drop, -1.0, 1.0),
        ];
        let (field, value, low, _) =
            ranges.into_iter().find(|(_, value, low, high)| !(*low..=*high).contains(value))?;
        let expected = match field {
            "drop" => "a fraction between -1 and 1",
            "learning_rate" => "a number above 0",
            _ if low == 0.0 => "a number that is not negative",
            _ => "a finite number",
        };
        Some(format!("{field}` is {value}, expected {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = r#"{"task": "math", "run": "a", "method": "sft", "learning_rate": 0.001,
        "kl_reference_to_policy": 2.5, "relative_weight_change": 0.1, "log_step": null, "drop": -0.01}"#;

    fn parse(points: &str) -> Result<Calibration, MetricsError> {
        let text = format!(
            r#"{{"schema": "razor.calibration.v1", "base": {{"name": "b", "fingerprint": "f", "n_parameters": 1}},
            "benchmarks": ["x"], "points": [{points}]}}"#
        );
        Calibration::parse(Path::new("runs/calibration.json"), &text)
    }

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let mut calibration = parse(POINT).unwrap();
        calibration.points[0].drop = 0.1 + 0.2;
        calibration.points[0].kl_reference_to_policy = 1e-300;
        let text = serde_json::to_string_pretty(&calibration).unwrap();
        assert_eq!(Calibration::parse(Path::new("c"), &text).unwrap(), calibration);
    }

    #[test]
    fn errors_name_file_and_field() {
        for (from, to, parts) in [
            ("\"drop\": -0.01", "\"drop\": 5.0", ["points[1].drop", "between -1 and 1"]),
            ("0.001", "0", ["points[1].learning_rate", "above 0"]),
            ("2.5", "-2.5", ["points[1].kl_reference_to_policy", "not negative"]),
            ("0.1", "1e999", ["number out of range", "line"]),
            ("\"math\"", "\"\"", ["points[1].task", "empty"]),
            ("\"run\"", "\"rum\"", ["unknown field `rum`", "line"]),
            (", \"drop\": -0.01", "", ["missing field `drop`", "line"]),
        ] {
            let changed = POINT.replace(from, to);
            let message = parse(&format!("{POINT},{changed}")).unwrap_err().to_string();
            assert!(message.starts_with("runs/calibration.json: "), "{message}");
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let message = parse("").unwrap_err().to_string();
        assert!(message.contains("`points` is an empty list"), "{message}");
        let message = Calibration::parse(Path::new("c"), "{}").unwrap_err().to_string();
        assert!(message.contains("missing field `schema`"), "{message}");
    }

    #[test]
    fn a_run_has_one_task_one_method_and_one_learning_rate() {
        for (from, to) in [("math", "tools"), ("sft", "grpo"), ("0.001", "0.01")] {
            let message = parse(&format!("{POINT},{}", POINT.replace(from, to))).unwrap_err().to_string();
            assert!(message.contains("differs from that of run `a`"), "{message}");
        }
    }

    #[test]
    fn several_tasks_must_be_told_apart_by_name() {
        let other = POINT.replace("\"a\"", "\"b\"").replace("math", "tools");
        let calibration = parse(&format!("{POINT},{other}")).unwrap();
        assert_eq!(calibration.choose_task(Some("tools")), Ok("tools"));
        assert!(matches!(calibration.choose_task(None), Err(MetricsError::UnnamedTask { .. })));
        let message = calibration.choose_task(Some("science")).unwrap_err().to_string();
        assert!(message.contains("`science`") && message.contains("math, tools"), "{message}");
        assert_eq!(parse(POINT).unwrap().choose_task(None), Ok("math"));
    }
}
