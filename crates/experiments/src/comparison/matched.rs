//! The methods at equal new-task score, equal KL and equal learning rate.
//!
//! Never at equal steps: a method that has not moved forgets nothing. Paper: arXiv 2509.04259, figures 2 and 3.

use razor_metrics::{BootstrapInterval, MeanInterval, MetricsError, MonotoneFit, RunBootstrap};
use razor_report::{MatchAxis, Matched};

use crate::comparison::frontiers::{Frontiers, mean_of_all};
use crate::comparison::policy::{ComparedMethod, ComparedPolicy};
use crate::comparison::predictors::scatter;
use crate::comparison::{LEAST_RUNS, Resampling, n_runs};

/// Where methods are compared.
pub(crate) struct MatchLevels<'a> {
    /// New-task scores, fractions.
    pub scores: &'a [f64],
    /// Forward KLs, nats.
    pub divergences: &'a [f64],
    /// Peak learning rates.
    pub learning_rates: &'a [f64],
}

/// All comparisons of `methods`: by axis, then by level, then by method, so that what is compared stands together.
///
/// `at_score` gives a method's rows at the levels of new-task score; `ends` are the policies at the end of a method's runs at a
/// peak learning rate; `base` is the prior score of the base.
///
/// # Errors
/// [`MetricsError::NotFinite`] for a measurement that is not a number.
pub(crate) fn matched_rows<'a, P: ComparedPolicy>(
    points: &[&'a P],
    methods: &[P::Method],
    levels: &MatchLevels<'_>,
    at_score: impl Fn(P::Method) -> Vec<Matched>,
    base: f64,
    ends: impl Fn(P::Method, f64) -> Vec<&'a P>,
    resampling: Resampling,
) -> Result<Vec<Matched>, MetricsError> {
    let at_score: Vec<Vec<Matched>> = methods.iter().map(|&method| at_score(method)).collect();
    let mut rows: Vec<Matched> =
        (0..levels.scores.len()).flat_map(|level| at_score.iter().map(move |of| of[level].clone())).collect();
    let mut at_kl = Vec::new();
    for &method in methods {
        let own: Vec<&P> = points.iter().copied().filter(|point| point.method() == method).collect();
        at_kl.push(matched_kl(&own, method, levels.divergences, base, resampling)?);
    }
    rows.extend(
        (0..levels.divergences.len()).flat_map(|level| at_kl.iter().map(move |of| of[level].clone())),
    );
    for &rate in levels.learning_rates {
        rows.extend(methods.iter().map(|&method| matched_learning_rate(&ends(method, rate), method, rate)));
    }
    Ok(rows)
}

/// Prior score and forward KL along a method's frontiers, with Student's interval over repetitions.
pub(crate) fn score_over_repetitions<P: ComparedPolicy>(
    frontiers: &Frontiers<'_, P>,
    method: P::Method,
    levels: &[f64],
) -> Vec<Matched> {
    let mean = |level: f64, quantity: fn(&P) -> f64| -> Option<MeanInterval> {
        let values: Option<Vec<f64>> = frontiers.per_seed(method, level, quantity).into_iter().collect();
        MeanInterval::new(&values?).ok()
    };
    let row = |&level: &f64| {
        let (prior, kl) = (mean(level, P::prior_task), mean(level, P::forward_kl));
        Matched {
            new_task: prior.map(|_| level),
            prior_task: prior.map(|prior| prior.mean),
            prior_task_low: prior.and_then(|prior| prior.low),
            prior_task_high: prior.and_then(|prior| prior.high),
            kl_reference_to_policy: kl.map(|kl| kl.mean),
            kl_reference_to_policy_low: kl.and_then(|kl| kl.low),
            kl_reference_to_policy_high: kl.and_then(|kl| kl.high),
            ..empty(MatchAxis::Accuracy, level, method)
        }
    };
    levels.iter().map(row).collect()
}

