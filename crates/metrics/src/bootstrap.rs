//! Intervals: resampling whole runs, and a mean over seeds.

use rand::Rng;
use razor_core::Seed;
use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, check_finite};

/// Resamples of runs, drawn once and shared by every statistic of a study.
///
/// The checkpoints of one training are correlated, so a resample draws as many *runs* as there are, with
/// replacement, and takes all points of a drawn run together. Because all statistics see the same resamples,
/// differences between them (KL's R² less the best other R²) have honest intervals too. Not stratified: a
/// resample may hold fewer runs of a method, or none.
///
/// The paper prints "±" without saying over what (arXiv 2509.04259, Table 1); our choice is the standard deviation of
/// this bootstrap, and we also print its percentile interval.
///
/// ```
/// use razor_core::Seed;
/// use razor_metrics::{QuadraticFit, RunBootstrap, Scatter};
///
/// let kl = [0.0, 0.1, 0.3, 0.0, 0.2, 0.5, 0.1, 0.4, 0.9];
/// let forgetting = [0.0, 0.02, 0.05, 0.01, 0.04, 0.08, 0.01, 0.07, 0.10];
/// let points = Scatter::new(&kl, &forgetting)?;
/// let runs = RunBootstrap::new(&["a", "a", "a", "b", "b", "b", "c", "c", "c"], 200, Seed::new(0))?;
/// let r2 = runs.interval(|weights| Some(QuadraticFit::new(&points, weights).ok()?.r2()));
/// assert!(r2.is_some_and(|r2| r2.low <= r2.estimate && r2.high <= 1.0));
/// # Ok::<(), razor_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RunBootstrap {
    run_of_point: Vec<usize>,
    /// How often each run was drawn, `[n_resamples][n_runs]`.
    draws: Vec<Vec<f64>>,
}

/// A figure with its bootstrap spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapInterval {
    /// The statistic of the data, every point once.
    pub estimate: f64,
    /// 2.5th percentile of the resamples.
    pub low: f64,
    /// 97.5th percentile of the resamples.
    pub high: f64,
    /// Standard deviation of the resamples.
    pub standard_deviation: f64,
    /// Resamples in which the statistic was undefined; they are left out of the other figures.
    pub n_undefined: usize,
}

impl RunBootstrap {
    /// Draws the resamples. `run_of_point` names the run of each point; the order of points does not matter.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] below 2 runs: one run says nothing about the spread between runs.
    pub fn new<R: Ord>(run_of_point: &[R], n_resamples: usize, seed: Seed) -> Result<Self, MetricsError> {
        let (names, run_of_point) = number_groups(run_of_point);
        let n_runs = names.len();
        if n_runs < 2 {
            return Err(MetricsError::TooFewDistinct { what: "run", needed: 2, found: n_runs });
        }
        let draws = (0..n_resamples).map(|resample| {
            let mut rng = seed.derive("bootstrap over runs", resample as u64).rng();
            let mut counts = vec![0.0; n_runs];
            for _ in 0..n_runs {
                counts[rng.random_range(0..n_runs)] += 1.0;
            }
            counts
        });
        Ok(Self { run_of_point, draws: draws.collect() })
    }

    /// The interval of one statistic of weighted points; `None` when it is undefined on the data itself or on
    /// all but one resample.
    ///
    /// `statistic` gets one weight per point: how often its run was drawn.
    pub fn interval(&self, mut statistic: impl FnMut(&[f64]) -> Option<f64>) -> Option<BootstrapInterval> {
        self.intervals(|weights| vec![statistic(weights)]).pop().flatten()
    }

