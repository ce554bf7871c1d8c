//! The methods at equal new-task accuracy, equal KL and equal learning rate.
//!
//! Never at equal steps: a method that has not moved forgets nothing. Paper: arXiv 2509.04259, figures 2 and 3.

use std::collections::BTreeMap;

use razor_core::Seed;
use razor_metrics::{BootstrapInterval, Frontier, MetricsError, MonotoneFit, RunBootstrap, Scatter};
use razor_report::{MatchAxis, Matched};
use razor_trainers::Schedule;

use crate::parity::method::Method;
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::{forward_kl, scatter};

/// New-task accuracies at which methods are compared.
pub(crate) const ACCURACY_LEVELS: [f64; 4] = [0.90, 0.93, 0.95, 0.96];
/// Forward KLs at which methods are compared, nats.
const KL_LEVELS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// What is read along a frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Prior-task accuracy.
    PriorTask,
    /// Forward KL on new-task inputs, nats.
    ForwardKl,
    /// CKNNA with the base policy on prior-task inputs; 0 where undefined.
    Cknna,
}

impl Quantity {
    fn of(self, point: &Point) -> f64 {
        match self {
            Self::PriorTask => point.eval.prior_task,
            Self::ForwardKl => forward_kl(point),
            Self::Cknna => point.eval.cknna.unwrap_or(0.0),
        }
    }
}

/// The checkpoints of one method in one repetition, with their frontier.
#[derive(Debug)]
pub(crate) struct SeedFrontier<'a> {
    points: Vec<&'a Point>,
    scores: Scatter,
}

impl<'a> SeedFrontier<'a> {
    fn new(points: Vec<&'a Point>) -> Result<Self, MetricsError> {
        let new_task: Vec<f64> = points.iter().map(|point| point.eval.new_task).collect();
        let prior_task: Vec<f64> = points.iter().map(|point| point.eval.prior_task).collect();
        Ok(Self { scores: Scatter::new(&new_task, &prior_task)?, points })
    }

    pub(crate) fn frontier(&self) -> Frontier {
        Frontier::new(&self.scores, self.scores.each_once())
    }

    /// The points of the frontier, by ascending new-task accuracy.
    pub(crate) fn frontier_points(&self) -> Vec<&'a Point> {
        self.frontier().points().iter().map(|&idx| self.points[idx]).collect()
    }

    /// The points within `tolerance` of the frontier.
    pub(crate) fn near(&self, tolerance: f64) -> Vec<&'a Point> {
        self.frontier().near(&self.scores, tolerance).into_iter().map(|idx| self.points[idx]).collect()
    }

    fn read(&self, weights: &[f64], level: f64, quantity: Quantity) -> Option<f64> {
        let values: Vec<f64> = self.points.iter().map(|point| quantity.of(point)).collect();
        Frontier::new(&self.scores, weights).read(level, &values)
    }
}

/// All frontiers of a study: by method, then by repetition.
#[derive(Debug)]
pub(crate) struct Frontiers<'a> {
    by_method: BTreeMap<Method, Vec<SeedFrontier<'a>>>,
}

impl<'a> Frontiers<'a> {
    pub(crate) fn new(measured: &'a Measured) -> Result<Self, MetricsError> {
        let mut by_method = BTreeMap::new();
        for method in measured.methods() {
            let mut seeds: BTreeMap<u64, Vec<&Point>> = BTreeMap::new();
            for point in measured.grid(&[method]) {
                seeds.entry(point.seed_idx).or_default().push(point);
            }
            let frontiers: Result<Vec<_>, _> = seeds.into_values().map(SeedFrontier::new).collect();
            by_method.insert(method, frontiers?);
        }
        Ok(Self { by_method })
    }

    /// The frontiers of a method, one per repetition; none for a method that was not run.
    pub(crate) fn of(&self, method: Method) -> &[SeedFrontier<'a>] {
        self.by_method.get(&method).map_or(&[], Vec::as_slice)
    }

    /// A quantity at a new-task level, one value per repetition; `None` where the level is not reached.
    pub(crate) fn per_seed(&self, method: Method, level: f64, quantity: Quantity) -> Vec<Option<f64>> {
        self.of(method).iter().map(|seed| seed.read(seed.scores.each_once(), level, quantity)).collect()
    }

    /// Its mean over repetitions; `None` unless every repetition reaches the level.
    pub(crate) fn mean(&self, method: Method, level: f64, quantity: Quantity) -> Option<f64> {
        mean_of_all(self.per_seed(method, level, quantity))
    }

