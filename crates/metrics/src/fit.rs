//! The paper's law: one quadratic of forgetting on a predictor.

use crate::error::MetricsError;
use crate::scatter::{Scatter, weighted_mean};

/// A parabola with intercept by ordinary least squares.
///
/// Paper: arXiv 2509.04259, sections 4 and 6 (Table 1): a second-degree polynomial over all methods and runs pooled, R² in-sample.
/// Solved in the orthogonal polynomials 1, t, t² − slope·t − offset of the centred and scaled x, so no normal
/// equations are formed and a far outlier in x costs no digits.
///
/// A parabola can turn down inside the data, since forgetting saturates while KL grows; the paper fits it all the
/// same, and so do we, beside [`MonotoneFit`](crate::MonotoneFit).
///
/// ```
/// use razor_metrics::{QuadraticFit, Scatter};
///
/// let points = Scatter::new(&[0.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 5.0, 10.0])?;
/// let fit = QuadraticFit::new(&points, points.each_once())?;
/// assert!((fit.predict(4.0) - 17.0).abs() < 1e-12);
/// # Ok::<(), razor_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuadraticFit {
    center: f64,
    scale: f64,
    slope: f64,
    offset: f64,
    coefficients: [f64; 3],
    r2: f64,
}

impl QuadraticFit {
    /// Fits y on x with one weight per point.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] below 3 distinct x (exactly, or to working precision) or 2 distinct y,
    /// where R² has no value.
    pub fn new(points: &Scatter, weights: &[f64]) -> Result<Self, MetricsError> {
        points.check_spread(weights, 3)?;
        let center = weighted_mean(points.x(), weights);
        let weighted = || weights.iter().zip(points.x()).filter(|&(&w, _)| w > 0.0);
        let scale = weighted().fold(0.0_f64, |max, (_, x)| max.max((x - center).abs()));
        let basis = |x: f64| (x - center) / scale;

        let (mut total, mut second, mut third) = (0.0, 0.0, 0.0);
        for (w, &x) in weighted() {
            let t = basis(x);
            total += w;
            second += w * t * t;
            third += w * t * t * t;
        }
        let (slope, offset) = (third / second, second / total);

        let mean = weighted_mean(points.y(), weights);
        let (mut square, mut on_linear, mut on_quadratic) = (0.0, 0.0, 0.0);
        for ((w, &x), y) in weights.iter().zip(points.x()).zip(points.y()) {
            let t = basis(x);
            let q = (t - slope) * t - offset;
            square += w * q * q;
            on_linear += w * t * (y - mean);
            on_quadratic += w * q * (y - mean);
        }
        // The third direction is rounding noise: x has two values as far as f64 can tell.
        if square <= 1e-26 * total {
            return Err(MetricsError::TooFewDistinct { what: "x", needed: 3, found: 2 });
        }
        let coefficients = [mean, on_linear / second, on_quadratic / square];
        let mut fit = Self { center, scale, slope, offset, coefficients, r2: 0.0 };
        fit.r2 = r_squared(points, weights, |x| fit.predict(x));
        Ok(fit)
    }

    /// The parabola at `x`; outside the fitted range this extrapolates.
    pub fn predict(&self, x: f64) -> f64 {
        let t = (x - self.center) / self.scale;
        let [mean, linear, quadratic] = self.coefficients;
        mean + linear * t + quadratic * ((t - self.slope) * t - self.offset)
    }

    /// In-sample R², at most 1.
    pub fn r2(&self) -> f64 {
        self.r2
    }

    /// `[a0, a1, a2]` of a0 + a1·x + a2·x², for printing; [`Self::predict`] keeps more digits.
    pub fn coefficients(&self) -> [f64; 3] {
        let [mean, linear, quadratic] = self.coefficients;
        let (m, s) = (self.center, self.scale);
        let constant = mean - quadratic * self.offset;
        let tilt = linear - quadratic * self.slope;
        [
            constant - tilt * m / s + quadratic * m * m / (s * s),
            tilt / s - 2.0 * quadratic * m / (s * s),
            quadratic / (s * s),
        ]
    }
}

/// 1 − Σ w·(y − ŷ)² / Σ w·(y − ȳ)². At most 1; below 0 when the prediction is worse than the mean ȳ of these points.
///
/// The caller has checked that y is not constant.
pub(crate) fn r_squared(points: &Scatter, weights: &[f64], predict: impl Fn(f64) -> f64) -> f64 {
    let mean = weighted_mean(points.y(), weights);
    let (mut residual, mut spread) = (0.0, 0.0);
    for ((w, &x), y) in weights.iter().zip(points.x()).zip(points.y()) {
        residual += w * (y - predict(x)).powi(2);
        spread += w * (y - mean).powi(2);
    }
    1.0 - residual / spread
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(x: &[f64], y: &[f64]) -> Result<QuadraticFit, MetricsError> {
        let points = Scatter::new(x, y)?;
        QuadraticFit::new(&points, points.each_once())
    }

    #[test]
    fn an_exact_parabola_is_recovered_far_from_zero() {
        let x: Vec<f64> = (0..20).map(|i| 1e6 + f64::from(i)).collect();
        let y: Vec<f64> = x.iter().map(|x| 3.0 - 2.0 * (x - 1e6) + 0.5 * (x - 1e6).powi(2)).collect();
        let fit = fit(&x, &y).unwrap();
        assert!((fit.r2() - 1.0).abs() < 1e-14, "{}", fit.r2());
        for (x, y) in x.iter().zip(&y) {
            // 1e6 + i has 1e-10 of resolution; y reaches 145.
            assert!((fit.predict(*x) - y).abs() < 1e-9);
        }
    }

    #[test]
    fn printed_coefficients_are_the_same_parabola() {
        let fit = fit(&[0.1, 0.5, 2.0, 4.0, 9.0], &[0.0, 0.1, 0.3, 0.35, 0.6]).unwrap();
        let [a0, a1, a2] = fit.coefficients();
        for x in [0.0, 0.3, 5.0, 12.0] {
            assert!((fit.predict(x) - (a0 + a1 * x + a2 * x * x)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_weight_of_two_is_the_point_twice() {
        let points = Scatter::new(&[0.0, 1.0, 2.0, 4.0], &[0.0, 2.0, 1.0, 3.0]).unwrap();
        assert!(QuadraticFit::new(&points, &[1.0, 2.0, 0.0, 0.0]).is_err(), "two distinct x count");
        let weighted = QuadraticFit::new(&points, &[1.0, 2.0, 1.0, 3.0]).unwrap();
        let repeated =
            fit(&[0.0, 1.0, 1.0, 2.0, 4.0, 4.0, 4.0], &[0.0, 2.0, 2.0, 1.0, 3.0, 3.0, 3.0]).unwrap();
        assert!((weighted.r2() - repeated.r2()).abs() < 1e-14);
        assert!((weighted.predict(3.0) - repeated.predict(3.0)).abs() < 1e-13);
    }

    #[test]
    fn degenerate_inputs_are_refused() {
        assert!(fit(&[], &[]).is_err());
        assert!(fit(&[1.0, 1.0, 2.0, 2.0], &[0.0, 1.0, 2.0, 3.0]).is_err(), "two distinct x");
        assert!(fit(&[1.0, 2.0, 3.0], &[0.5, 0.5, 0.5]).is_err(), "constant y");
        assert!(fit(&[0.0, 1.0, 1.0 + 1e-15], &[0.0, 1.0, 2.0]).is_err(), "two x to working precision");
        assert!(fit(&[1.0, 2.0, f64::INFINITY], &[0.0, 1.0, 2.0]).is_err());
    }
}
