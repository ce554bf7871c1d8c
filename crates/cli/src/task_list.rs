//! The tasks for language models in `razor data list` and `razor data verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use razor_data::{DataError, Manifest, Sources, TaskEntry, TaskFile, TaskId, load_task_from};
use serde_json::{Value, json};

/// Longest licence that is shown in the table.
const LICENCE: usize = 32;

/// What there is of one task.
pub(crate) struct TaskState {
    entry: &'static TaskEntry,
    /// Parts of the task whose files are here, of how many.
    found: Vec<String>,
    n_subsets: usize,
    /// Their files, by path.
    files: BTreeMap<PathBuf, TaskFile>,
    /// Why a part that is here cannot be read.
    errors: Vec<DataError>,
}

impl TaskState {
    /// Looks for every task of the manifest. Reads all files that are here.
    pub(crate) fn of_all(sources: &Sources) -> Vec<Self> {
        Manifest::embedded().tasks.iter().map(|entry| Self::of(entry, sources)).collect()
    }

    fn of(entry: &'static TaskEntry, sources: &Sources) -> Self {
        let subsets = entry.id.subsets();
        let (mut found, mut files, mut errors) = (Vec::new(), BTreeMap::new(), Vec::new());
        for subset in &subsets {
            match load_task_from(entry.id, Some(subset), sources) {
                Ok(data) => {
                    found.push(subset.clone());
                    files.extend(data.provenance.into_iter().map(|file| (file.path.clone(), file)));
                }
                Err(DataError::TaskNotFound { .. }) => {}
                Err(error @ DataError::TaskFolder { .. }) => {
                    errors.push(error); // it is the same for every subset
                    break;
                }
                Err(error) => errors.push(error),
            }
        }
        Self { entry, found, n_subsets: subsets.len(), files, errors }
    }

    /// Whether nothing that is here is damaged.
    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    fn name(&self) -> &'static str {
        match (self.errors.is_empty(), self.found.len()) {
            (false, _) => "WRONG",
            (true, 0) => "missing",
            (true, n) if n == self.n_subsets => "ok",
            (true, _) => "part",
        }
    }

    fn subsets_text(&self) -> String {
        match self.found.as_slice() {
            [] => format!("none of {}", self.n_subsets),
            found if found.len() == self.n_subsets => "all".to_owned(),
            found => found.join(", "),
        }
    }

    /// As JSON, with the sums of the files.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "name": self.entry.id,
            "state": self.name().to_lowercase(),
            "title": self.entry.title,
            "source": self.entry.source,
            "licence": self.entry.licence,
            "subsets": self.found,
            "files": self.files.values().collect::<Vec<_>>(),
            "errors": self.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

/// One line a task.
pub(crate) fn table(states: &[TaskState]) -> String {
    let licence = |state: &TaskState| -> String {
        let mut characters = state.entry.licence.chars();
        let start: String = characters.by_ref().take(LICENCE).collect();
        if characters.next().is_some() { start.trim_end().to_owned() + "..." } else { start }
    };
    let width = states.iter().map(|state| licence(state).chars().count()).max().unwrap_or(0);
    let row = |name: &str, state: &str, licence: &str, subsets: &str| {
        format!("{name:<18} {state:<8} {licence:<width$} {subsets}\n")
    };
    let mut text = row("task", "state", "licence", "subsets here");
    for state in states {
        text.push_str(&row(state.entry.id.name(), state.name(), &licence(state), &state.subsets_text()));
    }
    for task in TaskId::GENERATED {
        text.push_str(&row(task.name(), "ok", "", "all, generated: no file is needed"));
    }
    text
}

/// Every file of the tasks that are here, with what its sum says.
pub(crate) fn verify_text(states: &[TaskState]) -> String {
    let mut text = String::new();
    for state in states.iter().filter(|state| !state.files.is_empty() || !state.errors.is_empty()) {
        text.push_str(&format!("{}: {} of {} subsets\n", state.entry.id, state.found.len(), state.n_subsets));
        for file in state.files.values() {
            let label = match file.matches_manifest {
                Some(true) => "ok     ",
                Some(false) => "other  ",
                None => "unknown",
            };
            text.push_str(&format!("  {label}  {}  {} bytes\n", file.path.display(), file.bytes));
        }
        for error in &state.errors {
            text.push_str(&format!("  WRONG    {error}\n"));
        }
    }
    if text.contains("\n  other  ") {
        text.push_str("`other`: readable, but not the bytes of the manifest; results may differ\n");
    }
    text
}
