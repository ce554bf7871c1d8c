//! What a chart with two numeric axes shows.

/// Points, a line and a band that belong together: one method, or a fit over all of them.
#[derive(Debug, Clone, Default)]
pub struct Series {
    pub(super) name: String,
    pub(super) color: Option<usize>,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) line: Vec<(f64, f64)>,
    pub(super) band: Vec<(f64, f64, f64)>,
}

impl Series {
    /// An empty series. The same `color` gives the same colour and marker in every figure; there are 10 of them.
    pub fn new(name: impl Into<String>, color: usize) -> Self {
        Self { name: name.into(), color: Some(color), ..Self::default() }
    }

    /// A series that belongs to no method, drawn in the colour of the text.
    pub fn neutral(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Markers at `(x, y)`, drawn pale behind a line of the same series.
    #[must_use]
    pub fn points(self, points: Vec<(f64, f64)>) -> Self {
        Self { points, ..self }
    }

    /// A line through `(x, y)` in this order, interrupted where a value is not finite.
    #[must_use]
    pub fn line(self, line: Vec<(f64, f64)>) -> Self {
        Self { line, ..self }
    }

    /// A translucent band from `low` to `high` at `(x, low, high)`, in this order.
    #[must_use]
    pub fn band(self, band: Vec<(f64, f64, f64)>) -> Self {
        Self { band, ..self }
    }
}

/// A dashed reference line across the chart with words beside it.
#[derive(Debug, Clone)]
pub struct Guide {
    pub(super) vertical: bool,
    pub(super) at: f64,
    pub(super) label: String,
}

impl Guide {
    /// A vertical line at `x`.
    pub fn vertical(x: f64, label: impl Into<String>) -> Self {
        Self { vertical: true, at: x, label: label.into() }
    }

    /// A horizontal line at `y`.
    pub fn horizontal(y: f64, label: impl Into<String>) -> Self {
        Self { vertical: false, at: y, label: label.into() }
    }
}