    /// Intervals of several statistics computed together, for instance a curve on a grid (its pointwise band)
    /// or a figure per method. Each follows the rule of [`Self::interval`].
    ///
    /// # Panics
    /// When `statistics` returns another number of values than for the data itself.
    pub fn intervals(
        &self,
        mut statistics: impl FnMut(&[f64]) -> Vec<Option<f64>>,
    ) -> Vec<Option<BootstrapInterval>> {
        let mut weights = vec![1.0; self.run_of_point.len()];
        let estimates = statistics(&weights);
        let mut samples = vec![Vec::with_capacity(self.draws.len()); estimates.len()];
        for draw in &self.draws {
            for (weight, &run) in weights.iter_mut().zip(&self.run_of_point) {
                *weight = draw[run];
            }
            let values = statistics(&weights);
            assert_eq!(
                values.len(),
                estimates.len(),
                "{} statistics, then {}",
                estimates.len(),
                values.len()
            );
            for (sample, value) in samples.iter_mut().zip(values) {
                sample.extend(value.filter(|value| value.is_finite()));
            }
        }
        let n_resamples = self.draws.len();
        let estimates = estimates.into_iter().map(|estimate| estimate.filter(|value| value.is_finite()));
        estimates.zip(samples).map(|(e, s)| summarize(e?, s, n_resamples)).collect()
    }
}

/// Mean over independent seeds or runs with its two-sided 95 % Student interval.
///
/// Resampling 3 seeds would give intervals far too narrow, hence Student's t; it assumes a roughly normal spread
/// between seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanInterval {
    /// Mean of the values.
    pub mean: f64,
    /// Lower end; `None` for a single value, which has no interval.
    pub low: Option<f64>,
    /// Upper end; `None` for a single value.
    pub high: Option<f64>,
    /// Number of values.
    pub n_values: usize,
}

impl MeanInterval {
    /// Mean and interval of one value per seed.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] for no value, [`MetricsError::NotFinite`] for NaN or an infinity.
    pub fn new(values: &[f64]) -> Result<Self, MetricsError> {
        check_finite("value", values)?;
        if values.is_empty() {
            return Err(MetricsError::TooFewDistinct { what: "value", needed: 1, found: 0 });
        }
        let n_values = values.len();
        let (mean, deviation) = mean_and_deviation(values);
        let half = deviation.map(|sd| student_975(n_values - 1) * sd / (n_values as f64).sqrt());
        Ok(Self { mean, low: half.map(|h| mean - h), high: half.map(|h| mean + h), n_values })
    }
}

/// Distinct names in ascending order, and the number of each entry's name.
pub(crate) fn number_groups<G: Ord>(group_of_point: &[G]) -> (Vec<&G>, Vec<usize>) {
    let mut names: Vec<&G> = group_of_point.iter().collect();
    names.sort_unstable();
    names.dedup();
    let number = |group| names.binary_search(&group).expect("every name is in the list");
    let numbers = group_of_point.iter().map(number).collect();
    (names, numbers)
}

fn summarize(estimate: f64, mut sample: Vec<f64>, n_resamples: usize) -> Option<BootstrapInterval> {
    let standard_deviation = mean_and_deviation(&sample).1?;
    sample.sort_unstable_by(f64::total_cmp);
    Some(BootstrapInterval {
        estimate,
        low: percentile(&sample, 0.025),
        high: percentile(&sample, 0.975),
        standard_deviation,
        n_undefined: n_resamples - sample.len(),
    })
}

/// Mean, and standard deviation with n − 1 (`None` below two values).
fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// Linear between order statistics, as NumPy's default; `sorted` is not empty.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = share * last as f64;
    let below = position.floor();
    let left = sorted[below as usize];
    let right = sorted[(below as usize + 1).min(last)];
    left + (right - left) * (position - below)
}

