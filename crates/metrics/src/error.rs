//! Why a measurement has no value.

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
