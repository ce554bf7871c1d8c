//! Typed access to the fields of a `config.json`; an error names file, field and what was found.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::ModelError;
use crate::strict_json::{UniqueValue, shown};

/// The object in the text of a file.
pub(crate) fn parse_object(path: &Path, json: &str) -> Result<Map<String, Value>, ModelError> {
    let failed = |message| ModelError::Config { path: path.to_owned(), message };
    match serde_json::from_str(json) {
        Ok(UniqueValue(Value::Object(object))) => Ok(object),
        Ok(_) => Err(failed("expected an object".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Typed access to the fields of an object; null counts as absent.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    /// Dotted name of the object in the file, with the dot; empty at the top.
    prefix: &'static str,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, object: &'a Map<String, Value>) -> Self {
        Self { path, prefix: "", object }
    }

    /// The fields of the object called `name` in this one.
    pub(crate) fn within(&self, name: &'static str, object: &'a Map<String, Value>) -> Self {
        Self { path: self.path, prefix: name, object }
    }

    pub(crate) fn error(&self, message: String) -> ModelError {
        let message =
            if self.prefix.is_empty() { message } else { format!("in `{}`: {message}", self.prefix) };
        ModelError::Config { path: self.path.to_owned(), message }
    }

    fn wrong(&self, name: &str, found: &Value, expected: &str) -> ModelError {
        self.error(format!("`{name}` is {}, expected {expected}", shown(&found.to_string())))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.object.keys().map(String::as_str)
    }

    /// Whether the key is there, null or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.wrong(name, value, "an object"))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, value, "a text"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, value, "true or false"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(name, value, "a number"))
    }

    pub(crate) fn required_number(&self, name: &str) -> Result<f64, ModelError> {
        self.number(name)?.ok_or_else(|| self.error(format!("`{name}` is missing")))
    }

    pub(crate) fn size(&self, name: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| self.wrong(name, value, "a whole number from 0"))
    }

    pub(crate) fn required_size(&self, name: &str) -> Result<usize, ModelError> {
        self.size(name)?.ok_or_else(|| self.error(format!("`{name}` is missing")))
    }

    /// One id or a list of ids.
    pub(crate) fn token_ids(&self, name: &str) -> Result<Option<Vec<u32>>, ModelError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value {
            Value::Array(ids) => ids.iter().map(id).collect::<Option<Vec<u32>>>(),
            one => id(one).map(|id| vec![id]),
        };
        ids.map(Some).ok_or_else(|| self.wrong(name, value, "a token id or a list of them"))
    }
}
