//! Why a measurement has no value.

use std::path::PathBuf;

/// Why a measurement has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum MetricsError {
    #[error("{what}[{index}] is {value}, expected a finite number")]
    NotFinite { what: &'static str, index: usize, value: f64 },
    #[error("{what} has {found} distinct values, expected at least {needed}")]
    TooFewDistinct { what: &'static str, needed: usize, found: usize },
    #[error("the singular values of a {n_rows}x{n_cols} matrix did not converge")]
    NoConvergence { n_rows: usize, n_cols: usize },
    #[error("{path}: {message}")]
    Calibration { path: PathBuf, message: String },
    #[error("the calibration has no task `{task}`, it has {known}")]
    UnknownTask { task: String, known: String },
    #[error("the calibration has several tasks ({known}) and laws differ between tasks: name one")]
    UnnamedTask { known: String },
    #[error("task `{task}` of the calibration has {found} {what}, expected at least {needed}")]
    SmallCalibration { task: String, what: &'static str, needed: usize, found: usize },
    #[error("no law can be fitted to task `{task}` of the calibration: what was measured hardly varies")]
    NoLaw { task: String },
    #[error("{predictor} is {value}, outside {low} to {high} of the calibration: its law says nothing there")]
    BeyondCalibration { predictor: &'static str, value: f64, low: f64, high: f64 },
}

/// Refuses NaN and infinities, naming the first one.
pub(crate) fn check_finite<T: Copy + Into<f64>>(
    what: &'static str,
    values: &[T],
) -> Result<(), MetricsError> {
    match values.iter().position(|&value| !value.into().is_finite()) {
        Some(index) => Err(MetricsError::NotFinite { what, index, value: values[index].into() }),
        None => Ok(()),
    }
}
