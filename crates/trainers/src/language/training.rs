//! The loop that every method runs in: steps, measurements, checkpoints, budgets.

use std::ops::ControlFlow;
use std::path::PathBuf;

use razor_core::write_json_lines;
use razor_models::{Decoder, ModelError};
use serde::{Deserialize, Serialize};

use crate::Schedule;
use crate::language::base_kl::{BaseKl, KlMeasurement};
use crate::language::error::TrainError;
use crate::language::learner::Learner;
use crate::language::method::{Method, StepError, StepOutcome};
use crate::language::model_export::ModelExport;
use crate::language::run::{
    Checkpoints, LogKind, LogOffsets, NewCheckpoint, RunError, RunFolder, RunLogs, StepRecord, metric_name,
};

/// Steps, learning rate and cadences of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps in all.
    pub n_steps: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// What follows the warm-up.
    pub schedule: Schedule,
    /// Steps of linear warm-up.
    pub n_warmup: usize,
    /// Steps between evaluations on held-out prompts; 0 only at the end.
    pub evaluate_every: usize,
    /// Steps between measurements of the KL to the base; 0 only at the end.
    pub measure_every: usize,
    /// Steps between checkpoints; 0 only at the end.
    pub checkpoint_every: usize,
    /// Steps between completions that are kept for people to read; 0 for none.
    pub show_every: usize,
    /// What happens when the policy is too far from the base.
    pub kl_budget: Option<KlBudget>,
}

/// A limit to KL(π₀‖π), nats per completion, on held-out prompts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlBudget {
    /// The limit.
    pub nats: f64,
    /// What happens at a measurement above it.
    pub action: BudgetAction,
}

/// What happens when a budget is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetAction {
    /// The run ends.
    Stop,
    /// The learning rate is halved from here on, each time.
    LowerStep,
}

/// How good a policy is at the new task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Higher is better: accuracy, or minus the held-out loss where nothing can be judged.
    pub score: f64,
    /// What it is: `accuracy` or `negative_loss`.
    pub kind: EvaluationKind,
    /// Standard error over prompts.
    pub standard_error: f64,
    /// Held-out examples.
    pub n: usize,
}

/// What a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationKind {
    /// Share of greedy completions that are right.
    Accuracy,
    /// Share of completions drawn at temperature 1 that are right.
    SampledAccuracy,
    /// Minus the mean loss per token of held-out completions, nats.
    NegativeLoss,
}

/// Tells how good a policy is after so many steps; asked again for the same steps where a run goes on.
pub type Evaluating<'a> = dyn FnMut(&Decoder, u64) -> Result<Evaluation, TrainError> + 'a;

/// What the loop tells whoever watches; `Break` ends the run after a checkpoint.
pub type Watching<'a> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 'a;

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step was taken.
    Step(&'a StepRecord),
    /// The KL to the base was measured.
    Kl(&'a KlMeasurement),
    /// The policy was evaluated.
    Evaluation(u64, &'a Evaluation),
    /// A checkpoint was written.
    Checkpoint(u64),
}

/// What a run ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingResult {
    /// Steps taken.
    pub n_steps: u64,
    /// Steps of these without a gradient, in which nothing could be learned: all rewards of every group were equal, or no
    /// completion was right.
    pub n_idle_steps: u64,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// Of the last step; `None` where a run was interrupted between two evaluations.
    pub evaluation: Option<Evaluation>,
    /// KL(π₀‖π) after the last step, nats per completion; `None` where a run was interrupted between two measurements.
    pub kl_reference_to_policy: Option<f64>,
    /// The checkpoint with the best score, within the budget if there is one; its `model` folder is the result.
    pub best_step: Option<u64>,
    /// Model folder of the last step; `None` where no checkpoint is written.
    pub last_model: Option<PathBuf>,
    /// Model folder of the best checkpoint.
    pub best_model: Option<PathBuf>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// All steps were taken.
    Steps,
    /// The KL to the base went over its budget.
    KlBudget,
    /// Somebody asked for it; the run can go on.
    Interrupt,
}

/// What the loop itself remembers between steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LoopState {
    /// What the schedule's learning rate is multiplied by.
    rate_factor: f64,
    /// Steps of the optimizer, of which a step of the loop may have several.
    n_updates: usize,
    last_kl: Option<f64>,
    /// Step of the last measurement of the KL.
    measured_at: u64,
    last_evaluation: Option<Evaluation>,
    /// Step of the last evaluation.
    evaluated_at: u64,
    n_idle_steps: u64,
    ended_by: Option<EndedBy>,
}

