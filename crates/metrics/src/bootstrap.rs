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
    pub fn interval(
        &self,
        mut statistic: impl FnMut(&[f64]) -> Option<f64>,
    ) -> Option<BootstrapInterval> {
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
            assert_eq!(values.len(), estimates.len(), "{} statistics, then {}", estimates.len(), values.len());
            for (sample, value) in samples.iter_mut().zip(values) {
                sample.extend(value.filter(|value| value.is_finite()));
            }
        }
        let n_resamples = self.draws.len();
        estimates.into_iter().zip(samples).map(|(e, s)| summarize(e?, s, n_resamples)).collect()
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
    sample.sort_unstable_by(f64::total_cmp);
    let (_, standard_deviation) = mean_and_deviation(&sample);
    Some(BootstrapInterval {
        estimate,
        low: percentile(&sample, 0.025),
        high: percentile(&sample, 0.975),
        standard_deviation: standard_deviation?,
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

/// Linear between order statistics, as NumPy's default.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
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
