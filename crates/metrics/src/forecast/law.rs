//! The laws that a forecast chooses among, and how they are fitted.

use serde::Serialize;

use super::CalibrationPoint;

/// What can be known of a tuned model before any benchmark is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewTaskMeasurement {
    /// KL(π₀‖π) on prompts of the new task, nats per completion.
    pub kl_reference_to_policy: f64,
    /// ‖Δθ‖₂ / ‖θ₀‖₂ of all weights; `None` when they were not compared.
    pub relative_weight_change: Option<f64>,
    /// ln(learning rate × optimizer steps); `None` when unknown.
    pub log_step: Option<f64>,
}

/// One of the measured numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predictor {
    Kl,
    WeightChange,
    LogStep,
}

impl Predictor {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kl => "kl_reference_to_policy",
            Self::WeightChange => "relative_weight_change",
            Self::LogStep => "log_step",
        }
    }

    pub(super) fn of(self, measurement: &NewTaskMeasurement) -> Option<f64> {
        match self {
            Self::Kl => Some(measurement.kl_reference_to_policy),
            Self::WeightChange => measurement.relative_weight_change,
            Self::LogStep => measurement.log_step,
        }
    }
}

/// A law of forgetting: least squares with intercept, every point once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// A parabola in KL(π₀‖π), the paper's law (arXiv 2509.04259, section 4).
    Kl,
    /// A parabola in ln(learning rate × steps).
    LogStep,
    /// A parabola in ‖Δθ‖₂ / ‖θ₀‖₂.
    WeightChange,
    /// The sum of a parabola in KL and one in the weight change.
    KlAndWeightChange,
    /// The mean drop, whatever was measured: what a law has to beat. No forecast uses it.
    Mean,
}

impl Law {
    /// Every law, in the order in which ties are decided.
    pub const ALL: [Self; 5] =
        [Self::Kl, Self::LogStep, Self::WeightChange, Self::KlAndWeightChange, Self::Mean];

    /// In words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Kl => "quadratic in KL(base‖tuned)",
            Self::LogStep => "quadratic in ln(learning rate × steps)",
            Self::WeightChange => "quadratic in the relative weight change",
            Self::KlAndWeightChange => "quadratics in KL(base‖tuned) and weight change added",
            Self::Mean => "mean drop (no law, for comparison)",
        }
    }

    pub(super) fn predictors(self) -> &'static [Predictor] {
        match self {
            Self::Kl => &[Predictor::Kl],
            Self::LogStep => &[Predictor::LogStep],
            Self::WeightChange => &[Predictor::WeightChange],
            Self::KlAndWeightChange => &[Predictor::Kl, Predictor::WeightChange],
            Self::Mean => &[],
        }
    }

    /// Fits the law; `None` when a predictor is unknown at some point, or the points do not determine the law.
    pub(super) fn fit(self, points: &[&CalibrationPoint]) -> Option<LawFit> {
        if points.is_empty() {
            return None;
        }
        let mut axes = Vec::with_capacity(self.predictors().len());
        let mut columns = vec![vec![1.0; points.len()]];
        for &predictor in self.predictors() {
            let values: Option<Vec<f64>> =
                points.iter().map(|point| predictor.of(&point.measurement())).collect();
            let axis = Axis::new(predictor, &values?)?;
            let scaled: Option<Vec<f64>> = points.iter().map(|point| axis.of(&point.measurement())).collect();
            let scaled = scaled?;
            columns.push(scaled.clone());
            columns.push(scaled.iter().map(|value| value * value).collect());
            axes.push(axis);
        }
        let drops: Vec<f64> = points.iter().map(|point| point.drop).collect();
        Some(LawFit { axes, coefficients: least_squares(columns, drops)? })
    }
}

/// A fitted law.
pub(super) struct LawFit {
    axes: Vec<Axis>,
    /// Of 1, then z and z² of each axis.
    coefficients: Vec<f64>,
}

impl LawFit {
    /// The drop; `None` when a predictor is unknown.
    pub(super) fn predict(&self, measurement: &NewTaskMeasurement) -> Option<f64> {
        let mut drop = self.coefficients[0];
        for (axis, pair) in self.axes.iter().zip(self.coefficients[1..].chunks_exact(2)) {
            let z = axis.of(measurement)?;
            drop += (pair[0] + pair[1] * z) * z;
        }
        Some(drop)
    }
}

/// A predictor, centred and scaled to at most 1: powers of it are then of one size.
struct Axis {
    predictor: Predictor,
    center: f64,
    scale: f64,
}

impl Axis {
    /// `None` when all values are the same.
    fn new(predictor: Predictor, values: &[f64]) -> Option<Self> {
        let center = values.iter().sum::<f64>() / values.len() as f64;
        let scale = values.iter().fold(0.0_f64, |largest, value| largest.max((value - center).abs()));
        (scale > 0.0).then_some(Self { predictor, center, scale })
    }

