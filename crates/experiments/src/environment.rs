//! What a study ran on.

use std::collections::BTreeMap;
use std::path::Path;

use razor_core::{read_toml, write_toml};
use serde::{Deserialize, Serialize};

use crate::error::ExperimentError;

/// Kept in `env.toml` of a study's folder. Not part of the records: they must not depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the program.
    pub razor: String,
    /// Commit that it was built from, if known.
    pub commit: String,
    /// Version of Burn.
    pub burn: String,
    /// Backend, `flex` for instance.
    pub backend: String,
    /// Operating system and processor architecture.
    pub platform: String,
    /// Number of runs at a time.
    pub n_workers: usize,
}

impl Environment {
    pub(crate) fn write(&self, study_dir: &Path) -> Result<(), ExperimentError> {
        Ok(write_toml(&study_dir.join("env.toml"), self)?)
    }

    /// What a rerun needs to know, for the summary: not the number of workers, on which nothing depends. Empty when the
    /// file is gone.
    pub(crate) fn lines(study_dir: &Path) -> BTreeMap<String, String> {
        let Ok(Self { razor, commit, burn, backend, platform, .. }) = read_toml(&study_dir.join("env.toml"))
        else {
            return BTreeMap::new();
        };
        let pairs = [
            ("razor", razor),
            ("commit", commit),
            ("burn", burn),
            ("backend", backend),
            ("platform", platform),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
