//! Checkpoints: everything that a run needs to go on from a step as if it had never stopped.

use std::fs;
use std::path::{Path, PathBuf};

use razor_core::CoreError;
use razor_models::{
    Checkpoint, HostTensor, ModelError, PartialFolder, TensorSpec, WeightDtype, write_tensors,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::language::run::error::RunError;
use crate::language::run::folder::{RunFolder, names_in};
use crate::language::run::log::LogOffsets;
use crate::language::run::manifest::{MANIFEST, Manifest};
use crate::language::run::retention::{Retention, Scored};

const TENSORS: &str = "state.safetensors";
const STATE: &str = "state.json";
const MODEL: &str = "model";

/// What goes into a new checkpoint besides the numbers of its tensors.
#[derive(Debug, Clone, Copy)]
pub struct NewCheckpoint<'a, S> {
    /// Optimizer steps taken.
    pub step: u64,
    /// What [`Retention::keep_best`] goes by; `None`, or a number that is not finite, when there is none.
    pub score: Option<f64>,
    /// How long the logs are now.
    pub logs: &'a LogOffsets,
    /// The trainer's own state: position in the data, counters, best score so far.
    pub state: &'a S,
    /// Tensors that are not the model: moments of the optimizer, master weights; each with its type in the file.
    pub tensors: &'a [(TensorSpec, WeightDtype)],
}

/// What `state.json` holds.
#[derive(Serialize, Deserialize)]
struct StateFile<S> {
    step: u64,
    config: String,
    score: Option<f64>,
    logs: LogOffsets,
    state: S,
}

/// The checkpoints of a run.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    config_hash: String,
    retention: Retention,
}

impl Checkpoints {
    /// Those of `run`.
    pub fn new(run: &RunFolder, retention: Retention) -> Self {
        Self { folder: run.checkpoints(), config_hash: run.config_hash().to_owned(), retention }
    }

