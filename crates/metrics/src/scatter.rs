//! The points of a figure: checked and sorted once, fitted many times.

use crate::error::{MetricsError, check_finite};

/// Points (x, y), for instance a predictor against forgetting, or new-task against prior-task accuracy.
///
/// All fits and correlations of this crate take a `Scatter` and one weight per point: the number of times the
/// point counts, as drawn by [`RunBootstrap`](crate::RunBootstrap), or [`Scatter::each_once`]. A weight of 0
/// leaves the point out. Sorting happens here, so that a thousand resamples do not sort again.
#[derive(Debug, Clone)]
pub struct Scatter {
    x: Vec<f64>,
    y: Vec<f64>,
    by_x: Vec<usize>,
    by_y: Vec<usize>,
    ones: Vec<f64>,
}

impl Scatter {
    /// Checks and sorts the points.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for a NaN or an infinity: a diverged run must be left out in the open.
    ///
    /// # Panics
    /// When `x` and `y` differ in length.
    pub fn new(x: &[f64], y: &[f64]) -> Result<Self, MetricsError> {
        assert_eq!(x.len(), y.len(), "x has {} points, y has {}", x.len(), y.len());
        check_finite("x", x)?;
        check_finite("y", y)?;
        Ok(Self {
            by_x: ascending(x),
            by_y: ascending(y),
            ones: vec![1.0; x.len()],
            x: x.to_vec(),
            y: y.to_vec(),
        })
    }

    /// The weights that count every point once.
    pub fn each_once(&self) -> &[f64] {
        &self.ones
    }

    /// The first coordinates, in the order given.
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// The second coordinates, in the order given.
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// Point indices by ascending x; ties keep the order given.
    pub(crate) fn by_x(&self) -> &[usize] {
        &self.by_x
    }

    /// Point indices by ascending y; ties keep the order given.
    pub(crate) fn by_y(&self) -> &[usize] {
        &self.by_y
    }

    /// Refuses fewer than `needed_x` distinct x or fewer than 2 distinct y among the points with a weight.
    pub(crate) fn check_spread(&self, weights: &[f64], needed_x: usize) -> Result<(), MetricsError> {
        assert_eq!(weights.len(), self.x.len(), "{} weights for {} points", weights.len(), self.x.len());
        for (what, values, needed) in [("x", &self.x, needed_x), ("y", &self.y, 2)] {
            let found = count_distinct(values, weights, needed);
            if found < needed {
                return Err(MetricsError::TooFewDistinct { what, needed, found });
            }
        }
        Ok(())
    }
}

/// Σ w·v / Σ w.
pub(crate) fn weighted_mean(values: &[f64], weights: &[f64]) -> f64 {
    let (sum, total) = values
        .iter()
        .zip(weights)
        .fold((0.0, 0.0), |(sum, total), (value, weight)| (sum + weight * value, total + weight));
    sum / total
}

fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order
}

/// Distinct values with a positive weight, counted up to `limit`.
fn count_distinct(values: &[f64], weights: &[f64], limit: usize) -> usize {
    let mut seen: Vec<f64> = Vec::with_capacity(limit);
    for (&value, _) in values.iter().zip(weights).filter(|&(_, &weight)| weight > 0.0) {
        if !seen.contains(&value) {
            seen.push(value);
            if seen.len() == limit {
                break;
            }
        }
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_named() {
        let error = Scatter::new(&[0.0, 1.0], &[0.0, f64::NAN]).unwrap_err();
        assert_eq!(error.to_string(), "y[1] is NaN, expected a finite number");
    }

    #[test]
    fn points_without_weight_do_not_count_as_spread() {
        let points = Scatter::new(&[0.0, 1.0, 2.0], &[0.0, 1.0, 2.0]).unwrap();
        assert!(points.check_spread(points.each_once(), 3).is_ok());
        let error = points.check_spread(&[1.0, 0.0, 1.0], 3).unwrap_err();
        assert_eq!(error, MetricsError::TooFewDistinct { what: "x", needed: 3, found: 2 });
    }

    #[test]
    fn both_zeros_are_one_value() {
        let points = Scatter::new(&[0.0, -0.0], &[0.0, 1.0]).unwrap();
        assert!(points.check_spread(points.each_once(), 2).is_err());
    }
}
