//! One file of a data set that has no loader of its own here.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::error::{DataError, Looked};
use crate::manifest::Manifest;
use crate::sources::{GivenBy, Sources};
use crate::task::{read_text, records};
use crate::unpack::sha256_hex;

/// A file, found, unpacked and read.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Where it was found.
    pub path: PathBuf,
    /// SHA-256 of the unpacked bytes, in hexadecimal.
    pub sha256: String,
    /// What it holds.
    pub text: String,
}

impl DataFile {
    /// Finds `name`, such as `mmlu/test.jsonl`, with or without `.gz`: in `--data` alone, or in `$RAZOR_DATA` and then
    /// `datasets/raw`. Never downloads.
    ///
    /// # Errors
    /// [`DataError::FileNotFound`] with the places; [`DataError::DataFolder`] when a named place is not a folder; the
    /// errors of reading and unpacking.
    pub fn load(name: &str, sources: &Sources) -> Result<Self, DataError> {
        let mut looked = Vec::new();
        for place in &sources.places {
            let given_by = place.given_by.name();
            if place.given_by != GivenBy::Default && !place.path.is_dir() {
                return Err(DataError::DataFolder {
                    path: place.path.clone(),
                    given_by,
                    name: name.to_owned(),
                });
            }
            let candidates = [place.path.join(name), place.path.join(format!("{name}.gz"))];
            if let Some(path) = candidates.into_iter().find(|path| path.is_file()) {
                let text = read_text(&path)?;
                return Ok(Self { sha256: sha256_hex(text.as_bytes()), path, text });
            }
            let outcome =
                if place.path.is_dir() { format!("no {name} (or .gz)") } else { "no such folder".to_owned() };
            looked.push(Looked { place: format!("{} ({given_by})", place.path.display()), outcome });
        }
        Err(DataError::FileNotFound { name: name.to_owned(), looked })
    }

    /// Whether its bytes are those of `datasets/manifest.toml`; `None` where the manifest lists no file of its name.
    pub fn matches_manifest(&self) -> Option<bool> {
        let name = self.path.with_extension("");
        let is_packed = self.path.extension().is_some_and(|extension| extension == "gz");
        let name = if is_packed { &name } else { &self.path };
        let manifest = Manifest::embedded();
        let of_tasks = manifest.tasks.iter().flat_map(|entry| &entry.files);
        let mut listed = of_tasks.chain(manifest.benchmarks.iter().flat_map(|entry| &entry.files));
        listed.find(|file| name.ends_with(&file.name)).map(|file| file.sha256 == self.sha256)
    }

    /// The records of a JSON array or of JSON lines; at least one.
    ///
    /// # Errors
    /// [`DataError::NotJson`] or [`DataError::Record`] with file and line.
    pub fn records<R: DeserializeOwned>(&self) -> Result<Vec<R>, DataError> {
        let parse = |line: usize, value| {
            let refused = |error: serde_json::Error| self.refuse(line, error.to_string());
            serde_json::from_value(value).map_err(refused)
        };
        records(&self.path, &self.text)?.into_iter().map(|record| parse(record.line, record.value)).collect()
    }

    /// An error about a line, counted from 1.
    pub fn refuse(&self, line: usize, reason: String) -> DataError {
        DataError::Record { path: self.path.clone(), line, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        a: u32,
    }

    #[test]
    fn a_file_is_found_packed_or_not_and_damage_is_named_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources::new(Some(dir.path().to_owned()));
        let message = DataFile::load("set/test.jsonl", &sources).unwrap_err().to_string();
        assert!(message.contains("set/test.jsonl was not found") && message.contains("--data"), "{message}");
        std::fs::create_dir(dir.path().join("set")).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"a\": 1}\n\n{\"a\": \"x\"}\n").unwrap();
        std::fs::write(dir.path().join("set/test.jsonl.gz"), encoder.finish().unwrap()).unwrap();
        let file = DataFile::load("set/test.jsonl", &sources).unwrap();
        let message = file.records::<Row>().unwrap_err().to_string();
        assert!(message.contains("test.jsonl.gz:3: invalid type"), "{message}");
        std::fs::write(dir.path().join("set/test.jsonl"), "[{\"a\": 7}]").unwrap();
        let rows = DataFile::load("set/test.jsonl", &sources).unwrap().records::<Row>().unwrap();
        assert_eq!(rows[0].a, 7, "a file that is not packed comes first");
    }
}
