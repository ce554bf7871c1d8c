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
    inspect_entry(Manifest::embedded().entry(id), sources)
}

fn inspect_entry(entry: &DatasetEntry, sources: &Sources) -> DatasetState {
    let mut looked = match locate(entry, sources) {
        Err(error) => return DatasetState::Refused(error),
        Ok(Located::Nowhere(looked)) => looked,
        Ok(Located::Found(found)) => {
            let checks = entry.files().into_iter().zip(&found.paths);
            let files = checks.map(|(file, path)| check_stored(entry, file, path)).collect();
            return DatasetState::Found { place: found.folder.display().to_string(), files };
        }
    };
    match hub::cached(entry, &sources.hub) {
        Err(error) => DatasetState::Refused(error),
        Ok(None) => {
            looked.push(Looked { place: sources.hub.describe(), outcome: hub::NOT_DOWNLOADED.into() });
            DatasetState::Missing(looked)
        }
        Ok(Some(files)) => {
            let checks = entry.files().into_iter().zip(&files).map(|(file, unpacked)| FileCheck {
                name: file.name.clone(),
                outcome: check_file(entry, file, &unpacked.path, &unpacked.bytes),
            });
            DatasetState::Found { place: sources.hub.describe(), files: checks.collect() }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::SmallSet;

    #[test]
    fn every_damaged_file_is_told_at_once() {
        let (mut set, dir) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let folder = dir.path().join("mnist");
        let sources = Sources::new(Some(dir.path().to_owned()));
        set.write(&folder);
        assert!(inspect_entry(&set.entry, &sources).is_sound());
        assert!(holds_official_files(&set.entry, &folder));

        set.files[0].truncate(20);
        set.files[3][8] = 99;
        set.write(&folder);
        let state = inspect_entry(&set.entry, &sources);
        assert!(!state.is_sound() && !holds_official_files(&set.entry, &folder));
        let DatasetState::Found { files, .. } = state else { panic!("the files are there: {state:?}") };
        let sound: Vec<bool> = files.iter().map(|file| file.outcome.is_ok()).collect();
        assert_eq!(sound, [false, true, true, false]);
    }

    #[test]
    fn a_wrong_folder_is_refused_rather_than_missing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let state = inspect_entry(&SmallSet::new().entry, &Sources::new(Some(file)));
        assert!(matches!(state, DatasetState::Refused(DataError::NotAFolder { .. })), "{state:?}");
    }
}
