//! One run of a study: trained, measured on the way, and kept in its folder.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use razor_core::write_json;
use razor_data::Sources;
use razor_models::{Decoder, ModelError};
use razor_trainers::language::run::{RunFolder, metric_name};
use razor_trainers::language::{Evaluation, EvaluationKind, Event, TrainError, TrainingResult};
use serde_json::json;

use crate::environment::Environment;
use crate::llm::fine_tune::{BaseModel, FineTuneSettings, NothingToLearn, Prepared, RunTarget};
use crate::llm::study::config::MeasureConfig;
use crate::llm::study::folder::{FAILED, SECONDS, write_measurement};
use crate::llm::study::record::{Measurement, PartSeconds};
use crate::llm::study::yardstick::TaskYardstick;

/// What a run starts from and is measured with.
pub(crate) struct RunContext<'a> {
    pub base: &'a BaseModel,
    /// The base, measured on the run's task.
    pub measured_base: &'a Measurement,
    pub yardstick: &'a TaskYardstick<'a>,
    pub measure: &'a MeasureConfig,
    pub sources: &'a Sources,
    pub environment: &'a Environment,
}

/// Trains and measures, or goes on where the run in `dir` was stopped. A run that diverges, or that has nothing to learn from,
/// is finished too: its folder says why, and holds what was measured before.
pub(crate) fn run_in(dir: &Path, settings: FineTuneSettings, context: &RunContext<'_>) -> Result<()> {
    let started = Instant::now();
    let mut clock = PartClock::new();
    match train(dir, settings, context, &mut clock) {
        Ok(()) => {}
        Err(error) => keep_finding(dir, error).with_context(|| format!("run {}", dir.display()))?,
    }
    let seconds = PartSeconds { total: started.elapsed().as_secs_f64(), ..clock.parts };
    write_json(&dir.join(SECONDS), &seconds)?;
    if !context.measure.keeps_models {
        remove_checkpoints(dir)?;
    }
    Ok(())
}

fn train(
    dir: &Path,
    settings: FineTuneSettings,
    context: &RunContext<'_>,
    clock: &mut PartClock,
) -> Result<()> {
    let prepared = prepare(settings, context.base, context.measure, context.sources)?;
    let mut target = target(dir, &prepared, context.base, context.measure)?;
    if !context.measure.keeps_checkpoints && !context.measure.keeps_models {
        target = target.without_weights();
    }
    let n_steps = prepared.n_steps() as u64;
    let mut evaluate = |policy: &Decoder, step: u64| {
        let measured = match step {
            0 => Ok(context.measured_base.clone()),
            _ => context.yardstick.measure(policy, step, step == n_steps),
        };
        let measured = measured.map_err(train_error)?;
        write_measurement(dir, &measured).map_err(train_error)?;
        let new_task = measured.new_task;
        Ok(Evaluation {
            score: new_task.sampled,
            kind: EvaluationKind::SampledAccuracy,
            standard_error: new_task.sampled_error,
            n: new_task.n,
        })
    };
    clock.start();
    let mut watch = |event: &Event<'_>| {
        clock.hear(event);
        ControlFlow::Continue(())
    };
    prepared.run_evaluated_by(&mut evaluate, context.base, &target, context.environment, &mut watch)?;
    Ok(())
}

/// One stage of a sequence: trained unless it is already, and measured by the caller. `None` where it diverges or has nothing
/// to learn from; its folder says why.
pub(crate) fn run_stage(
    dir: &Path,
    settings: FineTuneSettings,
    base: &BaseModel,
    measure: &MeasureConfig,
    (sources, environment): (&Sources, &Environment),
) -> Result<Option<TrainingResult>> {
    if let Some(result) = RunFolder::result(dir)? {
        return Ok(Some(result));
    }
    let train = || {
        let prepared = prepare(settings, base, measure, sources)?;
        let target = target(dir, &prepared, base, measure)?;
        prepared.run(base, &target, environment, &mut |_| ControlFlow::Continue(()))
    };
    train().map(Some).or_else(|error| keep_finding(dir, error).map(|()| None))
}

/// The run with its cadences, which go by its number of steps.
fn prepare(
    settings: FineTuneSettings,
    base: &BaseModel,
    measure: &MeasureConfig,
    sources: &Sources,
) -> Result<Prepared> {
    let mut prepared = Prepared::new(settings, base, sources, &mut |_, _| {})?;
    let every = prepared.n_steps().div_ceil(measure.n_checkpoints);
    prepared.settings.cadence.evaluate_every = every;
    prepared.settings.cadence.checkpoint_every = if measure.keeps_checkpoints { every } else { 0 };
    prepared.settings.base_kl.every = every;
    Ok(prepared)
}

/// A run without checkpoints that was stopped starts afresh.
fn target(dir: &Path, prepared: &Prepared, base: &BaseModel, measure: &MeasureConfig) -> Result<RunTarget> {
    let is_there = dir.join("config.toml").is_file();
    let resumes = is_there && measure.keeps_checkpoints;
    if dir.is_dir() && !resumes {
        fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    RunTarget::new(&prepared.settings, &base.folder, dir, resumes)
}

/// Removes weights and optimizer state of a finished run.
pub(crate) fn remove_checkpoints(dir: &Path) -> Result<()> {
    let checkpoints = dir.join("checkpoints");
    match fs::remove_dir_all(&checkpoints) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", checkpoints.display()))
        }
        _ => Ok(()),
    }
}

fn train_error(error: anyhow::Error) -> TrainError {
    match error.downcast::<ModelError>() {
        Ok(error) => error.into(),
        Err(error) => TrainError::Evaluation(error.into()),
    }
}

/// Writes down what a study finds out about a setting: that it diverges, or has nothing to learn from. With any other error the
/// study cannot go on.
fn keep_finding(dir: &Path, error: anyhow::Error) -> Result<()> {
    let has_diverged = matches!(
        error.downcast_ref::<TrainError>(),
        Some(TrainError::NotFinite { .. } | TrainError::Diverged { .. })
    );
    if !has_diverged && !error.is::<NothingToLearn>() {
        return Err(error);
    }
    Ok(write_json(&dir.join(FAILED), &json!({ "message": format!("{error:#}") }))?)
}

/// Adds up where the time of a run goes.
struct PartClock {
    parts: PartSeconds,
    last: Instant,
}

impl PartClock {
    fn new() -> Self {
        Self { parts: PartSeconds::default(), last: Instant::now() }
    }

    /// What came before is part of no part.
    fn start(&mut self) {
        self.last = Instant::now();
    }

    fn hear(&mut self, event: &Event<'_>) {
        let passed = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        match event {
            Event::Step(record) => {
                let sampling = record.get(metric_name::SAMPLING_SECONDS).unwrap_or(0.0);
                self.parts.sampling += sampling;
                self.parts.update += passed - sampling;
            }
            Event::Kl(_) => self.parts.kl += passed,
            Event::Evaluation(..) => self.parts.evaluation += passed,
            Event::Checkpoint(_) => {}
        }
    }
}