    fn of(&self, measurement: &NewTaskMeasurement) -> Option<f64> {
        Some((self.predictor.of(measurement)? - self.center) / self.scale)
    }
}

/// What is left of a column, by its length, below which it counts as a combination of those before it.
const DEPENDENT: f64 = 1e-9;

/// The coefficients of `columns` closest to `target`, by modified Gram-Schmidt with the target as a last column; `None` when
/// a column is a combination of those before it.
fn least_squares(mut columns: Vec<Vec<f64>>, mut target: Vec<f64>) -> Option<Vec<f64>> {
    let n = columns.len();
    let mut upper = vec![vec![0.0; n]; n];
    let mut on_target = vec![0.0; n];
    for at in 0..n {
        let (done, rest) = columns.split_at_mut(at);
        let column = &mut rest[0];
        let length_before = dot(column, column).sqrt();
        // Twice: what the first pass leaves of the others by rounding, the second removes.
        for _ in 0..2 {
            for (row, unit) in done.iter().enumerate() {
                upper[row][at] += remove(unit, column);
            }
        }
        let length = dot(column, column).sqrt();
        if length <= DEPENDENT * length_before || !length.is_finite() {
            return None;
        }
        column.iter_mut().for_each(|value| *value /= length);
        upper[at][at] = length;
        on_target[at] = remove(column, &mut target);
    }
    for at in (0..n).rev() {
        let known: f64 = (at + 1..n).map(|later| upper[at][later] * on_target[later]).sum();
        on_target[at] = (on_target[at] - known) / upper[at][at];
    }
    Some(on_target)
}

/// Takes out of `column` what points along `unit`, and says how much that was.
fn remove(unit: &[f64], column: &mut [f64]) -> f64 {
    let along = dot(unit, column);
    column.iter_mut().zip(unit).for_each(|(value, direction)| *value -= along * direction);
    along
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QuadraticFit, Scatter};

    fn point(kl: f64, weight_change: f64, drop: f64) -> CalibrationPoint {
        CalibrationPoint {
            task: "math".to_owned(),
            run: "a".to_owned(),
            method: "sft".to_owned(),
            learning_rate: 1e-3,
            kl_reference_to_policy: kl,
            relative_weight_change: weight_change,
            log_step: None,
            drop,
        }
    }

    #[test]
    fn the_law_of_kl_is_the_quadratic_of_the_study() {
        let (kl, drop) = ([0.2, 1.5, 3.0, 11.0, 40.0], [0.0, 0.02, 0.01, 0.09, 0.07]);
        let points: Vec<_> = kl.iter().zip(drop).map(|(&kl, drop)| point(kl, 0.1, drop)).collect();
        let law = Law::Kl.fit(&points.iter().collect::<Vec<_>>()).unwrap();
        let scatter = Scatter::new(&kl, &drop).unwrap();
        let quadratic = QuadraticFit::new(&scatter, scatter.each_once()).unwrap();
        for kl in [0.0, 7.0, 55.0] {
            let drop = law.predict(&point(kl, 0.0, 0.0).measurement()).unwrap();
            assert!((drop - quadratic.predict(kl)).abs() < 1e-13, "{kl}: {drop}");
        }
    }

    #[test]
    fn a_sum_of_two_parabolas_is_recovered() {
        let truth = |kl: f64, change: f64| 0.01 + 2e-3 * kl - 1e-5 * kl * kl + 0.3 * change * (1.0 + change);
        let points: Vec<_> = (0..12)
            .map(|idx| (f64::from(idx * 7 % 12) * 3.0, f64::from(idx * 5 % 7) * 0.02))
            .map(|(kl, change)| point(kl, change, truth(kl, change)))
            .collect();
        let law = Law::KlAndWeightChange.fit(&points.iter().collect::<Vec<_>>()).unwrap();
        let drop = law.predict(&point(20.0, 0.05, 0.0).measurement()).unwrap();
        assert!((drop - truth(20.0, 0.05)).abs() < 1e-12, "{drop}");
    }

    #[test]
    fn points_that_do_not_determine_a_law_give_none() {
        let points: Vec<_> = [0.1, 0.5, 2.0, 4.0, 7.0].map(|kl| point(kl, 0.3 * kl, 0.01 * kl)).into();
        let points: Vec<&CalibrationPoint> = points.iter().collect();
        assert!(Law::Kl.fit(&points).is_some());
        assert!(Law::Kl.fit(&points[..2]).is_none(), "two points have many parabolas");
        assert!(Law::KlAndWeightChange.fit(&points).is_none(), "the change is a multiple of the KL");
        assert!(Law::LogStep.fit(&points).is_none(), "unknown steps");
        assert!(Law::Mean.fit(&[]).is_none());
    }
}
