//! The frontier of each method in each repetition, and what is read along it.

use std::collections::BTreeMap;

use razor_metrics::{Frontier, MetricsError, Scatter};

use crate::comparison::policy::ComparedPolicy;

/// The policies of one method in one repetition, with their frontier.
pub(crate) struct SeedFrontier<'a, P> {
    /// Which repetition.
    pub seed_idx: u64,
    pub(super) points: Vec<&'a P>,
    scores: Scatter,
}

impl<'a, P: ComparedPolicy> SeedFrontier<'a, P> {
    fn new(seed_idx: u64, points: Vec<&'a P>) -> Result<Self, MetricsError> {
        let new_task: Vec<f64> = points.iter().map(|point| point.new_task()).collect();
        let prior_task: Vec<f64> = points.iter().map(|point| point.prior_task()).collect();
        Ok(Self { seed_idx, scores: Scatter::new(&new_task, &prior_task)?, points })
    }

    pub(crate) fn frontier(&self) -> Frontier {
        Frontier::new(&self.scores, self.scores.each_once())
    }

    /// The points of the frontier, by ascending new-task score.
    pub(crate) fn frontier_points(&self) -> Vec<&'a P> {
        self.frontier().points().iter().map(|&idx| self.points[idx]).collect()
    }

    /// The points within `tolerance` of the frontier.
    pub(crate) fn near(&self, tolerance: f64) -> Vec<&'a P> {
        self.frontier().near(&self.scores, tolerance).into_iter().map(|idx| self.points[idx]).collect()
    }

    /// A quantity at a new-task level; `None` where the level is not reached or the quantity is not a number there.
    pub(crate) fn at(&self, level: f64, quantity: impl Fn(&P) -> f64) -> Option<f64> {
        self.read(self.scores.each_once(), level, quantity)
    }

    pub(super) fn read(&self, weights: &[f64], level: f64, quantity: impl Fn(&P) -> f64) -> Option<f64> {
        let values: Vec<f64> = self.points.iter().map(|point| quantity(point)).collect();
        Frontier::new(&self.scores, weights).read(level, &values).filter(|value| !value.is_nan())
    }
}

/// All frontiers of a comparison: by method, then by repetition.
pub(crate) struct Frontiers<'a, P: ComparedPolicy> {
    by_method: BTreeMap<P::Method, Vec<SeedFrontier<'a, P>>>,
}

impl<'a, P: ComparedPolicy> Frontiers<'a, P> {
    /// The frontiers of every method among `points`.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for a score that is not a number.
    pub(crate) fn new(points: &[&'a P]) -> Result<Self, MetricsError> {
        let mut grouped: BTreeMap<P::Method, BTreeMap<u64, Vec<&'a P>>> = BTreeMap::new();
        for &point in points {
            grouped.entry(point.method()).or_default().entry(point.seed_idx()).or_default().push(point);
        }
        let mut by_method = BTreeMap::new();
        for (method, seeds) in grouped {
            let frontiers: Result<Vec<_>, _> =
                seeds.into_iter().map(|(seed_idx, points)| SeedFrontier::new(seed_idx, points)).collect();
            by_method.insert(method, frontiers?);
        }
        Ok(Self { by_method })
    }

    /// The frontiers of a method, one per repetition; none for a method that was not run.
    pub(crate) fn of(&self, method: P::Method) -> &[SeedFrontier<'a, P>] {
        self.by_method.get(&method).map_or(&[], Vec::as_slice)
    }

    /// A quantity at a new-task level, one value per repetition; `None` where the level is not reached.
    pub(crate) fn per_seed(
        &self,
        method: P::Method,
        level: f64,
        quantity: impl Fn(&P) -> f64,
    ) -> Vec<Option<f64>> {
        self.of(method).iter().map(|seed| seed.at(level, &quantity)).collect()
    }

    /// Its mean over repetitions; `None` unless every repetition reaches the level.
    pub(crate) fn mean(&self, method: P::Method, level: f64, quantity: impl Fn(&P) -> f64) -> Option<f64> {
        mean_of_all(self.per_seed(method, level, quantity))
    }
}

/// Mean, unless one of them is missing or there are none.
pub(super) fn mean_of_all(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let values: Option<Vec<f64>> = values.into_iter().collect();
    values.filter(|values| !values.is_empty()).map(|values| values.iter().sum::<f64>() / values.len() as f64)
}
