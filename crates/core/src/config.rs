//! Configs: a preset's TOML text, changed by `--set`, checked once.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::atomic::write_atomic;
use crate::error::CoreError;

/// Reads a config from TOML `text`, after `assignments` of the form `table.key=value`; an entry of an array is named by its
/// number, `sweeps.0.key=value`.
///
/// A value is read as TOML; what is no TOML value is taken as a string, so `schedule=cosine` works. Only keys that
/// the text already has can be set: presets spell out every field, and a misspelt key must not pass silently.
///
/// # Errors
/// [`CoreError::Override`] for an assignment that names no key of the text; [`CoreError::Config`], naming `origin`,
/// for text or values that do not make a `C`.
pub fn load_config<C: DeserializeOwned>(
    text: &str,
    origin: &Path,
    assignments: &[String],
) -> Result<C, CoreError> {
    let invalid = |message: String| CoreError::Config { path: origin.to_owned(), message };
    let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| invalid(e.to_string()))?;
    for assignment in assignments {
        set(&mut table, assignment)?;
    }
    table.try_into().map_err(|e: toml::de::Error| invalid(e.to_string().trim_end().to_owned()))
}

/// Reads a TOML file.
///
/// # Errors
/// [`CoreError::Read`] when it cannot be read, [`CoreError::Config`] when it does not make a `C`.
pub fn read_toml<C: DeserializeOwned>(path: &Path) -> Result<C, CoreError> {
    let text =
        fs::read_to_string(path).map_err(|source| CoreError::Read { path: path.to_owned(), source })?;
    load_config(&text, path, &[])
}

/// Writes a TOML file, whole or not at all.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_toml<C: Serialize>(path: &Path, config: &C) -> Result<(), CoreError> {
    let text = toml::to_string(config).expect("configs are plain data with string keys");
    write_atomic(path, text.as_bytes())
}

/// A short fingerprint (16 hexadecimal digits) of anything that serializes: equal values, equal fingerprints.
pub fn fingerprint<C: Serialize>(value: &C) -> String {
    let json = serde_json::to_string(value).expect("configs are plain data with string keys");
    let digest = Sha256::digest(json.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn set(table: &mut toml::Table, assignment: &str) -> Result<(), CoreError> {
    let refused = |message: String| CoreError::Override { assignment: assignment.to_owned(), message };
    let (path, text) = assignment
        .split_once('=')
        .ok_or_else(|| refused("expected key=value, such as finetune.batch_size=32".into()))?;
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().expect("splitting gives at least one part");
    let mut current = Container::Table(table);
    for key in keys {
        let known = current.known_keys();
        current = current
            .take(key)
            .and_then(Container::of)
            .ok_or_else(|| refused(format!("there is no table `{key}`; here are {known}")))?;
    }
    let known = current.known_keys();
    let slot =
        current.take(last).ok_or_else(|| refused(format!("there is no key `{last}`; here are {known}")))?;
    *slot = parse_value(text.trim(), slot);
    Ok(())
}

/// What an assignment reaches into.
enum Container<'a> {
    Table(&'a mut toml::Table),
    /// By place, from 0.
    Array(&'a mut Vec<toml::Value>),
}

impl<'a> Container<'a> {
    fn of(value: &'a mut toml::Value) -> Option<Self> {
        match value {
            toml::Value::Table(table) => Some(Self::Table(table)),
            toml::Value::Array(values) => Some(Self::Array(values)),
            _ => None,
        }
    }

    fn take(self, key: &str) -> Option<&'a mut toml::Value> {
        match self {
            Self::Table(table) => table.get_mut(key),
            Self::Array(values) => values.get_mut(key.parse::<usize>().ok()?),
        }
    }

    fn known_keys(&self) -> String {
        match self {
            Self::Table(table) => {
                let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
                keys.sort_unstable();
                keys.join(", ")
            }
            Self::Array(values) => format!("{} entries, by number from 0", values.len()),
        }
    }
}

/// `text` as a TOML value; a bare word is a string, and `1` given for a float is a float.
fn parse_value(text: &str, old: &toml::Value) -> toml::Value {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("value"));
    match parsed {
        Some(toml::Value::Integer(integer)) if old.is_float() => toml::Value::Float(integer as f64),
        Some(value) => value,
        None => toml::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        optimizer: Optimizer,
    }

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Optimizer {
        learning_rates: Vec<f64>,
        epsilon: f64,
    }

    const TEXT: &str = "name = \"a\"\n[optimizer]\nlearning_rates = [1e-3]\nepsilon = 1e-8\n";

    fn load(assignments: &[&str]) -> Result<Config, CoreError> {
        let assignments: Vec<String> = assignments.iter().map(|&a| a.to_owned()).collect();
        load_config(TEXT, Path::new("quick.toml"), &assignments)
    }

    #[test]
    fn assignments_reach_into_tables() {
        let config =
            load(&["name=cosine", "optimizer.learning_rates=[1e-4, 1e-5]", "optimizer.epsilon=1"]).unwrap();
        assert_eq!(config.name, "cosine");
        assert_eq!(config.optimizer, Optimizer { learning_rates: vec![1e-4, 1e-5], epsilon: 1.0 });
    }

    #[test]
    fn assignments_reach_into_arrays_by_number() {
        let config = load(&["optimizer.learning_rates.0=1e-4"]).unwrap();
        assert_eq!(config.optimizer.learning_rates, [1e-4]);
        let error = load(&["optimizer.learning_rates.1=1e-4"]).unwrap_err().to_string();
        assert!(error.contains("1 entries, by number from 0"), "{error}");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_keys_there_are() {
        let error = load(&["optimizer.epsilom=1"]).unwrap_err().to_string();
        assert!(error.contains("`epsilom`") && error.contains("epsilon, learning_rates"), "{error}");
        assert!(load(&["optimiser.epsilon=1"]).unwrap_err().to_string().contains("name, optimizer"));
        assert!(load(&["epsilon"]).unwrap_err().to_string().contains("key=value"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_name() {
        let error = load(&["optimizer.epsilon=small"]).unwrap_err().to_string();
        assert!(error.contains("quick.toml") && error.contains("epsilon"), "{error}");
    }

    #[test]
    fn fingerprints_tell_configs_apart() {
        let (a, b) = (load(&[]).unwrap(), load(&["optimizer.epsilon=1e-4"]).unwrap());
        assert_eq!(fingerprint(&a), fingerprint(&load(&[]).unwrap()));
        assert_ne!(fingerprint(&a), fingerprint(&b));
        assert_eq!(fingerprint(&a).len(), 16);
    }
}
