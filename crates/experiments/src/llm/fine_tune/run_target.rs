//! Where a run goes, looked at before anything that takes long.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use razor_core::file_digest;
use razor_models::fingerprint_model;
use razor_trainers::language::run::{RunError, RunFolder};
use serde::Serialize;

use crate::llm::fine_tune::settings::{FineTuneSettings, MethodSettings};

/// A folder that a run can be started in, or continued.
#[derive(Debug)]
pub struct RunTarget {
    folder: PathBuf,
    resume: bool,
    config: RunConfig,
    /// Whether checkpoints are written.
    pub(super) keeps_weights: bool,
}

/// What `config.toml` holds and a run that goes on has to have again: the settings, and what is in the files that they
/// name.
#[derive(Debug, Serialize)]
struct RunConfig {
    #[serde(flatten)]
    settings: FineTuneSettings,
    /// Fingerprints by what the files are: the base, and the user's own rows.
    contents: BTreeMap<&'static str, String>,
}

impl RunTarget {
    /// Looks whether a run of these settings on the base in `base_folder` can be started in `folder`, or continued there
    /// with `resume`. Nothing is written yet.
    ///
    /// # Errors
    /// When a file that the settings name cannot be read, and as of [`RunFolder::check`]: the folder holds something else,
    /// this run, or a run of other settings or of files that have changed.
    pub fn new(
        settings: &FineTuneSettings,
        base_folder: &Path,
        folder: &Path,
        resume: bool,
    ) -> anyhow::Result<Self> {
        let mut contents = BTreeMap::from([("model", fingerprint_model(base_folder)?)]);
        for (name, file) in user_files(settings) {
            contents.insert(name, content(file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        let config = RunConfig { settings: settings.clone(), contents };
        RunFolder::check(folder, &config, resume)?;
        Ok(Self { folder: folder.to_owned(), resume, config, keeps_weights: true })
    }

    /// For a run that is wanted for its measurements alone: no checkpoint is written, not even at its end, so that it begins anew
    /// where it is stopped.
    #[must_use]
    pub fn without_weights(self) -> Self {
        Self { keeps_weights: false, ..self }
    }

    /// Starts or continues the run.
    pub(super) fn open(&self, environment: &impl Serialize) -> Result<RunFolder, RunError> {
        match self.resume {
            true => RunFolder::open_for_resume(&self.folder, &self.config),
            false => RunFolder::create(&self.folder, &self.config, environment),
        }
    }
}

/// Files of rows that the settings name.
fn user_files(settings: &FineTuneSettings) -> Vec<(&'static str, &Path)> {
    let mut files = Vec::new();
    files.extend(settings.task.file.as_deref().map(|file| ("task", file)));
    files.extend(settings.task.annotations.as_deref().map(|file| ("annotations", file)));
    if let MethodSettings::Sft { replay: Some(replay), .. } = &settings.method {
        files.push(("replay", &replay.file));
    }
    let fisher = settings.anchor.as_ref().and_then(|anchor| anchor.fisher.as_ref());
    files.extend(fisher.map(|fisher| ("ewc_prompts", fisher.file.as_path())));
    files
}

fn content(file: &Path) -> std::io::Result<String> {
    let (_, sha256) = file_digest(&File::open(file)?)?;
    Ok(sha256[..16].to_owned())
}
