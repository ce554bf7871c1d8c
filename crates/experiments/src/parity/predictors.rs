//! What predicts forgetting? Every candidate, fitted to the same checkpoints and the same resamples of runs.

use razor_core::Seed;
use razor_metrics::{
    BootstrapInterval, MetricsError, MonotoneFit, QuadraticFit, RunBootstrap, Scatter, pearson, spearman,
};
use razor_report::{Predictor, PredictorInputs};

use crate::parity::points::Point;

/// A candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub name: &'static str,
    pub title: &'static str,
    pub inputs: PredictorInputs,
    /// R² in Table 1 of the paper, where it has the row.
    pub paper: Option<f64>,
    /// Whether gate T5 compares forward KL with it: weights and activations, without old-task inputs.
    pub is_rival: bool,
    pub value: fn(&Point) -> f64,
}

/// Name of the paper's predictor.
pub(crate) const FORWARD_KL: &str = "kl_reference_to_policy";

/// All candidates: those of Table 1 of the paper, the same on old-task inputs, and what others proposed.
#[rustfmt::skip] // a table
pub(crate) const CANDIDATES: [Candidate; 18] = {
    use PredictorInputs::{NewTask, None as NoInputs, OldTask};
    [
        Candidate { name: FORWARD_KL, title: "Forward KL(π₀‖π)", inputs: NewTask, paper: Some(0.96), is_rival: false, value: |p| p.eval.shift_new.kl_reference_to_policy },
        Candidate { name: "kl_policy_to_reference", title: "Reverse KL(π‖π₀)", inputs: NewTask, paper: Some(0.93), is_rival: false, value: |p| p.eval.shift_new.kl_policy_to_reference },
        Candidate { name: "total_variation", title: "Total variation", inputs: NewTask, paper: Some(0.80), is_rival: false, value: |p| p.eval.shift_new.total_variation },
        Candidate { name: "distribution_l2", title: "Distribution L2", inputs: NewTask, paper: Some(0.56), is_rival: false, value: |p| p.eval.shift_new.l2 },
        Candidate { name: "activation_l1", title: "Activation change L1", inputs: NewTask, paper: Some(0.52), is_rival: true, value: |p| p.eval.activation_new.l1 },
        Candidate { name: "activation_l2", title: "Activation change L2", inputs: NewTask, paper: Some(0.55), is_rival: true, value: |p| p.eval.activation_new.l2 },
        Candidate { name: "weight_l1", title: "Weight change L1", inputs: NoInputs, paper: Some(0.34), is_rival: true, value: |p| p.eval.weight.l1 },
        Candidate { name: "weight_spectral_norm", title: "Weight change, spectral norm", inputs: NoInputs, paper: Some(0.58), is_rival: true, value: |p| p.eval.weight.spectral_norm },
        Candidate { name: "weight_unchanged_bf16", title: "Unchanged weights (bf16)", inputs: NoInputs, paper: None, is_rival: true, value: |p| p.eval.weight.unchanged_bf16 },
        Candidate { name: "log_learning_rate_steps", title: "log Σ learning rate over steps", inputs: NoInputs, paper: None, is_rival: false, value: |p| p.eval.learning_rate_sum.ln() },
        Candidate { name: "weight_fisher_l2", title: "Weight change, Fisher-weighted", inputs: OldTask, paper: Some(0.58), is_rival: true, value: |p| p.eval.weight.fisher_l2 },
        Candidate { name: "old_kl_reference_to_policy", title: "Forward KL(π₀‖π)", inputs: OldTask, paper: None, is_rival: false, value: |p| p.eval.shift_prior.kl_reference_to_policy },
        Candidate { name: "old_kl_policy_to_reference", title: "Reverse KL(π‖π₀)", inputs: OldTask, paper: None, is_rival: false, value: |p| p.eval.shift_prior.kl_policy_to_reference },
        Candidate { name: "old_total_variation", title: "Total variation", inputs: OldTask, paper: None, is_rival: false, value: |p| p.eval.shift_prior.total_variation },
        Candidate { name: "old_distribution_l2", title: "Distribution L2", inputs: OldTask, paper: None, is_rival: false, value: |p| p.eval.shift_prior.l2 },
        Candidate { name: "old_activation_l2", title: "Activation change L2", inputs: OldTask, paper: None, is_rival: false, value: |p| p.eval.activation_prior.l2 },
        Candidate { name: "old_cka", title: "1 − CKA", inputs: OldTask, paper: None, is_rival: false, value: |p| 1.0 - p.eval.cka.unwrap_or(0.0) },
        Candidate { name: "old_cknna", title: "1 − CKNNA", inputs: OldTask, paper: None, is_rival: false, value: |p| 1.0 - p.eval.cknna.unwrap_or(0.0) },
    ]
};

/// Fits every candidate to `points`; best quadratic R² first.
///
/// # Errors
/// [`MetricsError`] when there are fewer than two runs.
pub(crate) fn fit_predictors(
    points: &[&Point],
    n_resamples: usize,
    seed: Seed,
) -> Result<Vec<Predictor>, MetricsError> {
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx).collect();
    let bootstrap = RunBootstrap::new(&runs, n_resamples, seed)?;
    let mut rows = Vec::with_capacity(CANDIDATES.len());
    for candidate in &CANDIDATES {
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
pub(crate) fn scatter(points: &[&Point], value: fn(&Point) -> f64) -> Result<Scatter, MetricsError> {
    let x: Vec<f64> = points.iter().map(|point| value(point)).collect();
    let y: Vec<f64> = points.iter().map(|point| point.forgetting).collect();
    Scatter::new(&x, &y)
}

/// Forward KL on new-task inputs: the paper's predictor.
pub(crate) fn forward_kl(point: &Point) -> f64 {
    point.eval.shift_new.kl_reference_to_policy
}

fn estimate(interval: Option<BootstrapInterval>, of: fn(BootstrapInterval) -> f64) -> f64 {
    interval.map_or(f64::NAN, of)
}
