//! Fine-tuning of language models.
//!
//! A run is a [`Training`]: a [`Learner`] (policy, gradients, optimizer), a [`Method`] (what a step does), and the loop
//! around both, which measures the KL to the base, evaluates, and writes [checkpoints](run) so that a kill at any moment
//! costs nothing. Losses are [pure functions](loss) of token log-probabilities.
//!
//! Nothing here reads text: prompts and examples come as token ids, rewards as a function.

mod base_kl;
mod epoch_order;
mod error;
mod fresh_samples_method;
mod learner;
mod learner_state;
pub mod loss;
mod method;
mod micro_batch;
mod model_export;
mod policy_gradient_method;
mod rejection_sampling;
mod rollout;
pub mod run;
mod self_distillation_method;
mod sft_method;
mod simpo_method;
mod training;
mod weight_anchor;

pub use base_kl::{BaseKl, BaseKlConfig, KlMeasurement};
pub use epoch_order::EpochOrder;
pub use error::TrainError;
pub use fresh_samples_method::FreshSamplesMethod;
pub use learner::{KlTerm, Learner, LearnerConfig, SequenceScores, TrainedParameter, Update, score};
pub use method::{Method, SampledCompletion, StepError, StepOutcome};
pub use model_export::ModelExport;
pub use policy_gradient_method::PolicyGradientMethod;
pub use rejection_sampling::{ChosenSamples, Wanted, choose_samples};
pub use rollout::{Judgement, Judging, RolloutLimits};
pub use self_distillation_method::{DemonstratedPrompt, SelfDistillationMethod};
pub use sft_method::{SftKl, SftMethod};
pub use simpo_method::{PreferencePair, SimpoMethod};
pub use training::{
    BudgetAction, EndedBy, Evaluating, Evaluation, EvaluationKind, Event, KlBudget, Training, TrainingConfig,
    TrainingResult, Watching,
};
pub use weight_anchor::WeightAnchor;
