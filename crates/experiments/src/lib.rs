//! The studies: presets, sweeps, gates and reports.
//!
//! From images to a page in few hops: a preset gives a plan, the plan gives runs, each run leaves records in its
//! folder, and summary and report are made from the records alone. Nothing here chooses a backend or prints.
//!
//! ```
//! use razor_experiments::parity::ParityConfig;
//!
//! let config = ParityConfig::preset("quick", &["finetune.group_size=4".to_owned()])?;
//! assert_eq!(config.finetune.group_size, 4);
//! # Ok::<(), razor_experiments::ExperimentError>(())
//! ```

mod comparison;
mod environment;
mod error;
mod estimate;
pub mod llm;
pub mod parity;
mod pool;
mod provenance;
mod study_event;
mod study_options;
pub mod theory;

pub use environment::Environment;
pub use error::ExperimentError;
pub use estimate::Estimate;
pub use study_event::StudyEvent;
pub use study_options::StudyOptions;
