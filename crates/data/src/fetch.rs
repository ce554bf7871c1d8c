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

/// Puts a data set's four IDX files into the explicit data folder of `sources`, or `datasets/raw`; makes the folder.
///
/// Files that are there and right are kept; anything else is replaced, each file whole or not at all, and only after
/// all four passed their checks.
///
/// # Errors
/// [`DataError::Hub`] when the hub cannot be reached, is not allowed (`HF_HUB_OFFLINE`) or is not in this build;
/// [`DataError::Parquet`] or a check's error when it sent something else; [`DataError::Store`] when writing fails.
pub fn fetch(id: DatasetId, sources: &Sources, listener: &FetchListener) -> Result<Fetched, DataError> {
    fetch_entry(Manifest::embedded().entry(id), sources, listener)
}

fn fetch_entry(
    entry: &DatasetEntry,
    sources: &Sources,
    listener: &FetchListener,
) -> Result<Fetched, DataError> {
    let folder = sources.store_dir().join(&entry.folders[0]);
    if holds_official_files(entry, &folder) {
        return Ok(Fetched::AlreadyThere(folder));
    }
    let files = match hub::cached(entry, &sources.hub) {
        Ok(Some(files)) => files,
        Ok(None) | Err(_) => hub::download(entry, &sources.hub, listener)?, // a bad cache is what a fetch repairs
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::Arc;

    use super::*;
    use crate::testing::SmallSet;

    fn silent() -> FetchListener {
        Arc::new(|_| {})
    }

    /// Sources whose explicit folder and hub cache are `dir` and which may not use the network.
    fn offline(dir: &Path) -> Sources {
        Sources::from_lookup(Some(dir.to_owned()), |name| match name {
            "HF_HOME" => Some(dir.into()),
            "HF_HUB_OFFLINE" => Some(OsString::from("true")),
            _ => None,
        })
    }

    #[test]
    fn sound_files_are_not_fetched_again() {
        let (set, dir) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let folder = dir.path().join("mnist");
        set.write(&folder);
        let fetched = fetch_entry(&set.entry, &offline(dir.path()), &silent()).unwrap();
        assert_eq!(fetched, Fetched::AlreadyThere(folder));
    }

    #[test]
    fn nothing_is_written_when_the_hub_is_out_of_reach() {
        let (set, dir) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let error = fetch_entry(&set.entry, &offline(dir.path()), &silent()).unwrap_err();
        assert!(matches!(error, DataError::Hub { .. }), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[cfg(feature = "hub")]
    #[test]
    fn damaged_files_are_replaced_from_the_hub() {
        use crate::load::load_entry;
        use crate::testing::HubStub;

        let (set, dir) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let stub = HubStub::serve(vec![
            ("train", include_bytes!("../tests/fixtures/train.parquet")),
            ("test", include_bytes!("../tests/fixtures/test.parquet")),
        ]);
        let folder = dir.path().join("mnist");
        set.write(&folder);
        std::fs::write(folder.join("t10k-labels-idx1-ubyte"), "cut").unwrap();
        let sources = Sources::from_lookup(Some(dir.path().to_owned()), |name| match name {
            "HF_HOME" => Some(dir.path().join("home").into()),
            "HF_ENDPOINT" => Some(stub.endpoint.clone().into()),
            _ => None,
        });
        assert!(load_entry(&set.entry, &sources).is_err(), "loading never repairs a named folder by itself");
        assert_eq!(fetch_entry(&set.entry, &sources, &silent()).unwrap(), Fetched::Stored(folder));
        assert_eq!(load_entry(&set.entry, &sources).unwrap().test.len(), 2);
    }
}
