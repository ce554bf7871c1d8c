//! `summary.json`: what a study found, for other programs.
//!
//! The file holds one [`Summary`]. Its `schema` is `razor.summary/1`; fields may be added under that name, so readers
//! ignore those that they do not know. A number that could not be computed is `null`. Accuracies are fractions in
//! 0 to 1, divergences are in nats, intervals are 95 % (`<field>_low`, `<field>_high`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::ReportError;

/// Name and version of the layout of `summary.json`.
pub const SUMMARY_SCHEMA: &str = "razor.summary/1";

/// What a study found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SUMMARY_SCHEMA`].
    pub schema: String,
    /// Name of the study: `parity`, `theory`, ...
    pub study: String,
    /// Name of the preset: `smoke`, `quick`, ...
    pub preset: String,
    /// What the runs were trained on.
    pub data: DataKind,
    /// The answer in plain words, most important sentence first.
    pub verdict: Vec<String>,
    /// The acceptance gates, in the order in which they are shown.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// How well each measured quantity predicts forgetting, best first.
    #[serde(default)]
    pub predictors: Vec<Predictor>,
    /// The methods compared at equal accuracy, equal KL or equal learning rate.
    #[serde(default)]
    pub matched: Vec<Matched>,
    /// How far each method lies from the fit of all methods.
    #[serde(default)]
    pub residuals: Vec<Residual>,
    /// The data files that the runs read.
    #[serde(default)]
    pub provenance: Vec<DataFile>,
    /// Commit, backend, device, versions: what a rerun needs to know.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// What the runs were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// The data sets that the study names.
    Real,
    /// No data set at all: the study is arithmetic.
    None,
    /// A stand-in that the project generated; figures are not those of the real data sets.
    Procedural,
}

/// One acceptance gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Short name: `T2`.
    pub id: String,
    /// What is claimed, with its threshold.
    pub claim: String,
    /// Whether the claim holds; `null` when it was not measured.
    pub pass: Option<bool>,
    /// The measured figures, in words.
    pub figure: String,
    /// Whether the claim holds for each seed alone; empty when it is not a claim about seeds.
    #[serde(default)]
    pub per_seed: Vec<bool>,
}

/// How well one quantity predicts forgetting, over all methods and runs pooled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    /// New task, in a study that has several; else empty and not written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// The quantity: `kl_reference_to_policy`, `weight_l1`, ...
    pub name: String,
    /// The inputs on which it was measured.
    pub inputs: PredictorInputs,
    /// In-sample R² of the quadratic fit.
    #[serde(deserialize_with = "null_as_nan")]
    pub r2: f64,
    /// Lower end of the interval of `r2`.
    #[serde(deserialize_with = "null_as_nan")]
    pub r2_low: f64,
    /// Upper end of the interval of `r2`.
    #[serde(deserialize_with = "null_as_nan")]
    pub r2_high: f64,
    /// Spearman's rank correlation with forgetting.
    #[serde(deserialize_with = "null_as_nan")]
    pub spearman: f64,
    /// Lower end of the interval of `spearman`.
    #[serde(deserialize_with = "null_as_nan")]
    pub spearman_low: f64,
    /// Upper end of the interval of `spearman`.
    #[serde(deserialize_with = "null_as_nan")]
    pub spearman_high: f64,
    /// Pearson's linear correlation with forgetting.
    #[serde(deserialize_with = "null_as_nan")]
    pub pearson: f64,
    /// R² of the best monotone fit.
    #[serde(deserialize_with = "null_as_nan")]
    pub r2_monotone: f64,
}

/// The inputs on which a predictor was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictorInputs {
    /// Held-out inputs of the new task: needs no old data.
    NewTask,
    /// Inputs of the old task: what a forecaster would not have.
    OldTask,
    /// Random inputs: needs no data.
    Random,
    /// No inputs at all: a function of the weights or of the settings.
    None,
}