/// Prior score and forward KL along a method's frontiers, with bootstrap intervals over runs.
pub(crate) fn score_over_runs<P: ComparedPolicy>(
    frontiers: &Frontiers<'_, P>,
    method: P::Method,
    levels: &[f64],
    Resampling { n_resamples, seed }: Resampling,
) -> Vec<Matched> {
    let seeds = frontiers.of(method);
    let runs: Vec<usize> =
        seeds.iter().flat_map(|seed| seed.points.iter().map(|point| point.run_idx())).collect();
    let statistics = |weights: &[f64]| -> Vec<Option<f64>> {
        let read = |level: f64, quantity: fn(&P) -> f64| {
            let mut rest = weights;
            mean_of_all(seeds.iter().map(|seed| {
                let (own, others) = rest.split_at(seed.points.len());
                rest = others;
                seed.read(own, level, quantity)
            }))
        };
        levels.iter().flat_map(|&level| [read(level, P::prior_task), read(level, P::forward_kl)]).collect()
    };
    let intervals = RunBootstrap::new(&runs, n_resamples, seed).map(|runs| runs.intervals(statistics));
    let once = vec![1.0; runs.len()];
    let estimates = statistics(&once);
    levels
        .iter()
        .enumerate()
        .map(|(level_idx, &level)| {
            let interval = |idx: usize| intervals.as_ref().ok().and_then(|all| all[2 * level_idx + idx]);
            Matched {
                new_task: estimates[2 * level_idx].map(|_| level),
                prior_task: estimates[2 * level_idx],
                prior_task_low: interval(0).map(|i| i.low),
                prior_task_high: interval(0).map(|i| i.high),
                kl_reference_to_policy: estimates[2 * level_idx + 1],
                kl_reference_to_policy_low: interval(1).map(|i| i.low),
                kl_reference_to_policy_high: interval(1).map(|i| i.high),
                ..empty(MatchAxis::Accuracy, level, method)
            }
        })
        .collect()
}

/// Prior score at equal forward KL, by a monotone fit of forgetting inside the range that the method covers.
fn matched_kl<P: ComparedPolicy>(
    points: &[&P],
    method: P::Method,
    levels: &[f64],
    base: f64,
    Resampling { n_resamples, seed }: Resampling,
) -> Result<Vec<Matched>, MetricsError> {
    let scatter = scatter(points, P::forward_kl)?;
    let statistics = |weights: &[f64]| -> Vec<Option<f64>> {
        let fit = MonotoneFit::new(&scatter, weights).ok();
        levels
            .iter()
            .map(|&level| fit.as_ref().and_then(|fit| fit.at(level)).map(|lost| base - lost))
            .collect()
    };
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx()).collect();
    let estimates = statistics(scatter.each_once());
    let bootstrap = RunBootstrap::new(&runs, n_resamples, seed).ok().filter(|_| n_runs(points) >= LEAST_RUNS);
    let intervals: Vec<Option<BootstrapInterval>> =
        bootstrap.map_or_else(|| vec![None; levels.len()], |runs| runs.intervals(statistics));
    let rows = levels.iter().zip(estimates.into_iter().zip(intervals));
    Ok(rows
        .map(|(&level, (prior_task, interval))| Matched {
            prior_task,
            prior_task_low: interval.map(|i| i.low),
            prior_task_high: interval.map(|i| i.high),
            kl_reference_to_policy: prior_task.map(|_| level),
            ..empty(MatchAxis::Kl, level, method)
        })
        .collect())
}

/// The mean of the ends of runs.
fn matched_learning_rate<P: ComparedPolicy>(ends: &[&P], method: P::Method, learning_rate: f64) -> Matched {
    let mean = |of: fn(&P) -> f64| {
        (!ends.is_empty()).then(|| ends.iter().map(|point| of(point)).sum::<f64>() / ends.len() as f64)
    };
    Matched {
        new_task: mean(P::new_task),
        prior_task: mean(P::prior_task),
        kl_reference_to_policy: mean(P::forward_kl),
        ..empty(MatchAxis::LearningRate, learning_rate, method)
    }
}

fn empty(axis: MatchAxis, level: f64, method: impl ComparedMethod) -> Matched {
    Matched {
        axis,
        level,
        task: String::new(),
        method: method.name().to_owned(),
        new_task: None,
        new_task_low: None,
        new_task_high: None,
        prior_task: None,
        prior_task_low: None,
        prior_task_high: None,
        kl_reference_to_policy: None,
        kl_reference_to_policy_low: None,
        kl_reference_to_policy_high: None,
    }
}
