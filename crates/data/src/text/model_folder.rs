//! JSON files of a model folder, some of which may be absent.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::DataError;

/// One parsed file with an object at its top; absent files read as empty ones.
#[derive(Debug)]
pub(crate) struct JsonFile {
    pub(crate) path: PathBuf,
    pub(crate) exists: bool,
    pub(crate) fields: Map<String, Value>,
}

impl JsonFile {
    /// Reads `folder/name`.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, DataError> {
        let path = folder.join(name);
        let Some(bytes) = read_if_there(&path)? else {
            return Ok(Self { path, exists: false, fields: Map::new() });
        };
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self { path, exists: true, fields }),
            Ok(other) => Err(DataError::JsonField {
                path,
                field: "(top)".to_owned(),
                expected: "an object",
                found: describe(&other),
            }),
            Err(source) => Err(DataError::Json { path, source }),
        }
    }

    /// The field, if it is there and not null.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// Says that `field` holds something else than expected.
    pub(crate) fn wrong(&self, field: &str, expected: &'static str, found: &Value) -> DataError {
        DataError::JsonField {
            path: self.path.clone(),
            field: field.to_owned(),
            expected,
            found: describe(found),
        }
    }
}

/// The bytes of a file, or nothing if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataError::Read { path: path.to_owned(), source }),
    }
}

/// A JSON value in at most about 60 characters, for an error.
pub(crate) fn describe(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
