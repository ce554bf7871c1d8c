//! Does RL forget less than SFT, and does KL on the new task predict it? The study on language models.
//!
//! Paper: arXiv 2509.04259, sections 3 and 5 and appendices B.1 and C. Where it states no value, ours is marked in the
//! presets.

mod config;
mod estimate;
mod fine_tune_settings;
mod folder;
mod method;
mod plan;
mod points;
mod prior_tasks;
mod record;
mod report;
mod run;
mod study;
mod weight_movement;
mod yardstick;

pub use config::{LLM_PRESETS, LlmConfig};
pub use method::StudyMethod;
pub use plan::Setting;
pub use record::{BenchmarkScore, Measurement, NewTaskScore, PartSeconds, WeightMovement};
pub use study::{LlmStudy, LlmStudyOptions, LoadBase};
