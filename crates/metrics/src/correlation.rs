//! Pearson and Spearman correlation.

use crate::error::MetricsError;
use crate::scatter::{Scatter, weighted_mean};

/// Pearson's correlation of x and y, in \[-1, 1\].
///
/// The related studies report it beside R² (arXiv 2510.18874 finds 0.52 for the KL law).
///
/// # Errors
/// [`MetricsError::TooFewDistinct`] when x or y is constant.
pub fn pearson(points: &Scatter, weights: &[f64]) -> Result<f64, MetricsError> {
    points.check_spread(weights, 2)?;
    Ok(correlation(points.x(), points.y(), weights))
}

/// Spearman's rank correlation of x and y, in \[-1, 1\]; tied values share the average of their ranks.
///
/// It asks only whether forgetting rises with the predictor, so it is the fairest figure where forgetting
/// saturates. A weight of n ranks like the point written n times.
///
/// # Errors
/// [`MetricsError::TooFewDistinct`] when x or y is constant.
pub fn spearman(points: &Scatter, weights: &[f64]) -> Result<f64, MetricsError> {
    points.check_spread(weights, 2)?;
    let x_ranks = average_ranks(points.x(), points.by_x(), weights);
    let y_ranks = average_ranks(points.y(), points.by_y(), weights);
    Ok(correlation(&x_ranks, &y_ranks, weights))
}

fn correlation(x: &[f64], y: &[f64], weights: &[f64]) -> f64 {
    let (x_mean, y_mean) = (weighted_mean(x, weights), weighted_mean(y, weights));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for ((&w, &x), &y) in weights.iter().zip(x).zip(y) {
        let (dx, dy) = (x - x_mean, y - y_mean);
        xx += w * dx * dx;
        yy += w * dy * dy;
        xy += w * dx * dy;
    }
    // Two roots, since a product of tiny variances would underflow.
    (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
}

/// Ranks from 1 in the order given, ties averaged; points without weight keep rank 0 and do not count.
fn average_ranks(values: &[f64], ascending: &[usize], weights: &[f64]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0.0;
    for ties in ascending.chunk_by(|&a, &b| values[a] == values[b]) {
        let tied: f64 = ties.iter().map(|&idx| weights[idx]).sum();
        for &idx in ties {
            ranks[idx] = below + 0.5 * (tied + 1.0);
        }
        below += tied;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rising_curve_has_spearman_one() {
        let x: Vec<f64> = (0..30).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| x.exp()).collect();
        let points = Scatter::new(&x, &y).unwrap();
        assert!((spearman(&points, points.each_once()).unwrap() - 1.0).abs() < 1e-15);
        assert!(pearson(&points, points.each_once()).unwrap() < 0.5);
    }

    #[test]
    fn a_weight_of_two_ranks_as_the_point_twice() {
        let points = Scatter::new(&[1.0, 2.0, 2.0, 5.0, 4.0], &[3.0, 1.0, 3.0, 4.0, 9.0]).unwrap();
        let repeated = Scatter::new(&[1.0, 2.0, 2.0, 2.0, 5.0], &[3.0, 1.0, 3.0, 3.0, 4.0]).unwrap();
        let weights = [1.0, 1.0, 2.0, 1.0, 0.0];
        let (once, twice) = (spearman(&points, &weights), spearman(&repeated, repeated.each_once()));
        assert!((once.unwrap() - twice.unwrap()).abs() < 1e-15);
        let (once, twice) = (pearson(&points, &weights), pearson(&repeated, repeated.each_once()));
        assert!((once.unwrap() - twice.unwrap()).abs() < 1e-15);
    }

    #[test]
    fn tiny_units_do_not_change_the_correlation() {
        let points = Scatter::new(&[1e-160, 2e-160, 4e-160], &[1.0, 2.0, 3.0]).unwrap();
        let same = Scatter::new(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0]).unwrap();
        let (tiny, plain) = (pearson(&points, points.each_once()), pearson(&same, same.each_once()));
        assert!((tiny.unwrap() - plain.unwrap()).abs() < 1e-3, "1e-320 squares keep a few bits");
    }

    #[test]
    fn a_constant_has_no_correlation() {
        let points = Scatter::new(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!(pearson(&points, points.each_once()).is_err());
        assert!(spearman(&points, points.each_once()).is_err());
    }
}
