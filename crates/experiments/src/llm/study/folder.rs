//! The folder of an LLM study and of each of its runs.
//!
//! ```text
//! OUT/config.toml  env.toml  documents.json  calibration.json  summary.json  report.html  points.csv  figures/*.svg  tables/*.csv
//! OUT/bases/b<base>/<task>.json             the base, measured on each new task
//! OUT/runs/<id>/                            as `razor sft`, `grpo` and so on write it, and besides
//!   measurements/<step>.json                the policy after so many steps
//!   seconds.json                            wall-clock time by part
//!   failed.json                             why there is no more, where training diverged or had nothing to learn from
//! OUT/sequence/<method>/<stage>-<task>/     the same, each stage on the policy of the one before
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use razor_core::{read_toml, write_json, write_toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ExperimentError;
use crate::llm::study::config::LlmConfig;
use crate::llm::study::record::Measurement;

/// What a study was started with, kept in its `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StudyConfig {
    /// Preset that the config came from.
    pub preset: String,
    /// Seed of the study.
    pub seed: u64,
    /// Fingerprint of the base: weights, tokenizer and settings.
    pub base: String,
    /// Fingerprint of its weights alone, by which a forecast knows it again.
    pub weights: String,
    /// The base's name, and how many weights it has.
    pub base_name: String,
    /// Weights of the base.
    pub n_parameters: usize,
    /// Files of questions and documents that were read, with their SHA-256.
    pub files: Vec<StudyFile>,
    /// The config after `--set`.
    pub study: LlmConfig,
}

/// A file that the study's numbers depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StudyFile {
    /// Its name inside its data set.
    pub name: String,
    /// SHA-256 of its unpacked bytes.
    pub sha256: String,
}

/// The folder of a study.
#[derive(Debug, Clone)]
pub(crate) struct StudyFolder {
    pub path: PathBuf,
}

impl StudyFolder {
    pub(crate) fn run(&self, id: &str) -> PathBuf {
        self.path.join("runs").join(id)
    }

    pub(crate) fn stage(&self, method: &str, stage: usize, task: &str) -> PathBuf {
        self.path.join("sequence").join(method).join(format!("{stage}-{task}"))
    }

    pub(crate) fn base(&self, base_idx: u64) -> PathBuf {
        self.path.join("bases").join(format!("b{base_idx}"))
    }

    pub(crate) fn read_config(&self) -> Result<StudyConfig> {
        let path = self.path.join("config.toml");
        if !path.is_file() {
            return Err(ExperimentError::NoStudy { path: self.path.clone(), missing: "config.toml" }.into());
        }
        Ok(read_toml(&path)?)
    }

    pub(crate) fn write_config(&self, config: &StudyConfig) -> Result<()> {
        Ok(write_toml(&self.path.join("config.toml"), config)?)
    }

    /// What the prior documents say, by benchmark, for the report's readers.
    pub(crate) fn write_documents(&self, texts: &BTreeMap<String, Vec<String>>) -> Result<()> {
        Ok(write_json(&self.path.join(DOCUMENTS), texts)?)
    }

    pub(crate) fn read_documents(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let path = self.path.join(DOCUMENTS);
        if path.is_file() { read_json(&path) } else { Ok(BTreeMap::new()) }
    }

    /// The base's measurement on a task, where it was made.
    pub(crate) fn read_base(&self, base_idx: u64, task: &str) -> Result<Option<Measurement>> {
        let path = self.base(base_idx).join(format!("{task}.json"));
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }

    pub(crate) fn write_base(&self, base_idx: u64, task: &str, measured: &Measurement) -> Result<()> {
        Ok(write_json(&self.base(base_idx).join(format!("{task}.json")), measured)?)
    }
}

/// What the prior documents say.
const DOCUMENTS: &str = "documents.json";

/// Wall-clock time of a run.
pub(crate) const SECONDS: &str = "seconds.json";

/// The policy of a stage on every new task.
pub(crate) const ON_TASKS: &str = "on_tasks.json";

/// Why a run ended early.
pub(crate) const FAILED: &str = "failed.json";

/// Why a run or a stage ended early, where it did.
pub(crate) fn read_failure(run: &Path) -> Result<Option<String>> {
    let path = run.join(FAILED);
    if !path.is_file() {
        return Ok(None);
    }
    let reason: Value = read_json(&path)?;
    Ok(Some(reason["message"].as_str().unwrap_or_default().to_owned()))
}

/// Whether nothing is left to be done in the folder of this run.
pub(crate) fn is_done(run: &Path) -> bool {
    run.join("done").is_file() || run.join(FAILED).is_file()
}

/// The measurements of a run, by step.
pub(crate) fn read_measurements(run: &Path) -> Result<Vec<Measurement>> {
    let dir = run.join("measurements");
    let mut measured: Vec<Measurement> = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            measured.push(read_json(&path)?);
        }
    }
    if measured.is_empty() {
        bail!("{} holds no measurement; remove the folder of this run and use --resume", dir.display());
    }
    measured.sort_by_key(|measurement| measurement.step);
    Ok(measured)
}

/// Keeps what was measured after so many steps.
pub(crate) fn write_measurement(run: &Path, measured: &Measurement) -> Result<()> {
    Ok(write_json(&run.join("measurements").join(format!("{}.json", measured.step)), measured)?)
}

/// Reads a JSON record, naming the file where it is damaged.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}
