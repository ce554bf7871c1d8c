//! From what a study measured to tables, figures and one self-contained page.
//!
//! A study builds a [`Summary`] (for programs) and a [`Page`] of text, [`Figure`]s and [`Table`]s (for readers);
//! [`write_report`] puts both into a folder. Nothing here knows a particular study, trains or measures anything,
//! draws random numbers, or needs a network: the page works offline, and the same input gives the same bytes.
//!
//! ```
//! use razor_report::{Axis, FigureSize, Series, XyChart};
//!
//! let chart = XyChart {
//!     name: "forgetting_vs_kl".to_owned(),
//!     title: "Forgetting against forward KL".to_owned(),
//!     caption: "One point per checkpoint.".to_owned(),
//!     size: FigureSize::Wide,
//!     x: Axis::log("Forward KL on the new task", "nats"),
//!     y: Axis::percent("Forgetting"),
//!     series: vec![Series::new("GRPO", 0).points(vec![(0.04, 0.0), (1.99, 0.28)])],
//!     guides: vec![],
//! };
//! let figure = chart.draw()?;
//! assert!(figure.svg().starts_with("<svg"));
//! # Ok::<(), razor_report::ReportError>(())
//! ```

mod error;
mod number;
mod page;
mod plot;
mod report;
#[cfg(test)]
mod sample;
mod summary;
mod summary_table;
mod table;
mod text;

pub use error::ReportError;
pub use number::NumberFormat;
pub use page::{Block, Highlight, Page, Section};
pub use plot::{Axis, Bar, BarChart, Figure, FigureSize, Guide, Series, StripChart, StripRow, XyChart};
pub use report::write_report;
pub use summary::{
    DataFile, DataKind, Gate, MatchAxis, Matched, Predictor, PredictorInputs, Residual, SUMMARY_SCHEMA,
    Summary,
};
pub use summary_table::{kept_table, matched_table, predictor_table, residual_table};
pub use table::{Cell, Column, Table};
pub use text::{summary_text, table_text};