/// 97.5th percentile of Student's t: exact to 5 digits below 5 degrees of freedom, then Fisher's expansion in
/// 1/n, which is within 2e-4.
fn student_975(degrees: usize) -> f64 {
    const SMALL: [f64; 4] = [12.706_205, 4.302_653, 3.182_446, 2.776_445];
    if let Some(value) = degrees.checked_sub(1).and_then(|idx| SMALL.get(idx)) {
        return *value;
    }
    let (z, n) = (1.959_963_985_f64, degrees as f64);
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    let g4 = (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z)
        / 92160.0;
    z + g1 / n + g2 / n.powi(2) + g3 / n.powi(3) + g4 / n.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scatter::weighted_mean;

    /// `n_runs` runs of `n_points` equal values each, one standard-normal-like value per run.
    fn clustered(n_runs: usize, n_points: usize) -> (Vec<usize>, Vec<f64>) {
        let mut rng = Seed::new(11).rng();
        (0..n_runs)
            .flat_map(|run| {
                let value = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                vec![(run, value); n_points]
            })
            .unzip()
    }

    #[test]
    fn correlated_checkpoints_do_not_narrow_the_interval() {
        let spread = |n_points| {
            let (runs, values) = clustered(40, n_points);
            let bootstrap = RunBootstrap::new(&runs, 2000, Seed::new(0)).unwrap();
            bootstrap.interval(|weights| Some(weighted_mean(&values, weights))).unwrap().standard_deviation
        };
        assert!((spread(10) - spread(1)).abs() < 1e-12);
        // Unit variance: the mean of 40 runs has 1/sqrt(40) = 0.158, known to about 11 % from 40 values.
        assert!((0.11..0.21).contains(&spread(1)), "{}", spread(1));
    }

    #[test]
    fn the_interval_holds_the_estimate_of_a_well_behaved_statistic() {
        let (runs, values) = clustered(30, 5);
        let bootstrap = RunBootstrap::new(&runs, 500, Seed::new(1)).unwrap();
        let mean = bootstrap.interval(|weights| Some(weighted_mean(&values, weights))).unwrap();
        assert!(mean.low < mean.estimate && mean.estimate < mean.high, "{mean:?}");
        // A normal spread has its percentiles 3.92 standard deviations apart; 500 resamples move that by 5 %.
        let width = (mean.high - mean.low) / mean.standard_deviation;
        assert!((3.4..4.4).contains(&width), "{width}");
    }

    #[test]
    fn the_order_of_points_does_not_matter() {
        let (mut runs, mut values) = clustered(8, 3);
        let interval = |runs: &[usize], values: &[f64]| {
            let bootstrap = RunBootstrap::new(runs, 100, Seed::new(2)).unwrap();
            bootstrap.interval(|weights| Some(weighted_mean(values, weights))).unwrap()
        };
        let forward = interval(&runs, &values);
        runs.reverse();
        values.reverse();
        let backward = interval(&runs, &values);
        assert!((forward.low - backward.low).abs() < 1e-14);
        assert!((forward.high - backward.high).abs() < 1e-14);
    }

    #[test]
    fn undefined_resamples_are_counted_and_left_out() {
        let bootstrap = RunBootstrap::new(&[0, 1], 400, Seed::new(0)).unwrap();
        // Undefined whenever run 0 is not drawn: a quarter of the resamples, with standard deviation 9 of 400.
        let only_run_0 = bootstrap.interval(|weights| (weights[0] > 0.0).then_some(weights[0])).unwrap();
        assert!((60..140).contains(&only_run_0.n_undefined), "{}", only_run_0.n_undefined);
        assert_eq!((only_run_0.low, only_run_0.high), (1.0, 2.0));
        assert_eq!(bootstrap.interval(|_| None), None);
        assert_eq!(bootstrap.interval(|weights| (weights == [1.0, 1.0]).then_some(f64::NAN)), None);
    }

    #[test]
    fn one_run_has_no_spread() {
        let error = RunBootstrap::new(&["a", "a"], 10, Seed::new(0)).unwrap_err();
        assert_eq!(error.to_string(), "run has 1 distinct values, expected at least 2");
    }

    #[test]
    fn one_seed_has_a_mean_and_no_interval() {
        let one = MeanInterval::new(&[0.5]).unwrap();
        assert_eq!((one.mean, one.low, one.high), (0.5, None, None));
        assert!(MeanInterval::new(&[]).is_err());
        assert!(MeanInterval::new(&[0.5, f64::NAN]).is_err());
    }
}
