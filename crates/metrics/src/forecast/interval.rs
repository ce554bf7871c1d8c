//! An interval for one checkpoint of a run that nobody has seen.

/// What the law fitted without one run says of that run and of the new model.
pub(super) struct WithoutRun {
    /// |observed − predicted| of the points of the run.
    pub(super) residuals: Vec<f64>,
    /// The prediction for the new model.
    pub(super) prediction: f64,
}

/// Runs that are needed before the interval at `level` has two ends.
pub(super) fn runs_needed(level: f64) -> usize {
    (level / (1.0 - level) - ROUNDING).ceil() as usize
}

const ROUNDING: f64 = 1e-9;

/// The hierarchical jackknife+: whole runs are left out, each run weighs 1 and shares it among its points, and one run
/// more stands at infinity for the new one.
///
/// Source: Lee, Barber, Willett, "Distribution-free inference with hierarchical data", arXiv 2306.06342, after the
/// jackknife+ of Barber, Candès, Ramdas, Tibshirani, arXiv 1905.02928. When the new run is exchangeable with those of the
/// calibration, whatever the law, the interval holds the new value with probability of at least 2·level − 1 in the worst
/// case and about `level` for fits that one run does not change much.
///
/// `None` when there are fewer runs than [`runs_needed`].
pub(super) fn hierarchical_jackknife(runs: &[WithoutRun], level: f64) -> Option<(f64, f64)> {
    let end = |sign: f64| {
        let mut ends: Vec<(f64, f64)> = Vec::new();
        for run in runs {
            let weight = 1.0 / run.residuals.len() as f64;
            ends.extend(run.residuals.iter().map(|residual| (sign * run.prediction + residual, weight)));
        }
        upper_quantile(ends, level * (runs.len() + 1) as f64)
    };
    Some((-end(-1.0)?, end(1.0)?))
}

/// The smallest value up to which the weights reach `mass`.
fn upper_quantile(mut weighted: Vec<(f64, f64)>, mass: f64) -> Option<f64> {
    weighted.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    let mut sum = 0.0;
    let reached = weighted.into_iter().find(|(_, weight)| {
        sum += weight;
        sum >= mass - ROUNDING
    });
    reached.map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(prediction: f64, residuals: &[f64]) -> WithoutRun {
        WithoutRun { residuals: residuals.to_vec(), prediction }
    }

    #[test]
    fn ninety_percent_need_nine_runs_and_then_take_the_largest_residual() {
        assert_eq!(runs_needed(0.9), 9);
        assert_eq!(runs_needed(0.95), 19);
        let runs: Vec<_> = (1..=9).map(|idx| run(1.0, &[0.01 * f64::from(idx)])).collect();
        assert_eq!(hierarchical_jackknife(&runs[..8], 0.9).map(|(low, _)| low), None);
        let (low, high) = hierarchical_jackknife(&runs, 0.9).unwrap();
        assert!((low - 0.91).abs() < 1e-12 && (high - 1.09).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn a_run_weighs_the_same_however_many_checkpoints_it_has() {
        let mut runs: Vec<_> = (0..19).map(|_| run(0.0, &[0.1])).collect();
        runs.push(run(0.0, &[9.0; 100]));
        // One run in twenty-one is far off; a hundred points of it must not move the 90 % interval.
        assert_eq!(hierarchical_jackknife(&runs, 0.9), Some((-0.1, 0.1)));
        runs.extend((0..2).map(|_| run(0.0, &[9.0])));
        assert_eq!(hierarchical_jackknife(&runs, 0.9), Some((-9.0, 9.0)));
    }

    #[test]
    fn a_law_that_hangs_on_one_run_widens_the_interval() {
        let steady: Vec<_> = (0..12).map(|_| run(0.5, &[0.01])).collect();
        let shaky: Vec<_> = (0..12).map(|idx| run(if idx < 3 { 0.8 } else { 0.5 }, &[0.01])).collect();
        let width = |runs: &[WithoutRun]| hierarchical_jackknife(runs, 0.9).map(|(low, high)| high - low);
        assert!((width(&steady).unwrap() - 0.02).abs() < 1e-12);
        assert!((width(&shaky).unwrap() - 0.32).abs() < 1e-12);
    }
}
