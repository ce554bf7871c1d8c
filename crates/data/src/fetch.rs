//! Fetching a data set from the hub into a folder of plain IDX files.

use std::path::{Path, PathBuf};

use razor_core::write_atomic;

use crate::dataset::DatasetId;
use crate::error::DataError;
use crate::hub;
use crate::load::Unpacked;
use crate::manifest::{DatasetEntry, Manifest};
use crate::sources::{FetchListener, Sources};
use crate::state::holds_official_files;

/// What a download is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// A download begins; sent before the first request.
    Started {
        /// Which data set.
        id: DatasetId,
        /// Endpoint, repository and revision.
        from: String,
    },
    /// Bytes arrived.
    Progress {
        /// File of the hub's repository.
        file: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, 0 while unknown.
        total: u64,
    },
    /// The files were checked and written.
    Stored {
        /// The folder that now holds the four IDX files.
        folder: PathBuf,
    },
}

/// Where a fetched data set lies now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It was there already and every byte is right.
    AlreadyThere(PathBuf),
    /// It was written.
    Stored(PathBuf),
}

/// Puts a data set's four IDX files into the explicit data folder of `sources`, or `datasets/raw`.
///
/// Files that are there and right are kept; anything else is replaced, each file whole or not at all, and only after
/// all four passed their checks.
///
/// # Errors
/// [`DataError::Hub`] when the hub cannot be reached, is not allowed (`HF_HUB_OFFLINE`) or is not in this build;
/// [`DataError::Parquet`] or a check's error when it sent something else; [`DataError::Store`] when writing fails.
pub fn fetch(id: DatasetId, sources: &Sources, listener: &FetchListener) -> Result<Fetched, DataError> {
    let entry = Manifest::embedded().entry(id);
    let folder = sources.store_dir().join(&entry.folders[0]);
    if holds_official_files(entry, &folder) {
        return Ok(Fetched::AlreadyThere(folder));
    }
    let settings = sources.hub.clone().unwrap_or_else(hub::Settings::from_environment);
    let files = match hub::cached(entry, &settings) {
        Ok(Some(files)) => files,
        Ok(None) | Err(_) => hub::download(entry, &settings, listener)?, // a bad cache is what a fetch repairs
    };
    store(entry, sources.store_dir(), &files, listener).map(Fetched::Stored)
}

/// Writes checked files below `dir`, in the order of [`DatasetEntry::files`]; returns their folder.
pub(crate) fn store(
    entry: &DatasetEntry,
    dir: &Path,
    files: &[Unpacked; 4],
    listener: &FetchListener,
) -> Result<PathBuf, DataError> {
    let folder = dir.join(&entry.folders[0]);
    for (file, unpacked) in entry.files().into_iter().zip(files) {
        let written = write_atomic(&folder.join(&file.name), &unpacked.bytes);
        written.map_err(|source| DataError::Store { source })?;
    }
    listener(&FetchEvent::Stored { folder: folder.clone() });
    Ok(folder)
}
