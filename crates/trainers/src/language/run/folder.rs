//! The folder of one run: who may write it, what it was started with, and whether it is finished.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use razor_core::{CoreError, fingerprint, read_toml, write_json, write_toml};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::language::run::checkpoint::clear_checkpoint_leftovers;
use crate::language::run::error::RunError;
use crate::language::run::log::RunLogs;

const CONFIG: &str = "config.toml";
const ENV: &str = "env.toml";
const DONE: &str = "done";
const LOCK: &str = "lock";
const CHECKPOINTS: &str = "checkpoints";

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// The folder of a run that this process alone writes, until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    config_hash: String,
    /// The lock belongs to the open file: it ends with the process, however that ends.
    _lock: File,
}

impl RunFolder {
    /// Whether [`create`](Self::create), or with `resume` [`open_for_resume`](Self::open_for_resume), would refuse the
    /// folder: for callers with long work before them. Nothing is touched.
    ///
    /// # Errors
    /// As those two, but for [`RunError::Locked`].
    pub fn check(path: &Path, config: &impl Serialize, resume: bool) -> Result<(), RunError> {
        let config = table(config, &path.join(CONFIG))?;
        if resume { refuse_to_resume(path, &config) } else { refuse_content(path, &config) }
    }

    /// Starts a run: makes the folder, writes `env.toml` and then `config.toml`.
    ///
    /// - `config`: resolved, as it will be compared on resume
    /// - `env`: facts about machine and build that need not be the same on resume
    ///
    /// # Errors
    /// [`RunError::Occupied`], [`RunError::Unfinished`], [`RunError::Finished`] or [`RunError::OtherConfig`] for what is
    /// in the folder already, which is left as it is; [`RunError::Locked`] when another process is at work in it;
    /// [`RunError::Toml`] when TOML cannot hold a value; [`RunError::Core`] when something cannot be read or written.
    pub fn create(path: &Path, config: &impl Serialize, env: &impl Serialize) -> Result<Self, RunError> {
        let config_table = table(config, &path.join(CONFIG))?;
        let env_table = table(env, &path.join(ENV))?;
        // Before the lock: nothing is put into somebody else's folder. After it: another process may have been quicker.
        refuse_content(path, &config_table)?;
        let unmade = |path: PathBuf| |source| CoreError::Write { path, source };
        fs::create_dir_all(path).map_err(unmade(path.to_owned()))?;
        let lock = lock(path)?;
        refuse_content(path, &config_table)?;
        write_toml(&path.join(ENV), &env_table)?;
        write_toml(&path.join(CONFIG), &config_table)?;
        let run = Self { path: path.to_owned(), config_hash: fingerprint(config), _lock: lock };
        fs::create_dir_all(run.checkpoints()).map_err(unmade(run.checkpoints()))?;
        Ok(run)
    }

    /// Takes up a run that was interrupted, and removes what interrupted writes left in it.
    ///
    /// # Errors
    /// [`RunError::NoRun`] without a `config.toml`, [`RunError::OtherConfig`] with the first field that differs,
    /// [`RunError::Finished`] with a `done`, [`RunError::Locked`] when another process is at work in it.
    pub fn open_for_resume(path: &Path, config: &impl Serialize) -> Result<Self, RunError> {
        let given = table(config, &path.join(CONFIG))?;
        // As in `create`: nothing is put into a folder without a run, and another process may have been quicker.
        refuse_to_resume(path, &given)?;
        let lock = lock(path)?;
        refuse_to_resume(path, &given)?;
        let run = Self { path: path.to_owned(), config_hash: fingerprint(config), _lock: lock };
        run.clear_leftovers()?;
        Ok(run)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fingerprint of the config, as of [`razor_core::fingerprint`].
    pub fn config_hash(&self) -> &str {
        &self.config_hash
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Ends the run: once the logs are on the disk, `result` is written to `done`.
    ///
    /// # Errors
    /// [`RunError::Core`] when something cannot be written; the run then is not finished.
    pub fn finish(self, logs: RunLogs, result: &impl Serialize) -> Result<(), RunError> {
        logs.offsets()?;
        drop(logs);
        Ok(write_json(&self.path.join(DONE), result)?)
    }

    /// What [`RunFolder::finish`] left in `path`; `None` when there is no finished run.
    ///
    /// # Errors
    /// [`RunError::Core`] when it cannot be read, [`RunError::Damaged`] when it is no `R`.
    pub fn result<R: DeserializeOwned>(path: &Path) -> Result<Option<R>, RunError> {
        let path = path.join(DONE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CoreError::Read { path, source }.into()),
        };
        let result = serde_json::from_str(&text);
        result.map(Some).map_err(|error| RunError::Damaged { path, message: format!("is damaged: {error}") })
    }

    fn clear_leftovers(&self) -> Result<(), RunError> {
        for name in names_in(&self.path)?.into_iter().filter(|name| is_partial(name)) {
            let path = self.path.join(name);
            fs::remove_file(&path).map_err(|source| RunError::Remove { path, source })?;
        }
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints)
            .map_err(|source| CoreError::Write { path: checkpoints.clone(), source })?;
        clear_checkpoint_leftovers(&checkpoints)
    }
}

