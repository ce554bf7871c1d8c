//! ParityMNIST: does RL forget less than SFT, and does KL on the new task predict it?
//!
//! A small network knows two tasks, is fine-tuned on one of them by many methods and learning rates, and is measured
//! on both. Paper: arXiv 2509.04259, section 4 and appendices B.3, C.3. Where the paper states no value, ours is marked
//! "chosen" in the presets; other deviations are listed in the modules that make them.

mod base;
mod config;
mod dynamics;
mod estimate;
mod figures;
mod folder;
mod gates;
mod labels;
mod learner;
mod matched;
mod measure;
mod method;
mod plan;
mod points;
mod predictors;
mod record;
mod report;
mod speed;
mod study;
mod tables;
mod task;
mod train;
mod verdict;

pub use config::{PARITY_PRESETS, ParityConfig};
pub use method::Method;
pub use record::{DynamicsRecord, EvalRecord, StepRecord, WeightRecord};
pub use speed::{Speed, measure_speed};
pub use study::{ParityStudy, redraw_parity_report};
