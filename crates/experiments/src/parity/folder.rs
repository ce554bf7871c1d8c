//! The folder of a study and of each of its runs.
//!
//! ```text
//! STUDY/config.toml  env.toml  runs/<id>/  summary.json  report.html  figures/*.svg  tables/*.csv
//! runs/<id>/config.toml  steps.jsonl  evals.jsonl  [dynamics.jsonl]  [checkpoints/<step>/model.safetensors]  done
//! ```
//!
//! A run is a few seconds long, so it has no checkpoint to resume from: one that has no `done` is started afresh, and
//! gives the same bytes, as everything random in it comes from its config.

use std::fs;
use std::path::{Path, PathBuf};

use razor_core::{read_json_lines, read_toml, write_atomic, write_json_lines, write_toml};
use razor_models::MlpWeights;
use serde::{Deserialize, Serialize};

use crate::error::ExperimentError;
use crate::parity::config::ParityConfig;
use crate::parity::plan::{PlannedRun, RunConfig};
use crate::parity::record::{DynamicsRecord, EvalRecord};
use crate::parity::task::WIDTHS;
use crate::parity::train::Trained;

/// What a study was started with, kept in its `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StudyConfig {
    /// Preset that the config came from.
    pub preset: String,
    /// Seed of the study.
    pub seed: u64,
    /// Fingerprint of the images.
    pub images: String,
    /// Whether they are real.
    pub provenance: razor_data::Provenance,
    /// Files that they were read from.
    pub files: Vec<razor_data::FileRecord>,
    /// The config after `--set`.
    pub study: ParityConfig,
}

/// The folder of a study.
#[derive(Debug, Clone)]
pub(crate) struct StudyFolder {
    /// Where it is.
    pub path: PathBuf,
}

/// What a finished run left on disk.
#[derive(Debug, Clone)]
pub(crate) struct FinishedRun {
    pub config: RunConfig,
    pub evals: Vec<EvalRecord>,
    pub dynamics: Vec<DynamicsRecord>,
}

impl StudyFolder {
    pub(crate) fn run_dir(&self, id: &str) -> PathBuf {
        self.path.join("runs").join(id)
    }

    pub(crate) fn is_done(&self, id: &str) -> bool {
        self.run_dir(id).join("done").is_file()
    }

    pub(crate) fn read_config(&self) -> Result<StudyConfig, ExperimentError> {
        let path = self.path.join("config.toml");
        if !path.is_file() {
            return Err(ExperimentError::NoStudy { path: self.path.clone(), missing: "config.toml" });
        }
        Ok(read_toml(&path)?)
    }

    pub(crate) fn write_config(&self, config: &StudyConfig) -> Result<(), ExperimentError> {
        Ok(write_toml(&self.path.join("config.toml"), config)?)
    }

    /// Removes half-written files that a killed study left outside of its runs.
    pub(crate) fn clear_partials(&self) -> Result<(), ExperimentError> {
        let bases = files_in(&self.path.join("bases"))?;
        let mut dirs = vec![self.path.clone(), self.path.join("figures"), self.path.join("tables")];
        dirs.extend(bases);
        for dir in dirs {
            for path in
                files_in(&dir)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "partial"))
            {
                fs::remove_file(&path).map_err(|error| unreadable(&path, "cannot be removed", &error))?;
            }
        }
        Ok(())
    }

    /// Writes a run; `done` comes last.
    pub(crate) fn write_run(
        &self,
        run: &PlannedRun,
        trained: &Trained,
        keep: bool,
    ) -> Result<(), ExperimentError> {
        let dir = self.run_dir(&run.id);
        clear(&dir)?;
        write_toml(&dir.join("config.toml"), &run.config)?;
        write_json_lines(&dir.join("steps.jsonl"), &trained.steps)?;
        write_json_lines(&dir.join("evals.jsonl"), &trained.evals)?;
        if !trained.dynamics.is_empty() {
            write_json_lines(&dir.join("dynamics.jsonl"), &trained.dynamics)?;
        }
        if keep {
            let step = trained.evals.last().map_or(0, |eval| eval.step);
            trained.weights.save(&checkpoint_path(&dir, step))?;
        }
        write_atomic(&dir.join("done"), b"")?;
        Ok(())
    }

    pub(crate) fn read_run(&self, id: &str) -> Result<FinishedRun, ExperimentError> {
        let dir = self.run_dir(id);
        let dynamics = dir.join("dynamics.jsonl");
        let dynamics = if dynamics.is_file() { read_json_lines(&dynamics)? } else { Vec::new() };
        let evals: Vec<EvalRecord> = read_json_lines(&dir.join("evals.jsonl"))?;
        if evals.is_empty() {
            let message = "holds no measurement; remove the folder of this run and use --resume".to_owned();
            return Err(ExperimentError::Record { path: dir.join("evals.jsonl"), message });
        }
        Ok(FinishedRun { config: read_toml(&dir.join("config.toml"))?, evals, dynamics })
    }

    /// The final policy of a run that was kept.
    pub(crate) fn read_policy(&self, id: &str) -> Result<MlpWeights, ExperimentError> {
        let last = self.read_run(id)?.evals.last().map_or(0, |eval| eval.step);
        Ok(MlpWeights::load(&checkpoint_path(&self.run_dir(id), last), &WIDTHS)?)
    }

    fn base_dir(&self, seed_idx: u64) -> PathBuf {
        self.path.join("bases").join(format!("s{seed_idx}"))
    }

    pub(crate) fn write_base(
        &self,
        seed_idx: u64,
        eval: &EvalRecord,
        weights: &MlpWeights,
    ) -> Result<(), ExperimentError> {
        let dir = self.base_dir(seed_idx);
        weights.save(&dir.join("model.safetensors"))?;
        Ok(write_json_lines(&dir.join("evals.jsonl"), std::slice::from_ref(eval))?)
    }

    /// The measurement of the base policy of a seed; `None` when it was not made yet.
    pub(crate) fn read_base(&self, seed_idx: u64) -> Result<Option<EvalRecord>, ExperimentError> {
        let path = self.base_dir(seed_idx).join("evals.jsonl");
        if !path.is_file() {
            return Ok(None);
        }
        Ok(read_json_lines(&path)?.into_iter().next())
    }
}

fn checkpoint_path(run_dir: &Path, step: usize) -> PathBuf {
    run_dir.join("checkpoints").join(step.to_string()).join("model.safetensors")
}

/// What is in a folder; nothing when it is not there or is no folder.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, ExperimentError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|error| unreadable(dir, "cannot be listed", &error))
}

fn unreadable(path: &Path, what: &str, error: &std::io::Error) -> ExperimentError {
    ExperimentError::Record { path: path.to_owned(), message: format!("{what}: {error}") }
}

/// Removes what an interrupted run left behind.
fn clear(dir: &Path) -> Result<(), ExperimentError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ExperimentError::Record {
            path: dir.to_owned(),
            message: format!("cannot be cleared: {error}"),
        }),
        _ => Ok(()),
    }
}