    /// Writes a checkpoint, which appears whole or not at all, and then removes those that need not stay.
    ///
    /// - `read`: gives one tensor of `new.tensors`, in their order; only one is in memory at a time
    /// - `write_model`: is given the path of a folder to make, in the checkpoint, for the model's weights; it may make none
    ///
    /// Returns when everything is on the disk.
    ///
    /// # Errors
    /// [`RunError::Core`] or [`RunError::Model`] when a file cannot be written, a number is not finite, the step has a
    /// checkpoint already, or a callback fails: nothing of the new checkpoint is left then, and the earlier ones are as
    /// they were. [`RunError::Remove`] when it is complete but an old one cannot be removed.
    pub fn write<S: Serialize>(
        &self,
        new: &NewCheckpoint<'_, S>,
        read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>,
        write_model: &mut dyn FnMut(&Path) -> Result<(), ModelError>,
    ) -> Result<(), RunError> {
        let target = self.path_of(new.step);
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| CoreError::Write { path, source }
        };
        let partial = PartialFolder::create(&target).map_err(failed(&target))?;
        write_tensors(&partial.path().join(TENSORS), new.tensors, read)?;
        write_model(&partial.path().join(MODEL))?;
        let state = StateFile {
            step: new.step,
            config: self.config_hash.clone(),
            score: new.score.filter(|score| score.is_finite()),
            logs: new.logs.clone(),
            state: new.state,
        };
        let state = serde_json::to_vec_pretty(&state).expect("states are plain data with string keys");
        partial.write(STATE, &state).map_err(failed(&target.join(STATE)))?;
        let manifest = Manifest::of(partial.path())?;
        partial.write(MANIFEST, &manifest.to_bytes()).map_err(failed(&target.join(MANIFEST)))?;
        partial.publish().map_err(failed(&target))?;
        self.prune()
    }

    /// Steps that have a checkpoint, ascending.
    ///
    /// # Errors
    /// [`RunError::Core`] when the folder cannot be listed.
    pub fn steps(&self) -> Result<Vec<u64>, RunError> {
        let mut steps: Vec<u64> = names_in(&self.folder)?.iter().filter_map(|name| step_of(name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The checkpoint to resume from: the newest. `None` when the run had none yet.
    ///
    /// # Errors
    /// As [`Checkpoints::open`]. A damaged one is not passed over in silence.
    pub fn latest(&self) -> Result<Option<TrainCheckpoint>, RunError> {
        self.steps()?.last().map(|step| self.open(*step)).transpose()
    }

    /// Opens the checkpoint of a step, after all its files were read and compared with their SHA-256.
    ///
    /// # Errors
    /// [`RunError::Damaged`] naming the file that is not what was written, and when the checkpoint is of another config.
    pub fn open(&self, step: u64) -> Result<TrainCheckpoint, RunError> {
        let path = self.path_of(step);
        Manifest::verify(&path)?;
        let state: StateFile<Value> = read_state(&path.join(STATE))?;
        if state.step != step || state.config != self.config_hash {
            let message = format!(
                "is of step {} and config {}, expected step {step} and config {}",
                state.step, state.config, self.config_hash
            );
            return Err(RunError::Damaged { path: path.join(STATE), message });
        }
        let tensors = Checkpoint::open_file(&path.join(TENSORS))?;
        Ok(TrainCheckpoint { path, state, tensors })
    }

    /// The step with the best score; of equal ones the earlier. `None` when no checkpoint has a score.
    ///
    /// # Errors
    /// As [`Checkpoints::steps`].
    pub fn best_step(&self) -> Result<Option<u64>, RunError> {
        Ok(self.retention.ranked(&self.scored()?).first().copied())
    }

    fn path_of(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{step:08}"))
    }

    fn scored(&self) -> Result<Vec<Scored>, RunError> {
        // A state that cannot be read has no score; should it be the newest, resuming will name the damage.
        let score = |step: u64| read_state::<ScoreOnly>(&self.path_of(step).join(STATE)).ok()?.score;
        Ok(self.steps()?.into_iter().map(|step| Scored { step, score: score(step) }).collect())
    }

    fn prune(&self) -> Result<(), RunError> {
        self.retention.surplus(&self.scored()?).into_iter().try_for_each(|step| discard(&self.path_of(step)))
    }
}

#[derive(Deserialize)]
struct ScoreOnly {
    score: Option<f64>,
}

/// A complete checkpoint, its state in memory and its tensors on the disk.
#[derive(Debug)]
pub struct TrainCheckpoint {
    path: PathBuf,
    state: StateFile<Value>,
    tensors: Checkpoint,
}

impl TrainCheckpoint {
    /// Optimizer steps taken.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// Its score, if it has one.
    pub fn score(&self) -> Option<f64> {
        self.state.score
    }

    /// How long the logs were, for [`RunLogs::open`](crate::language::run::RunLogs::open).
    pub fn logs(&self) -> &LogOffsets {
        &self.state.logs
    }

    /// The trainer's own state.
    ///
    /// # Errors
    /// [`RunError::Damaged`] when it is no `S`.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S, RunError> {
        S::deserialize(&self.state.state).map_err(|error| RunError::Damaged {
            path: self.path.join(STATE),
            message: format!("holds another state than this version reads: {error}"),
        })
    }

    /// Names of the tensors, in the order of the file.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.names()
    }

    /// Reads one tensor; with the type that it was written with, bit for bit.
    ///
    /// # Errors
    /// [`RunError::Model`] when it is missing or has another shape.
    pub fn read(&self, spec: &TensorSpec, dtype: WeightDtype) -> Result<HostTensor, RunError> {
        Ok(self.tensors.read(spec, dtype)?)
    }

    /// The folder that `write_model` made, if it made one.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }
}

impl std::fmt::Debug for StateFile<Value> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StateFile")
            .field("step", &self.step)
            .field("score", &self.score)
            .finish_non_exhaustive()
    }
}

fn read_state<S: DeserializeOwned>(path: &Path) -> Result<S, RunError> {
    let bytes = fs::read(path).map_err(|source| CoreError::Read { path: path.to_owned(), source })?;
    let state = serde_json::from_slice(&bytes);
    state.map_err(|error| RunError::Damaged {
        path: path.to_owned(),
        message: format!("is no state: {error}"),
    })
}

/// The step of a folder's name, if it is one that we give.
fn step_of(name: &str) -> Option<u64> {
    let step = name.parse().ok()?;
    (format!("{step:08}") == name).then_some(step)
}

/// Removes a checkpoint; a kill in between leaves a leftover, never half a checkpoint.
fn discard(path: &Path) -> Result<(), RunError> {
    let mut name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(".pruned.partial");
    let leftover = path.with_file_name(name);
    let removed = fs::rename(path, &leftover).and_then(|()| fs::remove_dir_all(&leftover));
    removed.map_err(|source| RunError::Remove { path: path.to_owned(), source })
}

/// Removes what killed processes left of checkpoints that they were writing or removing.
pub(super) fn clear_checkpoint_leftovers(folder: &Path) -> Result<(), RunError> {
    let is_leftover = |name: &str| {
        name.ends_with(".partial") && name.split_once('.').is_some_and(|(step, _)| step_of(step).is_some())
    };
    for name in names_in(folder)?.iter().filter(|name| is_leftover(name)) {
        let path = folder.join(name);
        fs::remove_dir_all(&path).map_err(|source| RunError::Remove { path, source })?;
    }
    Ok(())
}
