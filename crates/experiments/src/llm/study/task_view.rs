//! Everything that a study measured about one new task. Tasks are never pooled: the scale of what is forgotten is a
//! task's own.

use std::collections::BTreeSet;

use anyhow::Result;
use razor_core::Seed;
use razor_report::Axis;

use crate::comparison::{ComparedPolicy, Frontiers, Resampling};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::{Measured, Point};
use crate::llm::study::record::Measurement;

/// One new task of a study.
pub(crate) struct TaskView<'a> {
    pub measured: &'a Measured,
    /// Its place in the study.
    pub task_idx: usize,
    /// Its name.
    pub name: &'a str,
    /// Policies that methods are compared by.
    pub points: Vec<&'a Point>,
    /// Their methods, in the order of figures.
    pub methods: Vec<StudyMethod>,
    pub frontiers: Frontiers<'a, Point>,
}

impl<'a> TaskView<'a> {
    /// Every task of the study, in its order.
    pub(crate) fn all(measured: &'a Measured) -> Result<Vec<Self>> {
        let tasks = measured.config.study.tasks.iter().enumerate();
        tasks
            .map(|(task_idx, task)| {
                let points = measured.main(&task.name);
                Ok(Self {
                    measured,
                    task_idx,
                    name: &task.name,
                    methods: Measured::methods(&points),
                    frontiers: Frontiers::new(&points)?,
                    points,
                })
            })
            .collect()
    }

    /// The base that a policy started from, measured on this task.
    pub(crate) fn base_of(&self, point: &Point) -> &'a Measurement {
        &self.measured.bases[point.base_idx as usize][self.task_idx]
    }

    /// The bases, measured on this task.
    pub(crate) fn bases(&self) -> Vec<&'a Measurement> {
        self.measured.bases.iter().map(|of_base| &of_base[self.task_idx]).collect()
    }

    /// Mean over bases of the new-task score at temperature 1 and of the prior score.
    pub(crate) fn base_scores(&self) -> (f64, f64) {
        let bases = self.bases();
        let mean =
            |of: fn(&Measurement) -> f64| bases.iter().map(|base| of(base)).sum::<f64>() / bases.len() as f64;
        (mean(|base| base.new_task.sampled), mean(|base| base.prior_score))
    }

    /// New-task scores at which methods are compared: the multiples of 0.05 above the base's that two methods or more reach
    /// in each of their repetitions. A rule that knows nothing of what was forgotten.
    pub(crate) fn levels(&self) -> Vec<f64> {
        let base = self.base_scores().0;
        let is_reached = |level: f64| {
            let reaching = self
                .methods
                .iter()
                .filter(|method| self.frontiers.mean(**method, level, Point::prior_task).is_some());
            reaching.count() >= 2
        };
        let grid = (1..=20).map(|twentieth| f64::from(twentieth) / 20.0);
        grid.filter(|&level| level > base && is_reached(level)).collect()
    }

    /// The highest of [`TaskView::levels`] that all `methods` reach.
    pub(crate) fn highest_level(&self, methods: &[StudyMethod]) -> Option<f64> {
        let reach = |level: &f64| methods.iter().all(|&method| self.drop_at(method, *level).is_some());
        self.levels().into_iter().rev().find(reach)
    }

    /// Mean drop of a method's repetitions along its frontiers; `None` unless each reaches the level.
    pub(crate) fn drop_at(&self, method: StudyMethod, level: f64) -> Option<f64> {
        self.frontiers.mean(method, level, Point::forgetting)
    }

    /// Peak learning rates of the policies that methods are compared by, ascending.
    pub(crate) fn learning_rates(&self) -> Vec<f64> {
        let mut rates: Vec<f64> = self.points.iter().map(|point| point.setting.learning_rate).collect();
        rates.sort_unstable_by(f64::total_cmp);
        rates.dedup();
        rates
    }

    /// The policies at the end of runs.
    pub(crate) fn ends(&self) -> Vec<&'a Point> {
        self.points.iter().copied().filter(|point| point.is_last).collect()
    }

    /// Policies of this task in arms other than these.
    pub(crate) fn outside(&self, arms: [&str; 2]) -> Vec<&'a Point> {
        let is_outside = |names: &BTreeSet<String>| names.iter().any(|name| !arms.contains(&name.as_str()));
        let of_task = |point: &&Point| point.setting.task == self.name;
        self.measured.points.iter().filter(of_task).filter(|point| is_outside(&point.arms)).collect()
    }

    /// Intervals of this task, by what they are of.
    pub(crate) fn resampling(&self, label: &str) -> Resampling {
        let seed = Seed::new(self.measured.config.seed).derive("report", self.task_idx as u64);
        Resampling {
            n_resamples: self.measured.config.study.measure.n_resamples,
            seed: seed.derive(label, 0),
        }
    }

    /// A name of a figure or table of this task.
    pub(crate) fn file(&self, stem: &str) -> String {
        format!("{stem}_{}", self.name.to_lowercase())
    }

    /// The axis of every comparison.
    pub(crate) fn new_task_axis(&self) -> Axis {
        Axis::percent(format!("Accuracy on {} at temperature 1", self.name))
    }
}

/// Mean of a quantity; `None` without policies.
pub(crate) fn mean_of(points: &[&Point], of: impl Fn(&Point) -> f64) -> Option<f64> {
    (!points.is_empty()).then(|| points.iter().map(|point| of(point)).sum::<f64>() / points.len() as f64)
}
