//! A fit that may only rise: the law without the parabola's turn.

use crate::error::MetricsError;
use crate::scatter::{Scatter, weighted_mean};

/// The nondecreasing function with the smallest squared error, by pooling adjacent violators.
///
/// Points that share an x are averaged first. Between fitted points the function is linear; outside them it has
/// no value ([`MonotoneFit::at`]). Beside the quadratic R² of the paper (arXiv 2509.04259, section 4) we report
/// this R², since forgetting saturates and a parabola turns down at large KL. Its in-sample R² is never below
/// that of a rising straight line, so compare it between predictors, not with the quadratic.
///
/// Fitted to one method's points (KL, forgetting), `at` answers "how much does this method forget at this KL".
#[derive(Debug, Clone, PartialEq)]
pub struct MonotoneFit {
    knots: Vec<(f64, f64)>,
    r2: f64,
}

/// Neighbouring x that share one fitted value.
struct Block {
    first_x: f64,
    last_x: f64,
    mean: f64,
    weight: f64,
}

impl MonotoneFit {
    /// Fits y on x with one weight per point.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] below 2 distinct x or 2 distinct y, where R² has no value.
    pub fn new(points: &Scatter, weights: &[f64]) -> Result<Self, MetricsError> {
        points.check_spread(weights, 2)?;
        let blocks = pool_adjacent_violators(points, weights);
        let mean = weighted_mean(points.y(), weights);
        // A block's value is the mean of its points, so R² is the spread between blocks over the whole spread.
        let between: f64 = blocks.iter().map(|block| block.weight * (block.mean - mean).powi(2)).sum();
        let spread: f64 = points.y().iter().zip(weights).map(|(y, w)| w * (y - mean).powi(2)).sum();
        let mut knots = Vec::with_capacity(2 * blocks.len());
        for block in &blocks {
            knots.push((block.first_x, block.mean));
            if block.last_x > block.first_x {
                knots.push((block.last_x, block.mean));
            }
        }
        Ok(Self { knots, r2: (between / spread).min(1.0) })
    }

    /// In-sample R², in \[0, 1\].
    pub fn r2(&self) -> f64 {
        self.r2
    }

    /// The fitted value at `x`, linear between fitted points; `None` outside the observed range of x.
    pub fn at(&self, x: f64) -> Option<f64> {
        let above = self.knots.partition_point(|&(knot, _)| knot < x);
        let &(right_x, right) = self.knots.get(above)?;
        if right_x == x {
            return Some(right);
        }
        let &(left_x, left) = self.knots.get(above.checked_sub(1)?)?;
        Some(left + (right - left) * (x - left_x) / (right_x - left_x))
    }

    /// Corners of the fitted line, ascending in x and nondecreasing in y; what a figure draws.
    pub fn knots(&self) -> &[(f64, f64)] {
        &self.knots
    }
}

fn pool_adjacent_violators(points: &Scatter, weights: &[f64]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for mut block in distinct_x(points, weights) {
        while let Some(left) = blocks.pop_if(|left| left.mean >= block.mean) {
            block = left.merge(&block);
        }
        blocks.push(block);
    }
    blocks
}

/// One block per distinct x, ascending. Ties are averaged before any pooling, or their order would matter.
fn distinct_x(points: &Scatter, weights: &[f64]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::with_capacity(points.x().len());
    for &idx in points.by_x().iter().filter(|&&idx| weights[idx] > 0.0) {
        let x = points.x()[idx];
        let point = Block { first_x: x, last_x: x, mean: points.y()[idx], weight: weights[idx] };
        match blocks.last_mut() {
            Some(tie) if tie.first_x == x => *tie = tie.merge(&point),
            _ => blocks.push(point),
        }
    }
    blocks
}

impl Block {
    fn merge(&self, right: &Self) -> Self {
        let weight = self.weight + right.weight;
        Self {
            first_x: self.first_x,
            last_x: right.last_x,
            mean: self.mean + (right.mean - self.mean) * right.weight / weight,
            weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use razor_core::Seed;

    use super::*;

    fn fit(x: &[f64], y: &[f64]) -> Result<MonotoneFit, MetricsError> {
        let points = Scatter::new(x, y)?;
        MonotoneFit::new(&points, points.each_once())
    }

    #[test]
    fn rising_data_are_fitted_exactly() {
        let fit = fit(&[3.0, 1.0, 2.0], &[9.0, 1.0, 4.0]).unwrap();
        assert_eq!(fit.knots(), [(1.0, 1.0), (2.0, 4.0), (3.0, 9.0)]);
        assert!((fit.r2() - 1.0).abs() < 1e-15);
        assert_eq!(fit.at(2.5), Some(6.5));
    }

    #[test]
    fn falling_data_get_their_mean_and_no_r2() {
        let fit = fit(&[1.0, 2.0, 3.0], &[9.0, 4.0, 2.0]).unwrap();
        assert_eq!(fit.knots(), [(1.0, 5.0), (3.0, 5.0)]);
        assert!(fit.r2().abs() < 1e-15);
    }

    #[test]
    fn a_level_outside_the_observed_range_has_no_value() {
        let fit = fit(&[1.0, 2.0], &[0.0, 1.0]).unwrap();
        assert_eq!((fit.at(0.99), fit.at(1.0), fit.at(2.0)), (None, Some(0.0), Some(1.0)));
        assert_eq!((fit.at(2.01), fit.at(f64::NAN)), (None, None));
    }

    #[test]
    fn ties_in_x_are_averaged_before_pooling() {
        let fit = fit(&[0.0, 1.0, 1.0], &[5.0, 0.0, 20.0]).unwrap();
        assert_eq!(fit.knots(), [(0.0, 5.0), (1.0, 10.0)]);
    }

    #[test]
    fn the_fit_never_falls_and_r2_stays_in_range_on_noise() {
        let mut rng = Seed::new(3).rng();
        for n_points in 2..60 {
            let x: Vec<f64> = (0..n_points).map(|_| f64::from(rng.random_range(0..30_u8))).collect();
            let y: Vec<f64> = (0..n_points).map(|_| rng.random::<f64>()).collect();
            let Ok(fit) = fit(&x, &y) else { continue };
            assert!(fit.knots().is_sorted_by(|left, right| left.0 < right.0 && left.1 <= right.1));
            assert!((0.0..=1.0).contains(&fit.r2()));
        }
    }

    #[test]
    fn degenerate_inputs_are_refused() {
        assert!(fit(&[1.0, 1.0], &[0.0, 1.0]).is_err(), "one distinct x");
        assert!(fit(&[1.0, 2.0], &[1.0, 1.0]).is_err(), "constant y");
    }
}
