//! What a training run of a language model keeps on disk, so that it can be killed at any moment and go on.
//!
//! ```text
//! RUN/config.toml  env.toml  lock  steps.jsonl  kl.jsonl  evals.jsonl  completions.jsonl  done
//! RUN/tensorboard/events.out.tfevents.<n>.razor
//! RUN/checkpoints/<step, 8 digits>/state.safetensors  state.json  model/  files.json
//! ```
//!
//! Three rules make that hold. What is replaced or published (configs, checkpoints, `done`) appears whole or not at all.
//! What grows (logs) only grows at its end, and a checkpoint records how long each was: resuming cuts them back to that,
//! so no step appears twice and no line is torn. One process at a time holds the `lock`, which ends with the process.
//!
//! Nothing here knows of networks or losses: it deals with bytes, numbers and values that serialize.
//!
//! ```
//! use razor_trainers::language::run::{LogOffsets, RunFolder, RunLogs, StepRecord, metric_name};
//!
//! let dir = tempfile::tempdir()?;
//! let config = std::collections::BTreeMap::from([("learning_rate", 1e-5)]);
//! let run = RunFolder::create(&dir.path().join("run"), &config, &config)?;
//! let mut logs = RunLogs::open(&run, &LogOffsets::default())?;
//! logs.append_step(&StepRecord::new(1).with(metric_name::LOSS, 0.5))?;
//! run.finish(logs, &"done")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append_file;
mod checkpoint;
mod error;
mod folder;
mod log;
mod manifest;
pub mod metric_name;
mod metrics;
mod retention;
mod tensorboard;

pub use checkpoint::{Checkpoints, NewCheckpoint, TrainCheckpoint};
pub use error::RunError;
pub use folder::RunFolder;
pub use log::{LogKind, LogOffsets, RunLogs};
pub use metrics::{StepRecord, TIMING};
pub use retention::{Better, Retention};
