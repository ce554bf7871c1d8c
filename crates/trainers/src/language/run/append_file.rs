//! A file that only grows at its end and can be cut back.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use razor_core::CoreError;

use crate::language::run::error::RunError;

/// A file that one process writes at its end; everything handed to it is given to the system at once.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl AppendFile {
    /// Opens `path`, made when missing, and cuts it back to `len` bytes.
    pub(super) fn open(path: &Path, len: u64) -> Result<Self, RunError> {
        let failed = |source| CoreError::Write { path: path.to_owned(), source };
        let file = File::options().create(true).write(true).truncate(false).open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        if found < len {
            let message = format!("has {found} bytes, but the checkpoint to resume from recorded {len}");
            return Err(RunError::Damaged { path: path.to_owned(), message });
        }
        let mut opened = Self { path: path.to_owned(), file, len };
        opened.cut_back().map_err(failed)?;
        Ok(opened)
    }

    /// Adds `bytes`, all or none of them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        self.file.write_all(bytes).map_err(|source| {
            // Best effort, so that a later write does not follow half a record; the error is the one being returned.
            let _ = self.cut_back();
            CoreError::Write { path: self.path.clone(), source }
        })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Waits until the file is on the disk, and returns its length in bytes.
    pub(super) fn sync(&self) -> Result<u64, RunError> {
        let synced = self.file.sync_all();
        synced.map_err(|source| CoreError::Write { path: self.path.clone(), source })?;
        Ok(self.len)
    }

    fn cut_back(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_written_after_the_recorded_length_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one\ntwo\nto").unwrap();
        let mut file = AppendFile::open(&path, 4).unwrap();
        file.append(b"2\n").unwrap();
        assert_eq!((file.sync().unwrap(), fs::read_to_string(&path).unwrap().as_str()), (6, "one\n2\n"));
    }

    #[test]
    fn a_file_that_is_shorter_than_recorded_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let message = AppendFile::open(&path, 4).unwrap_err().to_string();
        assert!(message.contains("log has 0 bytes") && message.contains("recorded 4"), "{message}");
    }
}
