//! The data of benchmarks in `razor data list` and `razor data verify`.

use razor_data::{BenchmarkEntry, DataError, DataFile, Manifest, Sources};
use serde_json::{Value, json};

/// What there is of one benchmark.
pub(crate) struct BenchmarkState {
    entry: &'static BenchmarkEntry,
    /// Each file of the manifest with what was found.
    files: Vec<(&'static str, FileState)>,
}

enum FileState {
    Missing,
    Found { place: String, matches_manifest: bool },
    Refused(DataError),
}

impl BenchmarkState {
    /// Looks for every benchmark of the manifest. Reads all files that are here.
    pub(crate) fn of_all(sources: &Sources) -> Vec<Self> {
        let file = |name: &'static str| {
            let state = match DataFile::load(name, sources) {
                Ok(file) => FileState::Found {
                    place: file.path.display().to_string(),
                    matches_manifest: file.matches_manifest() == Some(true),
                },
                Err(DataError::FileNotFound { .. }) => FileState::Missing,
                Err(error) => FileState::Refused(error),
            };
            (name, state)
        };
        let of = |entry: &'static BenchmarkEntry| Self {
            entry,
            files: entry.files.iter().map(|listed| file(listed.name.as_str())).collect(),
        };
        Manifest::embedded().benchmarks.iter().map(of).collect()
    }

    /// Whether nothing that is here is damaged.
    pub(crate) fn is_sound(&self) -> bool {
        !self.files.iter().any(|(_, state)| matches!(state, FileState::Refused(_)))
    }

    fn name(&self) -> &'static str {
        let count = |is_wanted: fn(&FileState) -> bool| {
            self.files.iter().filter(|(_, state)| is_wanted(state)).count()
        };
        let n_missing = count(|state| matches!(state, FileState::Missing));
        let n_other = count(|state| matches!(state, FileState::Found { matches_manifest: false, .. }));
        match (self.is_sound(), n_missing, n_other) {
            (false, ..) => "WRONG",
            (true, n, _) if n == self.files.len() => "missing",
            (true, 0, 0) => "ok",
            (true, 0, _) => "other",
            (true, ..) => "part",
        }
    }

    /// As JSON, a file each.
    pub(crate) fn to_json(&self) -> Value {
        let file = |(name, state): &(&str, FileState)| match state {
            FileState::Missing => json!({"name": name, "state": "missing"}),
            FileState::Found { place, matches_manifest } => {
                json!({"name": name, "path": place, "matches_manifest": matches_manifest})
            }
            FileState::Refused(error) => json!({"name": name, "error": error.to_string()}),
        };
        json!({
            "name": self.entry.id,
            "benchmark": true,
            "state": self.name().to_lowercase(),
            "title": self.entry.title,
            "source": self.entry.source,
            "licence": self.entry.licence,
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
        })
    }
}

/// One line a benchmark.
pub(crate) fn table(states: &[BenchmarkState]) -> String {
    let width = states.iter().map(|state| state.entry.licence.chars().count()).max().unwrap_or(0);
    let mut text = format!("{:<18} {:<8} {:<width$} {}\n", "benchmark", "state", "licence", "what it is");
    for state in states {
        let entry = state.entry;
        text.push_str(&format!(
            "{:<18} {:<8} {:<width$} {}\n",
            entry.id,
            state.name(),
            entry.licence,
            entry.about
        ));
    }
    text
}

/// Every file of the benchmarks that are here, with what its sum says.
pub(crate) fn verify_text(states: &[BenchmarkState]) -> String {
    let mut text = String::new();
    for state in states.iter().filter(|state| state.name() != "missing") {
        text.push_str(&format!("{}: {}\n", state.entry.id, state.entry.title));
        for (name, file) in &state.files {
            text.push_str(&match file {
                FileState::Missing => format!("  missing  {name}\n"),
                FileState::Found { place, matches_manifest: true } => format!("  ok       {place}\n"),
                FileState::Found { place, matches_manifest: false } => {
                    format!("  other    {place}: not the bytes of the manifest; results may differ\n")
                }
                FileState::Refused(error) => format!("  WRONG    {error}\n"),
            });
        }
    }
    text
}