/// One method where all methods agree on one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the ends of an interval are named after their estimate")]
pub struct Matched {
    /// The quantity on which the methods agree.
    pub axis: MatchAxis,
    /// Its value: an accuracy, nats, or a learning rate.
    #[serde(deserialize_with = "null_as_nan")]
    pub level: f64,
    /// New task, in a study that has several; else empty and not written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// Name of the method.
    pub method: String,
    /// New-task accuracy; `null` when the method does not reach the level.
    pub new_task: Option<f64>,
    pub new_task_low: Option<f64>,
    pub new_task_high: Option<f64>,
    /// Prior-task accuracy.
    pub prior_task: Option<f64>,
    pub prior_task_low: Option<f64>,
    pub prior_task_high: Option<f64>,
    /// KL(π₀‖π) on new-task inputs, nats.
    pub kl_reference_to_policy: Option<f64>,
    pub kl_reference_to_policy_low: Option<f64>,
    pub kl_reference_to_policy_high: Option<f64>,
}

/// The quantity on which methods are made to agree before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchAxis {
    /// New-task accuracy.
    Accuracy,
    /// KL(π₀‖π) on new-task inputs.
    Kl,
    /// Peak learning rate.
    LearningRate,
}

/// How far one method lies from the pooled fit: measured minus predicted forgetting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// New task, in a study that has several; else empty and not written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// Name of the method.
    pub method: String,
    /// Mean residual, as a fraction of the prior-task accuracy scale.
    #[serde(deserialize_with = "null_as_nan")]
    pub mean: f64,
    /// Lower end of the interval of `mean`.
    #[serde(deserialize_with = "null_as_nan")]
    pub mean_low: f64,
    /// Upper end of the interval of `mean`.
    #[serde(deserialize_with = "null_as_nan")]
    pub mean_high: f64,
}

/// One data file that the runs read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Name of the file, without the folder it was found in.
    pub name: String,
    /// Where it comes from: a URL, or `procedural` with the seed.
    pub source: String,
    /// Licence of the data set.
    pub licence: String,
    /// SHA-256 of the unpacked bytes, in hexadecimal.
    pub sha256: String,
}

impl Summary {
    /// The file's text: indented JSON with a final newline, `null` for numbers that are not finite.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data with string keys is always JSON");
        text + "\n"
    }

    /// Reads a `summary.json`; `null` becomes NaN where a number is not optional.
    ///
    /// # Errors
    /// [`ReportError::Read`] or [`ReportError::Parse`] with the path, [`ReportError::Schema`] when the file follows
    /// another version of the layout.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let text =
            fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
        let parse_failed = |source| ReportError::Parse { path: path.into(), source };
        // The schema first: a summary of another version should not be reported as a missing field.
        let header: Header = serde_json::from_str(&text).map_err(parse_failed)?;
        if header.schema != SUMMARY_SCHEMA {
            let found = header.schema;
            return Err(ReportError::Schema { path: path.into(), found, expected: SUMMARY_SCHEMA });
        }
        serde_json::from_str(&text).map_err(parse_failed)
    }
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::summary;

    #[test]
    fn numbers_that_are_not_finite_become_null_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        let mut written = summary();
        written.predictors[0].r2 = f64::NAN;
        written.predictors[0].pearson = f64::INFINITY;
        written.matched[0].prior_task = Some(f64::NAN);
        fs::write(&path, written.to_json()).unwrap();
        let read = Summary::read(&path).unwrap();
        assert!(written.to_json().contains("\"r2\": null"));
        assert!(read.predictors[0].r2.is_nan() && read.predictors[0].pearson.is_nan());
        assert_eq!(read.matched[0].prior_task, None);
        assert_eq!(read.to_json(), written.to_json(), "reading and writing again changes nothing");
    }

    #[test]
    fn a_field_added_later_is_ignored_and_another_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        let later = summary().to_json().replacen('{', "{\"added_later\": 1,", 1);
        fs::write(&path, &later).unwrap();
        assert_eq!(Summary::read(&path).unwrap(), summary());
        fs::write(&path, later.replace(SUMMARY_SCHEMA, "razor.summary/2")).unwrap();
        let error = Summary::read(&path).unwrap_err().to_string();
        assert!(error.contains("summary.json") && error.contains("razor.summary/2"), "{error}");
    }

    #[test]
    fn a_damaged_summary_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        fs::write(&path, "{\"schema\": \"razor.summary/1\"}").unwrap();
        let error = Summary::read(&path).unwrap_err().to_string();
        assert!(error.contains("summary.json") && error.contains("study"), "{error}");
    }
}
