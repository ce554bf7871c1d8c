//! Stands in for the hub in builds without the feature `hub`: only folders on this machine are models.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::ModelError;
use crate::model_hub::Repository;

pub(crate) struct Settings;

impl Settings {
    pub(crate) fn from_lookup(_: impl Fn(&str) -> Option<OsString>) -> Self {
        Self
    }
}

pub(crate) fn fetch(
    _: &Settings,
    repository: &Repository<'_>,
    _: bool,
    _: &dyn Fn(&str, u64, u64),
) -> Result<PathBuf, ModelError> {
    let name = format!("{}/{}", repository.owner, repository.name);
    let reason =
        "there is no such folder, and this build cannot reach the hub (feature `hub` is off)".to_owned();
    Err(ModelError::Hub { name, reason })
}
