//! What the loop asks of a method.

use serde::Serialize;

use crate::language::error::TrainError;
use crate::language::learner::Learner;
use crate::language::run::StepRecord;

/// A way to change a policy, one step at a time.
///
/// A method keeps nothing from one step to the next that cannot be made again from the number of the step: that is what
/// lets a run be killed at any moment and go on with the same numbers.
pub trait Method {
    /// Takes step `step_idx`, from 0, with this learning rate.
    ///
    /// # Errors
    /// [`StepError`] when the loss is not finite or something fails. Nothing of the step may be kept then.
    fn step(
        &mut self,
        learner: &mut Learner,
        step_idx: usize,
        learning_rate: f64,
    ) -> Result<StepOutcome, StepError>;
}

/// What a step did.
#[derive(Debug)]
pub struct StepOutcome {
    /// Its numbers.
    pub record: StepRecord,
    /// Completions for people to read, where the method draws some.
    pub completions: Vec<SampledCompletion>,
}

/// A completion that was drawn in training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledCompletion {
    /// Step that drew it, from 1 as in the logs.
    pub step: u64,
    /// Which prompt of the training data.
    pub prompt: usize,
    /// Which completion of its group.
    pub sample: usize,
    /// The text.
    pub completion: String,
    /// Tokens in it.
    pub n_tokens: usize,
    /// Whether it was cut at the limit.
    pub is_truncated: bool,
    /// What it was worth; `None` where the reward is undefined.
    pub reward: Option<f32>,
    /// Why.
    pub reason: String,
    /// Relative to its group.
    pub advantage: f32,
}

/// Why a step could not be taken.
#[derive(Debug)]
pub enum StepError {
    /// A number is not finite.
    NotFinite {
        /// Which.
        what: &'static str,
        /// What the step was made of, for the file that the user is pointed to.
        batch: Vec<serde_json::Value>,
    },
    /// Anything else.
    Failed(TrainError),
}

impl From<TrainError> for StepError {
    fn from(error: TrainError) -> Self {
        Self::Failed(error)
    }
}
