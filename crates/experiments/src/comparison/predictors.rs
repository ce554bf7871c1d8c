//! What predicts forgetting? Every candidate, fitted to the same policies and the same resamples of runs.

use razor_metrics::{
    BootstrapInterval, MetricsError, MonotoneFit, QuadraticFit, RunBootstrap, Scatter, pearson, spearman,
};
use razor_report::{Predictor, PredictorInputs};

use crate::comparison::Resampling;
use crate::comparison::policy::ComparedPolicy;

/// A candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<P> {
    pub name: &'static str,
    pub title: &'static str,
    pub inputs: PredictorInputs,
    /// R² in Table 1 of the paper, where it has the row.
    pub paper: Option<f64>,
    pub value: fn(&P) -> f64,
}

/// Name of the paper's predictor.
pub(crate) const FORWARD_KL: &str = "kl_reference_to_policy";

/// Fits every candidate to `points`; best quadratic R² first.
///
/// # Errors
/// [`MetricsError`] when there are fewer than two runs.
pub(crate) fn fit_predictors<P: ComparedPolicy>(
    candidates: &[Candidate<P>],
    points: &[&P],
    Resampling { n_resamples, seed }: Resampling,
) -> Result<Vec<Predictor>, MetricsError> {
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx()).collect();
    let bootstrap = RunBootstrap::new(&runs, n_resamples, seed)?;
    let mut rows = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let scatter = scatter(points, candidate.value)?;
        let intervals = bootstrap.intervals(|weights| {
            vec![
                QuadraticFit::new(&scatter, weights).ok().map(|fit| fit.r2()),
                spearman(&scatter, weights).ok(),
            ]
        });
        let [r2, rank] = intervals.try_into().expect("two statistics were asked for");
        let once = scatter.each_once();
        rows.push(Predictor {
            task: String::new(),
            name: candidate.name.to_owned(),
            inputs: candidate.inputs,
            r2: estimate(r2, |r2| r2.estimate),
            r2_low: estimate(r2, |r2| r2.low),
            r2_high: estimate(r2, |r2| r2.high),
            spearman: estimate(rank, |rank| rank.estimate),
            spearman_low: estimate(rank, |rank| rank.low),
            spearman_high: estimate(rank, |rank| rank.high),
            pearson: pearson(&scatter, once).unwrap_or(f64::NAN),
            r2_monotone: MonotoneFit::new(&scatter, once).map_or(f64::NAN, |fit| fit.r2()),
        });
    }
    // Undefined ones (a constant predictor) come last.
    let key = |row: &Predictor| if row.r2.is_nan() { f64::NEG_INFINITY } else { row.r2 };
    rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
    Ok(rows)
}

/// Forgetting against one quantity.
pub(crate) fn scatter<P: ComparedPolicy>(
    points: &[&P],
    value: fn(&P) -> f64,
) -> Result<Scatter, MetricsError> {
    let x: Vec<f64> = points.iter().map(|point| value(point)).collect();
    let y: Vec<f64> = points.iter().map(|point| point.forgetting()).collect();
    Scatter::new(&x, &y)
}

fn estimate(interval: Option<BootstrapInterval>, of: fn(BootstrapInterval) -> f64) -> f64 {
    interval.map_or(f64::NAN, of)
}