    /// Prior-task accuracy and forward KL at the accuracy levels, with bootstrap intervals over runs.
    fn matched(&self, method: Method, n_resamples: usize, seed: Seed) -> Vec<Matched> {
        let seeds = self.of(method);
        let runs: Vec<usize> =
            seeds.iter().flat_map(|seed| seed.points.iter().map(|point| point.run_idx)).collect();
        let statistics = |weights: &[f64]| -> Vec<Option<f64>> {
            let read = |level: f64, quantity: Quantity| {
                let mut rest = weights;
                mean_of_all(seeds.iter().map(|seed| {
                    let (own, others) = rest.split_at(seed.points.len());
                    rest = others;
                    seed.read(own, level, quantity)
                }))
            };
            ACCURACY_LEVELS
                .iter()
                .flat_map(|&level| [read(level, Quantity::PriorTask), read(level, Quantity::ForwardKl)])
                .collect()
        };
        let intervals = RunBootstrap::new(&runs, n_resamples, seed).map(|runs| runs.intervals(statistics));
        let once = vec![1.0; runs.len()];
        let estimates = statistics(&once);
        ACCURACY_LEVELS
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
}

/// Mean, unless one of them is missing or there are none.
fn mean_of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let values: Option<Vec<f64>> = values.into_iter().collect();
    values.filter(|values| !values.is_empty()).map(|values| values.iter().sum::<f64>() / values.len() as f64)
}

/// All comparisons of a study.
pub(crate) fn matched_rows(
    measured: &Measured,
    frontiers: &Frontiers<'_>,
    seed: Seed,
) -> Result<Vec<Matched>, MetricsError> {
    let n_resamples = measured.config.study.measure.n_resamples;
    let methods = measured.methods();
    let at_accuracy: Vec<Vec<Matched>> =
        methods.iter().map(|&method| frontiers.matched(method, n_resamples, seed)).collect();
    // By level, then by method: what is compared stands together.
    let mut rows: Vec<Matched> = (0..ACCURACY_LEVELS.len())
        .flat_map(|level| at_accuracy.iter().map(move |of| of[level].clone()))
        .collect();
    let mut at_kl = Vec::new();
    for &method in &methods {
        at_kl.push(matched_kl(&measured.grid(&[method]), measured, method, n_resamples, seed)?);
    }
    rows.extend((0..KL_LEVELS.len()).flat_map(|level| at_kl.iter().map(move |of| of[level].clone())));
    for &learning_rate in &measured.config.study.grid.learning_rates {
        rows.extend(methods.iter().map(|&method| matched_learning_rate(measured, method, learning_rate)));
    }
    Ok(rows)
}

/// Prior-task accuracy at equal forward KL, by a monotone fit of forgetting inside the range that the method covers.
fn matched_kl(
    points: &[&Point],
    measured: &Measured,
    method: Method,
    n_resamples: usize,
    seed: Seed,
) -> Result<Vec<Matched>, MetricsError> {
    let scatter = scatter(points, forward_kl)?;
    let base = measured.base_accuracy().1;
    let statistics = |weights: &[f64]| -> Vec<Option<f64>> {
        let fit = MonotoneFit::new(&scatter, weights).ok();
        KL_LEVELS
            .iter()
            .map(|&level| fit.as_ref().and_then(|fit| fit.at(level)).map(|lost| base - lost))
            .collect()
    };
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx).collect();
    let estimates = statistics(scatter.each_once());
    let intervals: Vec<Option<BootstrapInterval>> = RunBootstrap::new(&runs, n_resamples, seed)
        .map_or_else(|_| vec![None; KL_LEVELS.len()], |runs| runs.intervals(statistics));
    let rows = KL_LEVELS.iter().zip(estimates.into_iter().zip(intervals));
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

/// The end of the runs at one peak learning rate, constant schedule, fewest epochs; mean over repetitions.
fn matched_learning_rate(measured: &Measured, method: Method, learning_rate: f64) -> Matched {
    let grid = measured.grid(&[method]);
    let fewest = grid.iter().map(|point| point.setting.n_epochs).min();
    let ends: Vec<&Point> = grid
        .into_iter()
        .filter(|point| {
            let setting = &point.setting;
            point.is_last
                && setting.learning_rate == learning_rate
                && setting.schedule == Schedule::Constant
                && Some(setting.n_epochs) == fewest
        })
        .collect();
    let mean = |of: fn(&Point) -> f64| {
        (!ends.is_empty()).then(|| ends.iter().map(|point| of(point)).sum::<f64>() / ends.len() as f64)
    };
    Matched {
        new_task: mean(|point| point.eval.new_task),
        prior_task: mean(|point| point.eval.prior_task),
        kl_reference_to_policy: mean(forward_kl),
        ..empty(MatchAxis::LearningRate, learning_rate, method)
    }
}

fn empty(axis: MatchAxis, level: f64, method: Method) -> Matched {
    Matched {
        axis,
        level,
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