/// Names of what is in a folder, sorted; none when there is no folder.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, RunError> {
    let unread = |source| CoreError::Read { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unread(source).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(unread)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn lock(folder: &Path) -> Result<File, RunError> {
    let path = folder.join(LOCK);
    // Nothing is ever written to it; truncation would be harmless but is not needed.
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    let file = file.map_err(|source| CoreError::Write { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(RunError::NoLock { path, source }),
    }
}

fn refuse_content(path: &Path, config: &Table) -> Result<(), RunError> {
    let names = names_in(path)?;
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    if has(CONFIG) {
        refuse_other_config(path, config)?;
        let path = path.to_owned();
        return Err(if has(DONE) { RunError::Finished { path } } else { RunError::Unfinished { path } });
    }
    // A run that was killed before it had its config has not begun.
    let is_beginning = |name: &str| {
        has(LOCK) && (name == LOCK || name == ENV || is_partial(name) && !name.starts_with(DONE))
    };
    let found: Vec<String> = names.iter().filter(|name| !is_beginning(name)).cloned().collect();
    if found.is_empty() { Ok(()) } else { Err(RunError::Occupied { path: path.to_owned(), found }) }
}

fn refuse_to_resume(path: &Path, config: &Table) -> Result<(), RunError> {
    if !path.join(CONFIG).is_file() {
        return Err(RunError::NoRun { path: path.to_owned() });
    }
    refuse_other_config(path, config)?;
    if path.join(DONE).is_file() {
        return Err(RunError::Finished { path: path.to_owned() });
    }
    Ok(())
}

/// Whether a write of one of our files that was interrupted left this.
fn is_partial(name: &str) -> bool {
    let of_ours = [CONFIG, ENV, DONE].iter().any(|ours| name.starts_with(&format!("{ours}.")));
    of_ours && name.ends_with(".partial")
}

fn table(value: &impl Serialize, path: &Path) -> Result<Table, RunError> {
    Table::try_from(value)
        .map_err(|error| RunError::Toml { path: path.to_owned(), message: error.to_string() })
}

fn refuse_other_config(path: &Path, given: &Table) -> Result<(), RunError> {
    let found: Table = read_toml(&path.join(CONFIG))?;
    match first_difference(&found, given) {
        None => Ok(()),
        Some(Difference { field, found, given }) => {
            Err(RunError::OtherConfig { path: path.to_owned(), field, found, given })
        }
    }
}

struct Difference {
    /// As `--set` names it.
    field: String,
    found: String,
    given: String,
}

fn first_difference(found: &Table, given: &Table) -> Option<Difference> {
    let only_found = found.keys().filter(|key| !given.contains_key(*key));
    given.keys().chain(only_found).find_map(|key| match (found.get(key), given.get(key)) {
        (Some(Value::Table(found)), Some(Value::Table(given))) => first_difference(found, given)
            .map(|inner| Difference { field: format!("{key}.{}", inner.field), ..inner }),
        (found, given) if same(found, given) => None,
        (found, given) => Some(Difference { field: key.clone(), found: shown(found), given: shown(given) }),
    })
}

/// Equality under which a NaN equals itself.
fn same(found: Option<&Value>, given: Option<&Value>) -> bool {
    match (found, given) {
        (Some(Value::Float(found)), Some(Value::Float(given))) => found.to_bits() == given.to_bits(),
        _ => found == given,
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "absent".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::language::run::log::LogOffsets;

    fn config(learning_rate: f64) -> serde_json::Value {
        json!({"name": "sft", "optimizer": {"learning_rate": learning_rate, "betas": [0.9, 0.999]}})
    }

    fn create(path: &Path, learning_rate: f64) -> Result<RunFolder, RunError> {
        RunFolder::create(path, &config(learning_rate), &json!({"backend": "flex"}))
    }

    fn refusal<T>(outcome: Result<T, RunError>) -> String {
        outcome.err().expect("it is refused").to_string()
    }

    #[test]
    fn a_new_run_has_its_config_and_is_resumed_with_the_same_one() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("deep/run");
        let run = create(&path, 1e-5).unwrap();
        assert_eq!(run.config_hash(), fingerprint(&config(1e-5)));
        drop(run);
        assert_eq!(names_in(&path).unwrap(), [CHECKPOINTS, CONFIG, ENV, LOCK]);
        fs::write(path.join("done.12.partial"), "{").unwrap();
        fs::write(path.join("notes.partial"), "mine").unwrap();
        RunFolder::open_for_resume(&path, &config(1e-5)).unwrap();
        assert!(!path.join("done.12.partial").exists() && path.join("notes.partial").exists());
    }

    #[test]
    fn a_folder_with_other_content_is_refused_and_left_alone() {
        let dir = TempDir::new().unwrap();
        for name in ["thesis.tex", "a", "b", "c", "d", "e"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let message = refusal(create(dir.path(), 1e-5));
        assert!(message.contains("(a, b, c, d, e and 1 more)") && message.contains("--out"), "{message}");
        assert!(!dir.path().join(LOCK).exists());
        let message = refusal(RunFolder::open_for_resume(dir.path(), &config(1e-5)));
        assert!(message.contains("no config.toml") && message.contains("without --resume"), "{message}");
    }

    #[test]
    fn what_a_run_is_refused_for_says_what_to_do() {
        let dir = TempDir::new().unwrap();
        let run = create(dir.path(), 1e-5).unwrap();
        assert!(refusal(create(dir.path(), 1e-5)).contains("continue it with --resume"));
        let other = "`optimizer.learning_rate` is 0.00001 there and 0.0001 here";
        for message in [
            refusal(create(dir.path(), 1e-4)),
            refusal(RunFolder::open_for_resume(dir.path(), &config(1e-4))),
        ] {
            assert!(message.replace("1e-5", "0.00001").contains(other), "{message}");
        }
        let logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
        run.finish(logs, &json!({"reward": 0.5})).unwrap();
        assert!(refusal(create(dir.path(), 1e-5)).contains("finished; choose another --out"));
        assert!(refusal(RunFolder::open_for_resume(dir.path(), &config(1e-5))).contains("finished"));
        for resume in [false, true] {
            assert!(refusal(RunFolder::check(dir.path(), &config(1e-5), resume)).contains("finished"));
        }
        let result: Option<serde_json::Value> = RunFolder::result(dir.path()).unwrap();
        assert_eq!(result, Some(json!({"reward": 0.5})));
    }

    #[test]
    fn the_first_difference_is_found_in_tables_arrays_and_absent_fields() {
        let difference = |found: &str, given: &str| {
            let [found, given] = [found, given].map(|text| text.parse::<Table>().unwrap());
            first_difference(&found, &given).map(|d| format!("{} {} {}", d.field, d.found, d.given))
        };
        assert_eq!(difference("a = nan\nb = [1, 2]", "b = [1, 2]\na = nan"), None);
        assert_eq!(difference("[a]\nb = [1]", "[a]\nb = [2]").unwrap(), "a.b [1] [2]");
        assert_eq!(difference("a = 1", "").unwrap(), "a 1 absent");
        assert_eq!(difference("a = 1", "a = 1\nc = \"x\"").unwrap(), "c absent \"x\"");
        assert_eq!(difference("a = 1", "a = 1.0").unwrap(), "a 1 1.0", "types count");
        let long = difference(&format!("a = \"{}\"", "é".repeat(200)), "a = 1").unwrap();
        assert!(long.contains("...") && long.len() < 200, "{long}");
    }

    #[test]
    fn one_process_at_a_time_writes_a_run_and_a_dead_one_leaves_no_lock() {
        let dir = TempDir::new().unwrap();
        let run = create(dir.path(), 1e-5).unwrap();
        let message = refusal(RunFolder::open_for_resume(dir.path(), &config(1e-5)));
        assert!(message.contains("another process"), "{message}");
        drop(run); // the file stays, the lock does not
        assert!(dir.path().join(LOCK).is_file());
        RunFolder::open_for_resume(dir.path(), &config(1e-5)).unwrap();
    }

    #[test]
    fn a_run_that_was_killed_before_it_had_its_config_starts_anew() {
        let dir = TempDir::new().unwrap();
        for name in [LOCK, ENV, "config.toml.77.partial"] {
            fs::write(dir.path().join(name), "torn = ").unwrap();
        }
        create(dir.path(), 1e-5).unwrap();
        assert!(fs::read_to_string(dir.path().join(ENV)).unwrap().contains("flex"));
    }

    #[test]
    fn what_toml_cannot_hold_is_an_error() {
        let dir = TempDir::new().unwrap();
        let outcome = RunFolder::create(&dir.path().join("run"), &json!({"seed": u64::MAX}), &json!({}));
        assert!(refusal(outcome).contains("config.toml cannot be written as TOML"));
        assert_eq!(names_in(dir.path()).unwrap(), [""; 0]);
    }
}
