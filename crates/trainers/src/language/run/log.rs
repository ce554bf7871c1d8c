//! The logs of a run: JSON lines, and the same numbers for TensorBoard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::language::run::append_file::AppendFile;
use crate::language::run::error::RunError;
use crate::language::run::folder::RunFolder;
use crate::language::run::metrics::StepRecord;
use crate::language::run::tensorboard::EventLog;

/// A log with one JSON record a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// `steps.jsonl`: training as it went.
    Steps,
    /// `kl.jsonl`: divergences between policy and reference.
    Kl,
    /// `evals.jsonl`: measurements of the policy.
    Evals,
    /// `completions.jsonl`: what the policy wrote.
    Completions,
}

impl LogKind {
    /// Every log, in the order of the variants.
    pub const ALL: [Self; 4] = [Self::Steps, Self::Kl, Self::Evals, Self::Completions];

    /// Name in the run folder.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Steps => "steps.jsonl",
            Self::Kl => "kl.jsonl",
            Self::Evals => "evals.jsonl",
            Self::Completions => "completions.jsonl",
        }
    }
}

/// How long each log was at some moment, in bytes, by its path in the run folder. Kept in a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogOffsets(pub(super) BTreeMap<String, u64>);

impl LogOffsets {
    /// Bytes of the log at `path`, relative to the run folder; 0 when it was not there.
    pub fn of(&self, path: &str) -> u64 {
        self.0.get(path).copied().unwrap_or(0)
    }
}

/// The open logs of a run.
#[derive(Debug)]
pub struct RunLogs {
    /// In the order of [`LogKind::ALL`].
    files: [AppendFile; 4],
    events: EventLog,
}

impl RunLogs {
    /// Opens the logs of `run` and cuts each back to its length in `offsets`, the empty one for a run that starts.
    ///
    /// What was logged after the checkpoint to resume from, a torn last line too, is gone afterwards.
    ///
    /// # Errors
    /// [`RunError::Damaged`] when a log is shorter than recorded, [`RunError::Core`] when one cannot be read or written.
    pub fn open(run: &RunFolder, offsets: &LogOffsets) -> Result<Self, RunError> {
        let [steps, kl, evals, completions] = LogKind::ALL.map(|kind| {
            let name = kind.file_name();
            AppendFile::open(&run.path().join(name), offsets.of(name))
        });
        let files = [steps?, kl?, evals?, completions?];
        Ok(Self { files, events: EventLog::open(run.path(), offsets)? })
    }

    /// Adds one line; it is in the file when this returns.
    ///
    /// # Errors
    /// [`RunError::Core`] naming the file when it cannot be written; the lines before stay whole.
    pub fn append(&mut self, kind: LogKind, record: &impl Serialize) -> Result<(), RunError> {
        let mut line = serde_json::to_string(record).expect("records are plain data with string keys");
        line.push('\n');
        self.files[kind as usize].append(line.as_bytes())
    }

    /// Adds a step to `steps.jsonl` and to the event file; there a wall-clock quantity has the tag `timing/NAME`.
    ///
    /// # Errors
    /// As [`RunLogs::append`].
    pub fn append_step(&mut self, record: &StepRecord) -> Result<(), RunError> {
        self.append(LogKind::Steps, record)?;
        self.append_scalars(record.step(), &record.scalars())
    }

    /// Adds numbers to the event file alone, such as those of an evaluation whose record went to another log.
    ///
    /// # Errors
    /// As [`RunLogs::append`].
    pub fn append_scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<(), RunError> {
        self.events.append(step, scalars)
    }

    /// Waits until all logs are on the disk and returns their lengths, for a checkpoint.
    ///
    /// # Errors
    /// [`RunError::Core`] naming the file that cannot be written.
    pub fn offsets(&self) -> Result<LogOffsets, RunError> {
        let mut offsets = self.events.offsets()?;
        for (kind, file) in LogKind::ALL.into_iter().zip(&self.files) {
            offsets.insert(kind.file_name().to_owned(), file.sync()?);
        }
        Ok(LogOffsets(offsets))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn names(dir: &TempDir) -> Vec<String> {
        crate::language::run::folder::names_in(&dir.path().join("tensorboard")).unwrap()
    }

    fn step(step: u64) -> StepRecord {
        StepRecord::new(step).with("loss", 1.0 / step as f64)
    }

    #[test]
    fn a_resumed_run_has_the_logs_of_one_that_was_never_stopped() {
        let dir = TempDir::new().unwrap();
        let run = RunFolder::create(dir.path(), &json!({}), &json!({})).unwrap();
        let mut logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
        logs.append_step(&step(1)).unwrap();
        logs.append(LogKind::Evals, &json!({"step": 1})).unwrap();
        let at_checkpoint = logs.offsets().unwrap();
        for late in 2..5 {
            logs.append_step(&step(late)).unwrap();
            logs.append(LogKind::Completions, &json!({"text": "é"})).unwrap();
        }
        drop((logs, run));
        // The kill came in the middle of a line and of an event.
        for name in ["steps.jsonl", "tensorboard/events.out.tfevents.0000.razor"] {
            let mut file = File::options().append(true).open(dir.path().join(name)).unwrap();
            file.write_all(b"{\"step\": 5, \"lo").unwrap();
        }

        let at_checkpoint: LogOffsets =
            serde_json::from_str(&serde_json::to_string(&at_checkpoint).unwrap()).unwrap();
        let run = RunFolder::open_for_resume(dir.path(), &json!({})).unwrap();
        let mut logs = RunLogs::open(&run, &at_checkpoint).unwrap();
        logs.append_step(&step(2)).unwrap();
        let text = fs::read_to_string(dir.path().join("steps.jsonl")).unwrap();
        assert_eq!(text, "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"loss\":0.5}\n");
        assert_eq!(fs::read_to_string(dir.path().join("evals.jsonl")).unwrap(), "{\"step\":1}\n");
        assert_eq!(fs::read_to_string(dir.path().join("completions.jsonl")).unwrap(), "");
        assert_eq!(names(&dir), ["events.out.tfevents.0000.razor", "events.out.tfevents.0001.razor"]);
        let offsets = logs.offsets().unwrap();
        assert_eq!(
            offsets.of("tensorboard/events.out.tfevents.0000.razor"),
            at_checkpoint.of("tensorboard/events.out.tfevents.0000.razor")
        );
    }

    #[test]
    fn a_run_without_a_checkpoint_starts_its_logs_anew() {
        let dir = TempDir::new().unwrap();
        let run = RunFolder::create(dir.path(), &json!({}), &json!({})).unwrap();
        for _ in 0..2 {
            let mut logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
            logs.append_step(&step(1)).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("steps.jsonl")).unwrap().lines().count(), 1);
            assert_eq!(names(&dir), ["events.out.tfevents.0000.razor"]);
        }
    }

    #[test]
    fn a_log_that_lost_what_the_checkpoint_recorded_is_refused_by_name() {
        let dir = TempDir::new().unwrap();
        let run = RunFolder::create(dir.path(), &json!({}), &json!({})).unwrap();
        let mut logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
        logs.append_step(&step(1)).unwrap();
        let offsets = logs.offsets().unwrap();
        fs::write(dir.path().join("steps.jsonl"), "").unwrap();
        let message = RunLogs::open(&run, &offsets).unwrap_err().to_string();
        assert!(message.contains("steps.jsonl has 0 bytes"), "{message}");
    }
}
