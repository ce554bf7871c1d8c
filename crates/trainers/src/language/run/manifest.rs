//! What a checkpoint consists of: each file with its length and SHA-256, so that damage is found and named.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use razor_core::{CoreError, file_digest};
use serde::{Deserialize, Serialize};

use crate::language::run::error::RunError;

/// Name of the list in a checkpoint; it is written after all the files that it names.
pub(super) const MANIFEST: &str = "files.json";

/// Every file of a checkpoint but this list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    files: Vec<FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    /// Relative to the checkpoint, parts joined by `/`.
    path: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Reads every file under `folder` and waits until it is on the disk.
    pub(super) fn of(folder: &Path) -> Result<Self, RunError> {
        let mut files = Vec::new();
        collect(folder, "", &mut files)?;
        Ok(Self { files })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("plain data with text keys")
    }

    /// Reads the list of `folder` and compares every file with it.
    ///
    /// Files that the list does not name are nobody's business.
    pub(super) fn verify(folder: &Path) -> Result<(), RunError> {
        let path = folder.join(MANIFEST);
        let bytes = fs::read(&path)
            .map_err(|error| damaged(path.clone(), &format!("cannot be read ({error})"), folder))?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(path, &format!("is no list of files ({error})"), folder))?;
        manifest.files.iter().try_for_each(|entry| entry.verify(folder))
    }
}

impl FileEntry {
    fn verify(&self, folder: &Path) -> Result<(), RunError> {
        let path = folder.join(&self.path);
        let (bytes, sha256) = File::open(&path)
            .and_then(|file| file_digest(&file))
            .map_err(|error| damaged(path.clone(), &format!("cannot be read ({error})"), folder))?;
        if bytes != self.bytes {
            return Err(damaged(path, &format!("has {bytes} bytes, expected {}", self.bytes), folder));
        }
        if sha256 != self.sha256 {
            return Err(damaged(path, &format!("has SHA-256 {sha256}, expected {}", self.sha256), folder));
        }
        Ok(())
    }
}

fn damaged(path: PathBuf, what: &str, checkpoint: &Path) -> RunError {
    let message = format!(
        "{what}: the checkpoint is damaged; remove {} to use the one before it",
        checkpoint.display()
    );
    RunError::Damaged { path, message }
}

/// Adds the files of `folder` to `files`, in the order of their names, the folders' own entries synced.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<FileEntry>) -> Result<(), RunError> {
    let failed = |path: &Path, source| CoreError::Write { path: path.to_owned(), source };
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|source| failed(folder, source))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
            continue;
        }
        let read = File::open(&path).and_then(|file| {
            sync(&file)?;
            file_digest(&file)
        });
        let (bytes, sha256) = read.map_err(|source| failed(&path, source))?;
        files.push(FileEntry { path: name, bytes, sha256 });
    }
    File::open(folder)
        .and_then(|folder| sync(&folder))
        .map_err(|source| failed(folder, source))
        .map_err(Into::into)
}

/// Only Unix syncs what was opened for reading, folders among it.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(unix) { file.sync_all() } else { Ok(()) }
}
