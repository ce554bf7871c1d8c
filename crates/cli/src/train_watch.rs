//! What a person sees of a run while it trains.

use razor_trainers::language::run::{StepRecord, metric_name};
use razor_trainers::language::{BudgetAction, EvaluationKind, Event, KlBudget, KlMeasurement};

use crate::terminal::tell;
use crate::train_progress::TrainProgress;

/// Shows the events of a run.
pub(crate) struct TrainWatch {
    n_steps: u64,
    is_quiet: bool,
    /// Made at the first step, which may be one of a run that goes on.
    progress: Option<TrainProgress>,
    /// Both KLs to the base at the last measurement.
    kl: Vec<(&'static str, f64)>,
    budget: Option<KlBudget>,
    has_warned: bool,
}

impl TrainWatch {
    pub(crate) fn new(n_steps: u64, budget: Option<KlBudget>, is_quiet: bool) -> Self {
        Self { n_steps, is_quiet, progress: None, kl: Vec::new(), budget, has_warned: false }
    }

    /// Shows what happened.
    pub(crate) fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Step(record) => self.show(record),
            Event::Kl(measurement) => {
                let named = [
                    (metric_name::KL_REFERENCE_TO_POLICY, "kl_reference_to_policy_exact_per_token"),
                    (metric_name::KL_POLICY_TO_REFERENCE, "kl_policy_to_reference_exact_per_token"),
                ];
                self.kl = named
                    .into_iter()
                    .filter_map(|(metric, quantity)| Some((metric, measurement.mean(quantity)?)))
                    .collect();
                self.tell_of_budget(measurement);
            }
            Event::Evaluation(step, evaluation) => {
                let name = match evaluation.kind {
                    EvaluationKind::Accuracy => "new-task accuracy",
                    EvaluationKind::SampledAccuracy => "new-task accuracy at temperature 1",
                    EvaluationKind::NegativeLoss => "minus held-out loss",
                };
                let (score, error, n) = (evaluation.score, evaluation.standard_error, evaluation.n);
                self.say(&format!("step {step}: {name} {score:.3} ± {error:.3} on {n} held-out questions"));
            }
            Event::Checkpoint(_) => {}
        }
    }

    fn tell_of_budget(&self, measurement: &KlMeasurement) {
        let (Some(budget), Some(kl)) = (self.budget, measurement.forward_per_sequence()) else { return };
        if kl > budget.nats {
            let what = match budget.action {
                BudgetAction::Stop => "the run stops",
                BudgetAction::LowerStep => "the learning rate is halved",
            };
            let (step, nats) = (measurement.step, budget.nats);
            self.say(&format!(
                "step {step}: KL(base‖policy) is {kl:.4} nats per completion, above the budget of {nats}: {what}"
            ));
        }
    }

    fn show(&mut self, record: &StepRecord) {
        self.warn(record);
        let (n_steps, is_quiet) = (self.n_steps, self.is_quiet);
        let progress =
            self.progress.get_or_insert_with(|| TrainProgress::new(record.step() - 1, n_steps, is_quiet));
        let record =
            self.kl.iter().fold((*record).clone(), |record, (name, value)| record.with(name, *value));
        progress.show(&record);
    }

    /// Takes the bar away, whatever the run ended by.
    pub(crate) fn end(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }

    /// Says once when a step can have taught nothing.
    fn warn(&mut self, record: &StepRecord) {
        let is = |name: &str, value: f64| record.get(name) == Some(value);
        let all_cut = is(metric_name::TRUNCATED_SHARE, 1.0);
        let problem = match (all_cut, is(metric_name::ZERO_VARIANCE_SHARE, 1.0)) {
            (true, true) => {
                "every completion reached the limit of tokens and in every group all rewards are equal, so nothing is \
                 learned: raise --max-new-tokens, or look whether the model ends its answers"
            }
            (true, false) => {
                "every completion reached the limit of tokens: raise --max-new-tokens, or look whether the model ends its \
                 answers"
            }
            (false, true) => {
                "in every group all rewards are equal, so nothing is learned: the task may be too hard, too easy, or its \
                 answers not be found in the completions (completions.jsonl has the reasons)"
            }
            (false, false) if is(metric_name::RIGHT_SHARE, 0.0) => {
                "no completion of the base is right, so nothing is learned: raise --draws, or --max-new-tokens where they \
                 are cut off, or take an easier task"
            }
            (false, false) => return,
        };
        if !self.has_warned {
            self.has_warned = true;
            self.say(&format!("warning: step {}: {problem}", record.step()));
        }
    }

    fn say(&self, text: &str) {
        match &self.progress {
            _ if self.is_quiet => {}
            Some(progress) => progress.say(text),
            None => tell(text),
        }
    }
}
