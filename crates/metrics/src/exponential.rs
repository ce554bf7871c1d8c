//! The exponential the paper draws through a method's frontier.

use crate::error::MetricsError;
use crate::fit::r_squared;
use crate::scatter::{Scatter, weighted_mean};

/// Strongest bend searched: e-folds across the fitted range of x.
const MAX_BEND: f64 = 60.0;
/// Weakest bend: below it the curve is a straight line and b has no finite value.
const MIN_BEND: f64 = 1e-3;
/// Candidates per sign of the bend before refinement.
const N_BENDS: usize = 80;

/// y = a − b·exp(c·(x − anchor)) by least squares.
///
/// Paper: arXiv 2509.04259, appendix B.1, which says "exponential" without a form: y = a − b·exp(c·x) is our choice.
/// The anchor, the end of the data where the exponential is 1, only keeps b in range. Cosmetic: it is drawn
/// through the runs that [`Frontier::near`](crate::Frontier::near) keeps, and no comparison rests on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExponentialFit {
    /// Level that the curve leaves.
    pub a: f64,
    /// Depth at the anchor.
    pub b: f64,
    /// Rate per unit of x, at most 60 e-folds over the fitted range either way.
    pub c: f64,
    /// The largest fitted x when c > 0, the smallest when c < 0.
    pub anchor: f64,
    r2: f64,
}

impl ExponentialFit {
    /// Fits y on x with one weight per point: a and b in closed form for each c, and c by a grid over both signs
    /// followed by a golden-section search, so no starting point can be bad.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] below 3 distinct x or 2 distinct y.
    pub fn new(points: &Scatter, weights: &[f64]) -> Result<Self, MetricsError> {
        points.check_spread(weights, 3)?;
        let counted = || points.by_x().iter().copied().filter(|&idx| weights[idx] > 0.0);
        let x_of = |idx: Option<usize>| points.x()[idx.expect("three points have a weight")];
        let (low, high) = (x_of(counted().next()), x_of(counted().next_back()));

        let fit = |bend: f64| Self::with_rate(points, weights, bend / (high - low), (low, high));
        let worst = |bend: f64| -fit(bend).r2;
        let ratio = (MAX_BEND / MIN_BEND).powf(1.0 / (N_BENDS - 1) as f64);
        let grid = (0..N_BENDS).map(|step| MIN_BEND * ratio.powi(step as i32));
        let best = grid
            .flat_map(|bend| [bend, -bend])
            .min_by(|&left, &right| worst(left).total_cmp(&worst(right)))
            .expect("the grid is not empty");
        let inner = (best.abs() / ratio).max(MIN_BEND);
        let outer = (best.abs() * ratio).min(MAX_BEND);
        let refined = golden_section(|log| worst(best.signum() * log.exp()), inner.ln(), outer.ln());
        Ok(fit(best.signum() * refined.exp()))
    }

    /// The curve at `x`.
    pub fn predict(&self, x: f64) -> f64 {
        self.a - self.b * (self.c * (x - self.anchor)).exp()
    }

    /// In-sample R², at most 1.
    pub fn r2(&self) -> f64 {
        self.r2
    }

    /// The best a and b for a given rate. Regresses on expm1(c·(x − anchor)), which keeps its digits when c is small.
    fn with_rate(points: &Scatter, weights: &[f64], c: f64, (low, high): (f64, f64)) -> Self {
        let anchor = if c > 0.0 { high } else { low };
        let rise: Vec<f64> = points.x().iter().map(|x| (c * (x - anchor)).exp_m1()).collect();
        let (rise_mean, y_mean) = (weighted_mean(&rise, weights), weighted_mean(points.y(), weights));
        let (mut square, mut product) = (0.0, 0.0);
        for ((weight, rise), y) in weights.iter().zip(&rise).zip(points.y()) {
            square += weight * (rise - rise_mean).powi(2);
            product += weight * (rise - rise_mean) * (y - y_mean);
        }
        let slope = product / square;
        let a = y_mean - slope * (rise_mean + 1.0);
        let fit = Self { a, b: -slope, c, anchor, r2: 0.0 };
        let line = |x: f64| y_mean + slope * ((c * (x - anchor)).exp_m1() - rise_mean);
        Self { r2: r_squared(points, weights, line), ..fit }
    }
}

/// The minimum of a function with one valley between `left` and `right`, to 1e-10 of the interval.
fn golden_section(function: impl Fn(f64) -> f64, mut left: f64, mut right: f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    for _ in 0..48 {
        let (inner_left, inner_right) = (right - golden * (right - left), left + golden * (right - left));
        if function(inner_left) <= function(inner_right) {
            right = inner_right;
        } else {
            left = inner_left;
        }
    }
    0.5 * (left + right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(x: &[f64], y: &[f64]) -> Result<ExponentialFit, MetricsError> {
        let points = Scatter::new(x, y)?;
        ExponentialFit::new(&points, points.each_once())
    }

    #[test]
    fn an_exact_exponential_is_recovered() {
        let x: Vec<f64> = (0..30).map(|i| 0.86 + 0.004 * f64::from(i)).collect();
        for c in [35.0, -35.0, 300.0] {
            let anchor = if c > 0.0 { x[29] } else { x[0] };
            let y: Vec<f64> = x.iter().map(|x| 0.74 - 0.4 * (c * (x - anchor)).exp()).collect();
            let fit = fit(&x, &y).unwrap();
            // Near its valley the error is flat to the root of f64's precision, and so is c.
            assert!((fit.c / c - 1.0).abs() < 1e-5, "{fit:?}");
            assert!(fit.r2() > 1.0 - 1e-12, "{fit:?}");
            assert!((fit.a - 0.74).abs() < 1e-5 && (fit.b - 0.4).abs() < 1e-5, "{fit:?}");
            assert_eq!(fit.predict(anchor), fit.a - fit.b);
        }
    }

    #[test]
    fn a_straight_line_ends_at_the_weakest_bend() {
        let x: Vec<f64> = (0..10).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| 5.0 - x).collect();
        let fit = fit(&x, &y).unwrap();
        assert!(fit.r2() > 1.0 - 1e-6, "{fit:?}");
        assert!((fit.predict(4.5) - 0.5).abs() < 2e-3, "{fit:?}");
    }

    #[test]
    fn degenerate_inputs_are_refused() {
        assert!(fit(&[0.9, 0.9, 0.95], &[0.7, 0.6, 0.5]).is_err(), "two distinct x");
        assert!(fit(&[0.9, 0.92, 0.95], &[0.7, 0.7, 0.7]).is_err(), "constant y");
    }
}
