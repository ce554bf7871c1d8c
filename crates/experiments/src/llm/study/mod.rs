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
mod prior_tasks;
mod record;
mod run;
mod runner;
mod weight_movement;
mod yardstick;

mod fitted;
mod points;
mod setting_groups;
mod task_view;
mod words;

mod calibration;
mod controls;
mod cost;
mod epsilon;
mod forgotten;
mod gates;
mod gradient_movement;
mod headline;
mod law;
mod matched;
mod points_table;
mod quadrants;
mod regressions;
mod report;
mod rivals;
#[cfg(test)]
mod sample_study;
mod sequence;
mod time;
mod verdict;

pub use config::{LLM_PRESETS, LlmConfig};
pub use method::StudyMethod;
pub use plan::Setting;
pub use record::{BenchmarkScore, Measurement, NewTaskScore, PartSeconds, WeightMovement};
pub use report::{is_llm_study, redraw_llm_report};
pub use runner::{LlmStudy, LoadBase};
