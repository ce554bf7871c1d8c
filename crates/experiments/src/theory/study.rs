//! The theory study as a folder: presets, `config.toml`, `result.json` and the report.

use std::fs;
use std::path::{Path, PathBuf};

use razor_core::{Seed, load_config, read_toml, write_json, write_toml};
use razor_report::{Summary, write_report};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error::ExperimentError;
use crate::theory::{TheoryConfig, TheoryResult, run_theory, theory_report};

/// The names of the presets, quickest first.
pub const THEORY_PRESETS: [&str; 4] = ["smoke", "quick", "standard", "paper"];

/// The file that only this study's folder has.
const RESULT: &str = "result.json";

impl TheoryConfig {
    /// The preset `name`, changed by `assignments` (`table.key=value`) and checked.
    ///
    /// # Errors
    /// [`ExperimentError::UnknownPreset`]; [`ExperimentError::Core`] for a bad assignment; [`ExperimentError::Theory`]
    /// for values that cannot be computed with.
    pub fn preset(name: &str, assignments: &[String]) -> Result<Self, ExperimentError> {
        let text = match name {
            "smoke" => include_str!("../../presets/theory/smoke.toml"),
            "quick" => include_str!("../../presets/theory/quick.toml"),
            "standard" => include_str!("../../presets/theory/standard.toml"),
            "paper" => include_str!("../../presets/theory/paper.toml"),
            _ => return Err(ExperimentError::unknown_preset("theory", name, &THEORY_PRESETS)),
        };
        let config: Self = load_config(text, Path::new(&format!("presets/theory/{name}.toml")), assignments)?;
        config.check()?;
        Ok(config)
    }
}

/// What a theory study is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TheoryStudy {
    /// Name of the preset, for the records.
    pub preset: String,
    /// Seed of everything.
    pub seed: Seed,
    /// The config after `--set`.
    pub study: TheoryConfig,
}

impl TheoryStudy {
    /// Computes the study and writes it to `dir`.
    ///
    /// # Errors
    /// [`ExperimentError::StudyExists`] or [`ExperimentError::OtherStudy`] when the folder is taken, the former only without
    /// `resume`; [`ExperimentError::Core`] when a file cannot be written.
    pub fn run(
        &self,
        dir: &Path,
        resume: bool,
        environment: &Environment,
    ) -> Result<Summary, ExperimentError> {
        let path = dir.join("config.toml");
        if path.is_file() {
            if read_toml::<Self>(&path).ok().as_ref() != Some(self) {
                let difference = "its study, seed, preset or --set values differ".to_owned();
                return Err(ExperimentError::OtherStudy { path: dir.to_owned(), difference });
            }
            if !resume {
                let n_done = usize::from(is_theory_study(dir));
                return Err(ExperimentError::StudyExists { path: dir.to_owned(), n_done, n_runs: 1 });
            }
        }
        write_toml(&path, self)?;
        environment.write(dir)?;
        write_json(&dir.join(RESULT), &run_theory(&self.study, self.seed)?)?;
        redraw_theory_report(dir)
    }
}

/// Whether `dir` holds a finished theory study.
pub fn is_theory_study(dir: &Path) -> bool {
    dir.join(RESULT).is_file()
}

/// Redraws summary and report of the study in `dir` from its result.
///
/// # Errors
/// [`ExperimentError::Core`] and [`ExperimentError::Record`] for files that cannot be read, [`ExperimentError::Report`] for
/// a report that cannot be written.
pub fn redraw_theory_report(dir: &Path) -> Result<Summary, ExperimentError> {
    let started: TheoryStudy = read_toml(&dir.join("config.toml"))?;
    let path: PathBuf = dir.join(RESULT);
    let record = |message: String| ExperimentError::Record { path: path.clone(), message };
    let text = fs::read_to_string(&path).map_err(|error| record(error.to_string()))?;
    let result: TheoryResult = serde_json::from_str(&text).map_err(|error| record(error.to_string()))?;
    let (page, summary) = theory_report(&result, &started.preset, Environment::lines(dir))?;
    write_report(dir, &page, &summary)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_an_unknown_one_is_refused() {
        for name in THEORY_PRESETS {
            TheoryConfig::preset(name, &[]).unwrap();
        }
        let error = TheoryConfig::preset("fast", &[]).unwrap_err().to_string();
        assert!(error.contains("smoke, quick, standard, paper"), "{error}");
    }
}
