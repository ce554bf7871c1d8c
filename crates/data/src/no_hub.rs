//! Stands in for the hub in builds without the feature `hub`: nothing is cached, nothing can be downloaded.

use std::ffi::OsString;

use crate::error::DataError;
use crate::load::Unpacked;
use crate::manifest::DatasetEntry;
use crate::sources::FetchListener;

pub(crate) const NOT_DOWNLOADED: &str = "this build cannot reach it (feature `hub` is off)";

#[derive(Clone)]
pub(crate) struct Settings;

impl Settings {
    pub(crate) fn from_lookup(_: impl Fn(&str) -> Option<OsString>) -> Self {
        Self
    }

    pub(crate) fn describe(&self) -> String {
        "the Hugging Face hub".to_owned()
    }
}

pub(crate) fn cached(_: &DatasetEntry, _: &Settings) -> Result<Option<[Unpacked; 4]>, DataError> {
    Ok(None)
}

pub(crate) fn download(
    entry: &DatasetEntry,
    _: &Settings,
    _: &FetchListener,
) -> Result<[Unpacked; 4], DataError> {
    Err(DataError::Hub { id: entry.id, reason: NOT_DOWNLOADED.to_owned() })
}
