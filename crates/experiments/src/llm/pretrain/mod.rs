//! Pre-training of a small base on the tiny language: recipe, run, and what the base can do.

mod evaluation;
mod initial_weights;
mod method;
mod recipe;
mod run;

pub use evaluation::{BaseEvaluation, SkillScore, StyleScore, TaskScore, evaluate_base};
pub use recipe::{ModelSizes, PretrainRecipe};
pub use run::{Pretraining, PretrainingResult};
