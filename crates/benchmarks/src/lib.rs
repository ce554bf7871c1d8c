//! Prior-ability benchmarks: what a model could do before it was tuned.
//!
//! A [`Benchmark`] reads its [`Task`]s from local files. [`score_choices`] asks a policy for the log-likelihood of every
//! choice, [`ChoiceMetric`] and [`Score`] turn them into the figures of lm-evaluation-harness 0.4.13, document by document.
//! Besides: programs from records and a [`sandbox`] that runs them, [`ifeval`]'s checkers.
//!
//! Nothing here may run generated code outside the sandbox, unless the caller asks for that by name.
//!
//! ```
//! use razor_benchmarks::pass_at_k;
//!
//! assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
//! ```

mod choice_scoring;
mod error;
mod few_shot;
mod logits_dtype;
mod paired;
mod prompt;
mod python_random;
mod results_layout;
mod statistics;
mod suite;
mod task;
mod task_result;
mod text_scoring;
mod verdict;

mod arc;
mod gsm8k;
mod hellaswag;
mod mmlu;
mod truthfulqa;
mod winogrande;

mod humaneval;
mod humaneval_program;
pub mod ifeval;
#[cfg(unix)]
pub mod sandbox;

pub use choice_scoring::{ChoiceMetric, ChoiceScore, score_choices};
pub use error::BenchmarkError;
pub use few_shot::FEW_SHOT_SEED;
pub use humaneval_program::{
    HUMANEVAL_STOPS, HumanEvalError, HumanEvalRecord, cut_at_stop, parse_humaneval, pass_at_k,
};
pub use logits_dtype::{DtypeEffect, MetricEffect};
pub use paired::{McNemar, Retained};
pub use prompt::{Prompt, PromptStyle, prompts};
pub use results_layout::{results, samples};
pub use statistics::Score;
pub use suite::{BENCHMARKS, Benchmark, Group};
pub use task::{Document, Scoring, Shots, Task, TaskSource};
pub use task_result::{Answer, GroupResult, MetricScore, TaskResult};
pub use text_scoring::{Judges, TextLimits, TextScoring, write_answers};
pub use verdict::{Verdict, VerdictValue};