/// A run in the making.
pub struct Training<'a> {
    /// What is trained.
    pub learner: Learner,
    /// How.
    pub method: &'a mut dyn Method,
    /// How far it goes from the base, where there is one.
    pub base_kl: Option<&'a BaseKl<'a>>,
    /// How good it gets.
    pub evaluate: &'a mut Evaluating<'a>,
    /// Steps and cadences.
    pub config: TrainingConfig,
    /// Where checkpoints go; `None` for a run that is wanted for its measurements alone, and begins anew where it is stopped.
    pub checkpoints: Option<Checkpoints>,
    /// How the policy is written into them.
    pub export: ModelExport,
    /// Who watches.
    pub watch: &'a mut Watching<'a>,
}

impl Training<'_> {
    /// Runs to the end, from the newest checkpoint of the folder if there is one.
    ///
    /// # Errors
    /// [`TrainError`]; what the last checkpoint holds is intact.
    pub fn run(mut self, folder: RunFolder) -> Result<TrainingResult, TrainError> {
        let mut state = LoopState {
            rate_factor: 1.0,
            n_updates: 0,
            last_kl: None,
            measured_at: 0,
            last_evaluation: None,
            evaluated_at: 0,
            n_idle_steps: 0,
            ended_by: None,
        };
        let mut offsets = LogOffsets::default();
        let mut step_idx = 0;
        if let Some(checkpoint) = self.checkpoints.as_ref().map(Checkpoints::latest).transpose()?.flatten() {
            state = checkpoint.state()?;
            step_idx = checkpoint.step() as usize;
            offsets = checkpoint.logs().clone();
            self.learner.restore(&checkpoint, state.n_updates)?;
        }
        let mut logs = RunLogs::open(&folder, &offsets)?;
        // An interrupt is no end: the run goes on.
        state.ended_by = state.ended_by.filter(|ended| *ended != EndedBy::Interrupt);
        let taken = self.take_steps(step_idx, &mut state, &folder, &mut logs);
        let result = taken.and_then(|n_steps| self.finish(folder, logs, n_steps, &state));
        result.map_err(|error| match (error, self.last_checkpoint()) {
            (TrainError::Run(source), Ok(last_checkpoint)) => {
                TrainError::Unwritten { source, last_checkpoint }
            }
            (error, _) => error,
        })
    }

    /// From `step_idx` to the end of the run; gives the number of steps that it has then.
    fn take_steps(
        &mut self,
        mut step_idx: usize,
        state: &mut LoopState,
        folder: &RunFolder,
        logs: &mut RunLogs,
    ) -> Result<usize, TrainError> {
        let mut wants_to_stop = false;
        if step_idx == 0 {
            wants_to_stop |= self.measure(0, state, logs)?.is_break();
        }
        while step_idx < self.config.n_steps && state.ended_by.is_none() {
            let outcome = self.take_step(step_idx, state, folder)?;
            step_idx += 1;
            let has_gradient = outcome.record.get(metric_name::GRAD_NORM).is_some_and(|norm| norm > 0.0);
            state.n_idle_steps += u64::from(!has_gradient);
            logs.append_step(&outcome.record)?;
            if is_due(self.config.show_every, step_idx) {
                for completion in &outcome.completions {
                    logs.append(LogKind::Completions, completion)?;
                }
            }
            wants_to_stop |= (self.watch)(&Event::Step(&outcome.record)).is_break();
            let is_last = step_idx == self.config.n_steps;
            wants_to_stop |= self.measure_when_due(step_idx, is_last, state, logs)?.is_break();
            if wants_to_stop && !is_last && state.ended_by.is_none() {
                state.ended_by = Some(EndedBy::Interrupt);
            }
            let ends = is_last || state.ended_by.is_some();
            if ends || is_due(self.config.checkpoint_every, step_idx) {
                wants_to_stop |= self.write_checkpoint(step_idx, state, logs)?.is_break();
            }
        }
        Ok(step_idx)
    }

    fn take_step(
        &mut self,
        step_idx: usize,
        state: &LoopState,
        folder: &RunFolder,
    ) -> Result<StepOutcome, TrainError> {
        let TrainingConfig { schedule, learning_rate, n_warmup, n_steps, .. } = self.config;
        let rate = schedule.learning_rate(learning_rate, step_idx, n_warmup, n_steps) * state.rate_factor;
        match self.method.step(&mut self.learner, step_idx, rate) {
            Ok(outcome) => Ok(outcome),
            Err(StepError::Failed(error)) => Err(error),
            Err(StepError::NotFinite { what, batch }) => {
                let step = step_idx as u64 + 1;
                let path = folder.path().join(format!("not-finite-step-{step}.jsonl"));
                write_json_lines(&path, &batch)?;
                let last_checkpoint = self.last_checkpoint()?;
                Err(TrainError::NotFinite { step, what, batch: path, last_checkpoint })
            }
        }
    }

    fn measure_when_due(
        &mut self,
        step_idx: usize,
        is_last: bool,
        state: &mut LoopState,
        logs: &mut RunLogs,
    ) -> Result<ControlFlow<()>, TrainError> {
        // A checkpoint is chosen by both, so it comes with both.
        let is_due_anyway = is_last || is_due(self.config.checkpoint_every, step_idx);
        let measures = is_due_anyway || is_due(self.config.measure_every, step_idx);
        let mut flow = ControlFlow::Continue(());
        if measures {
            flow = later(flow, self.measure_kl(step_idx as u64, state, logs)?);
        }
        // A run that its budget ends here has its last checkpoint here.
        let ends = state.ended_by.is_some();
        let evaluates = ends || is_due_anyway || is_due(self.config.evaluate_every, step_idx);
        if evaluates {
            flow = later(flow, self.evaluate(step_idx as u64, state, logs)?);
        }
        Ok(flow)
    }

    /// Both measurements, before the first step.
    fn measure(
        &mut self,
        step: u64,
        state: &mut LoopState,
        logs: &mut RunLogs,
    ) -> Result<ControlFlow<()>, TrainError> {
        let flow = self.measure_kl(step, state, logs)?;
        Ok(later(flow, self.evaluate(step, state, logs)?))
    }

    fn measure_kl(
        &mut self,
        step: u64,
        state: &mut LoopState,
        logs: &mut RunLogs,
    ) -> Result<ControlFlow<()>, TrainError> {
        let Some(base_kl) = self.base_kl else { return Ok(ControlFlow::Continue(())) };
        let measured = base_kl.measure(self.learner.policy(), step);
        let measurement = measured.map_err(|error| self.diverged(step, error))?;
        logs.append(LogKind::Kl, &measurement)?;
        let named = [
            (metric_name::KL_REFERENCE_TO_POLICY, "kl_reference_to_policy_exact_per_token"),
            (metric_name::KL_POLICY_TO_REFERENCE, "kl_policy_to_reference_exact_per_token"),
        ];
        let scalars: Vec<(String, f64)> = named
            .into_iter()
            .filter_map(|(metric, quantity)| Some((metric.to_owned(), measurement.mean(quantity)?)))
            .collect();
        logs.append_scalars(step, &scalars)?;
        state.last_kl = measurement.forward_per_sequence();
        state.measured_at = step;
        if let (Some(budget), Some(kl)) = (self.config.kl_budget, state.last_kl)
            && kl > budget.nats
        {
            match budget.action {
                BudgetAction::Stop => state.ended_by = Some(EndedBy::KlBudget),
                BudgetAction::LowerStep => state.rate_factor *= 0.5,
            }
        }
        Ok((self.watch)(&Event::Kl(&measurement)))
    }

    fn evaluate(
        &mut self,
        step: u64,
        state: &mut LoopState,
        logs: &mut RunLogs,
    ) -> Result<ControlFlow<()>, TrainError> {
        let evaluated = (self.evaluate)(self.learner.policy(), step);
        let evaluation = evaluated.map_err(|error| self.diverged(step, error))?;
        if !evaluation.score.is_finite() {
            return Err(self.diverged(step, ModelError::Logits.into()));
        }
        logs.append(LogKind::Evals, &serde_json::json!({ "step": step, "new_task": evaluation }))?;
        logs.append_scalars(step, &[("new_task/score".to_owned(), evaluation.score)])?;
        state.last_evaluation = Some(evaluation);
        state.evaluated_at = step;
        Ok((self.watch)(&Event::Evaluation(step, &evaluation)))
    }

    /// The error of a measurement, with the step where it is that training diverged.
    fn diverged(&self, step: u64, error: TrainError) -> TrainError {
        match (error, self.last_checkpoint()) {
            (TrainError::Model(ModelError::Logits), Ok(last_checkpoint)) => {
                TrainError::Diverged { step, last_checkpoint }
            }
            (error, _) => error,
        }
    }

    fn last_checkpoint(&self) -> Result<Option<u64>, RunError> {
        let steps = self.checkpoints.as_ref().map(Checkpoints::steps).transpose()?;
        Ok(steps.and_then(|steps| steps.last().copied()))
    }

    fn write_checkpoint(
        &mut self,
        step_idx: usize,
        state: &LoopState,
        logs: &RunLogs,
    ) -> Result<ControlFlow<()>, TrainError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(ControlFlow::Continue(())) };
        let step = step_idx as u64;
        let is_within_budget = match (self.config.kl_budget, state.last_kl) {
            (Some(budget), Some(kl)) => kl <= budget.nats,
            _ => true,
        };
        // The checkpoint of an interrupt has no score: the run would not have it had it not been interrupted, so it
        // must not become the best one.
        let is_extra =
            state.ended_by == Some(EndedBy::Interrupt) && !is_due(self.config.checkpoint_every, step_idx);
        let is_scored = is_within_budget && state.evaluated_at == step && !is_extra;
        let evaluation = state.last_evaluation.filter(|_| is_scored);
        let score = evaluation.map(|evaluation| evaluation.score);
        let state = LoopState { n_updates: self.learner.n_updates(), ..state.clone() };
        let offsets = logs.offsets()?;
        let tensors = self.learner.state_tensors();
        let new = NewCheckpoint { step, score, logs: &offsets, state: &state, tensors: &tensors };
        let learner = &self.learner;
        checkpoints.write(&new, &mut |spec| Ok(learner.state_tensor(&spec.name)), &mut |folder| {
            self.export.write(learner.policy(), folder)
        })?;
        Ok((self.watch)(&Event::Checkpoint(step)))
    }

    fn finish(
        &self,
        folder: RunFolder,
        logs: RunLogs,
        step_idx: usize,
        state: &LoopState,
    ) -> Result<TrainingResult, TrainError> {
        let n_steps = step_idx as u64;
        let best_step = self.checkpoints.as_ref().map(Checkpoints::best_step).transpose()?.flatten();
        let model = |step: Option<u64>| {
            let checkpoint =
                self.checkpoints.as_ref().zip(step).map(|(all, step)| all.open(step)).transpose();
            checkpoint.map(|checkpoint| checkpoint.map(|checkpoint| checkpoint.model()))
        };
        let result = TrainingResult {
            n_steps,
            n_idle_steps: state.n_idle_steps,
            ended_by: state.ended_by.unwrap_or(EndedBy::Steps),
            evaluation: state.last_evaluation.filter(|_| state.evaluated_at == n_steps),
            kl_reference_to_policy: state.last_kl.filter(|_| state.measured_at == n_steps),
            best_step,
            last_model: model(Some(n_steps))?,
            best_model: model(best_step)?,
        };
        if result.ended_by != EndedBy::Interrupt {
            folder.finish(logs, &result)?;
        }
        Ok(result)
    }
}

fn is_due(every: usize, step: usize) -> bool {
    every > 0 && step.is_multiple_of(every)
}

fn later(one: ControlFlow<()>, other: ControlFlow<()>) -> ControlFlow<()> {
    if one.is_break() { one } else { other }
}
