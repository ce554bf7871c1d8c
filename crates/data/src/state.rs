//! What there is of a data set on this machine, and whether it is sound.

use std::path::Path;

use crate::dataset::DatasetId;
use crate::error::{DataError, Looked};
use crate::hub;
use crate::image_set::FileRecord;
use crate::load::check_file;
use crate::manifest::{DatasetEntry, FileEntry, Manifest};
use crate::sources::{Located, Sources, locate};
use crate::unpack::read_unpacked;

/// What there is of a data set on this machine.
#[derive(Debug)]
pub enum DatasetState {
    /// Files were found; each was read whole and checked.
    Found {
        /// The folder that holds them, or the hub's cache.
        place: String,
        /// One check a file: training images and labels, test images and labels.
        files: Vec<FileCheck>,
    },
    /// There is nothing, in any of these places.
    Missing(Vec<Looked>),
    /// What was named or found cannot be used at all.
    Refused(DataError),
}

/// One file and what its check said.
#[derive(Debug)]
pub struct FileCheck {
    /// Name of the file in the manifest.
    pub name: String,
    /// Its record when every byte is right, otherwise what is wrong.
    pub outcome: Result<FileRecord, DataError>,
}

impl DatasetState {
    /// Whether the real images can be loaded as they are.
    pub fn is_sound(&self) -> bool {
        matches!(self, Self::Found { files, .. } if files.iter().all(|file| file.outcome.is_ok()))
    }
}

/// Looks for a data set as [`load_images`](crate::load_images) does, but never on the network, and checks every file
/// by itself so that all that is wrong is told at once.
pub fn inspect(id: DatasetId, sources: &Sources) -> DatasetState {
    let entry = Manifest::embedded().entry(id);
    let mut looked = match locate(entry, sources) {
        Err(error) => return DatasetState::Refused(error),
        Ok(Located::Nowhere(looked)) => looked,
        Ok(Located::Found(found)) => {
            let checks = entry.files().into_iter().zip(&found.paths);
            let files = checks.map(|(file, path)| check_stored(entry, file, path)).collect();
            return DatasetState::Found { place: found.folder.display().to_string(), files };
        }
    };
    let Some(settings) = &sources.hub else { return DatasetState::Missing(looked) };
    match hub::cached(entry, settings) {
        Err(error) => DatasetState::Refused(error),
        Ok(None) => {
            looked.push(Looked { place: settings.describe(), outcome: hub::NOT_DOWNLOADED.into() });
            DatasetState::Missing(looked)
        }
        Ok(Some(files)) => {
            let checks = entry.files().into_iter().zip(&files).map(|(file, unpacked)| FileCheck {
                name: file.name.clone(),
                outcome: check_file(entry, file, &unpacked.path, &unpacked.bytes),
            });
            DatasetState::Found { place: settings.describe(), files: checks.collect() }
        }
    }
}

/// Whether a folder holds the four files under their plain names, every byte right.
pub(crate) fn holds_official_files(entry: &DatasetEntry, folder: &Path) -> bool {
    let mut paths = entry.files().into_iter().map(|file| (file, folder.join(&file.name)));
    paths.all(|(file, path)| check_stored(entry, file, &path).outcome.is_ok())
}

fn check_stored(entry: &DatasetEntry, file: &FileEntry, path: &Path) -> FileCheck {
    let outcome = read_unpacked(path, file.bytes).and_then(|bytes| check_file(entry, file, path, &bytes));
    FileCheck { name: file.name.clone(), outcome }
}
