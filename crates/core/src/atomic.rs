//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CoreError;

/// Writes `bytes` to `path` through a temporary sibling that is synced and renamed.
///
/// A reader sees the old file or the new one, never a part. Missing parent folders are made.
///
/// # Errors
/// [`CoreError::Write`] when a folder or file cannot be made, written, synced or renamed; the temporary sibling is
/// removed and a file that was at `path` before is untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), CoreError> {
    let failed = |source| CoreError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let partial = partial_sibling(path);
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // Best effort: the error that matters is the one being returned.
        let _ = fs::remove_file(&partial);
        failed(source)
    })
}

/// Writes `records` as JSON lines, whole or not at all.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json_lines<R: Serialize>(path: &Path, records: &[R]) -> Result<(), CoreError> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(record).expect("records are plain data with string keys"));
        text.push('\n');
    }
    write_atomic(path, text.as_bytes())
}

/// Writes one record as indented JSON, whole or not at all.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json<R: Serialize>(path: &Path, record: &R) -> Result<(), CoreError> {
    let mut text = serde_json::to_string_pretty(record).expect("records are plain data with string keys");
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// Reads JSON lines.
///
/// # Errors
/// [`CoreError::Read`] when the file cannot be read, [`CoreError::Record`] with the line that is not a record.
pub fn read_json_lines<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>, CoreError> {
    let failed = |source| CoreError::Read { path: path.to_owned(), source };
    let lines = BufReader::new(File::open(path).map_err(failed)?).lines();
    lines
        .enumerate()
        .map(|(line_idx, line)| {
            serde_json::from_str(&line.map_err(failed)?).map_err(|source| CoreError::Record {
                path: path.to_owned(),
                line: line_idx + 1,
                source,
            })
        })
        .collect()
}

fn partial_sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("folder");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("inside"), "old").unwrap();
        // A folder with content cannot be replaced by a file, so the rename fails.
        let error = write_atomic(&target, b"new").unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
        assert_eq!(fs::read_to_string(target.join("inside")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary sibling is gone");
    }

    #[test]
    fn json_lines_read_back_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/records.jsonl");
        let records = vec![vec![0.1_f64, 1e-300, f64::MIN_POSITIVE], vec![2.0 / 3.0]];
        write_json_lines(&path, &records).unwrap();
        assert_eq!(read_json_lines::<Vec<f64>>(&path).unwrap(), records);
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        fs::write(&path, "[1.0]\n[1.0\n").unwrap();
        let error = read_json_lines::<Vec<f64>>(&path).unwrap_err();
        assert!(error.to_string().contains("records.jsonl:2"), "{error}");
    }
}
