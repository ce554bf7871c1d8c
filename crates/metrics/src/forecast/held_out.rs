//! How wrong each law is about methods and learning rates that it never saw.

use serde::Serialize;

use super::{Calibration, CalibrationPoint, Law};
use crate::error::MetricsError;

/// Errors of predictions for points that the law was not fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeldOutError {
    /// Root of the mean squared error over all points, as a fraction of accuracy.
    pub root_mean_square: f64,
    /// Mean absolute error over all points, as a fraction of accuracy.
    pub mean_absolute: f64,
    /// Fits, each without one group.
    pub n_groups: usize,
}

/// A law with what it costs to trust it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LawError {
    /// The law.
    pub law: Law,
    /// Every method predicted from all others. `None` when there is one method, an input of the law is unknown at some
    /// point, or the others do not determine the law.
    pub without_method: Option<HeldOutError>,
    /// Every learning rate predicted from all others, `None` as before.
    pub without_learning_rate: Option<HeldOutError>,
}

/// The out-of-sample errors of all laws on one task, in the order of [`Law::ALL`].
///
/// Points count alike, so a method or run with more checkpoints counts more.
///
/// # Errors
/// [`MetricsError::UnknownTask`].
pub fn law_errors(calibration: &Calibration, task: &str) -> Result<Vec<LawError>, MetricsError> {
    let points = calibration.points_of(task)?;
    let error = |law| LawError {
        law,
        without_method: held_out(law, &points, |point| point.method.as_str()),
        // The bits of a positive number are in its order, and equal numbers have equal bits.
        without_learning_rate: held_out(law, &points, |point| point.learning_rate.to_bits()),
    };
    Ok(Law::ALL.map(error).to_vec())
}

/// The law with the smallest error on methods left out; none of `laws` may fit.
pub(super) fn best_law(laws: &[Law], points: &[&CalibrationPoint]) -> Option<Law> {
    let errors =
        laws.iter().filter_map(|&law| Some((held_out(law, points, |point| point.method.as_str())?, law)));
    let best =
        errors.min_by(|(left, _), (right, _)| left.root_mean_square.total_cmp(&right.root_mean_square));
    best.map(|(_, law)| law)
}

fn held_out<'a, K: Ord>(
    law: Law,
    points: &[&'a CalibrationPoint],
    group_of: impl Fn(&'a CalibrationPoint) -> K,
) -> Option<HeldOutError> {
    let mut groups: Vec<K> = points.iter().map(|point| group_of(point)).collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() < 2 {
        return None;
    }
    let (mut squares, mut distances) = (0.0, 0.0);
    for group in &groups {
        let (inside, outside): (Vec<_>, Vec<_>) = points.iter().partition(|point| group_of(point) == *group);
        let fit = law.fit(&outside)?;
        for point in inside {
            let error = point.drop - fit.predict(&point.measurement())?;
            squares += error * error;
            distances += error.abs();
        }
    }
    let n_points = points.len() as f64;
    Some(HeldOutError {
        root_mean_square: (squares / n_points).sqrt(),
        mean_absolute: distances / n_points,
        n_groups: groups.len(),
    })
}
