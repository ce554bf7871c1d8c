//! What a study ran on.

use std::path::Path;

use razor_core::write_atomic;
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
    pub(crate) fn write(&self, path: &Path) -> Result<(), ExperimentError> {
        let text = toml::to_string(self).expect("an environment is plain text");
        Ok(write_atomic(path, text.as_bytes())?)
    }
}
