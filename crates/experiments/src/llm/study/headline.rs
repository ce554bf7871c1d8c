//! The headline: what SFT forgets more than GRPO at equal new-task score.

use razor_metrics::MeanInterval;
use razor_report::{Cell, Column, NumberFormat, Table};

use crate::comparison::ComparedPolicy;
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::task_view::TaskView;
use crate::llm::study::words::{interval_words, percent, points};

/// Drop of one method less that of another, repetition by repetition.
#[derive(Debug, Clone)]
pub(crate) struct Contrast {
    /// New-task score at which they are compared.
    pub level: f64,
    /// Repetitions in which both reach it, and the difference there.
    pub per_seed: Vec<(u64, f64)>,
    /// Its mean with Student's interval over repetitions, which one repetition does not have.
    pub mean: MeanInterval,
}

impl Contrast {
    /// Drop of SFT less drop of GRPO; `None` unless a repetition has both.
    pub(crate) fn headline(view: &TaskView<'_>, level: f64) -> Option<Self> {
        Self::new(view, StudyMethod::Sft, StudyMethod::Grpo, level)
    }

    fn new(view: &TaskView<'_>, more: StudyMethod, less: StudyMethod, level: f64) -> Option<Self> {
        let less = view.frontiers.of(less);
        let pairs = view.frontiers.of(more).iter().filter_map(|seed| {
            let other = less.iter().find(|other| other.seed_idx == seed.seed_idx)?;
            let difference = seed.at(level, Point::forgetting)? - other.at(level, Point::forgetting)?;
            Some((seed.seed_idx, difference))
        });
        let per_seed: Vec<(u64, f64)> = pairs.collect();
        let differences: Vec<f64> = per_seed.iter().map(|(_, difference)| *difference).collect();
        let mean = MeanInterval::new(&differences).ok()?;
        Some(Self { level, per_seed, mean })
    }

    /// At the highest level that both methods reach in every repetition.
    pub(crate) fn highest(view: &TaskView<'_>) -> Option<Self> {
        Self::headline(view, view.highest_level(&[StudyMethod::Sft, StudyMethod::Grpo])?)
    }

    /// Whether SFT forgets more; `None` where the interval holds 0 or there is none.
    pub(crate) fn answer(&self) -> Option<bool> {
        let (low, high) = self.mean.low.zip(self.mean.high)?;
        if low > 0.0 {
            Some(true)
        } else if high < 0.0 {
            Some(false)
        } else {
            None
        }
    }

    /// One sentence about a task.
    pub(crate) fn sentence(&self, task: &str) -> String {
        let level = percent(self.level, 0);
        let difference = interval_words(self.mean.mean, self.mean.low.zip(self.mean.high));
        let n_seeds = self.per_seed.len();
        let seeds = if n_seeds == 1 { "1 repetition".to_owned() } else { format!("{n_seeds} repetitions") };
        match (self.answer(), self.mean.low) {
            (Some(true), _) => format!(
                "{task}: at {level} % new-task accuracy SFT forgets {difference} points more than GRPO ({seeds})."
            ),
            (Some(false), _) => {
                let fewer = interval_words(
                    -self.mean.mean,
                    self.mean.high.zip(self.mean.low).map(|(high, low)| (-high, -low)),
                );
                format!(
                    "{task}: at {level} % new-task accuracy GRPO forgets {fewer} points more than SFT ({seeds}): the opposite \
                     of the paper's claim."
                )
            }
            (None, Some(_)) => format!(
                "{task}: not settled. At {level} % new-task accuracy SFT's drop less GRPO's is {difference} points ({seeds}), \
                 an interval that holds 0."
            ),
            (None, None) => format!(
                "{task}: not settled. At {level} % new-task accuracy SFT's drop less GRPO's is {difference} points, in one \
                 repetition, which has no interval."
            ),
        }
    }
}

/// The difference at every level that both reach in some repetition, from the first policy of a frontier on.
pub(crate) fn headline_table(view: &TaskView<'_>) -> Table {
    let columns = vec![
        Column::number("New-task accuracy", "", NumberFormat::Percent(0)),
        Column::number("SFT's drop less GRPO's", "points", NumberFormat::Percent(1)),
        Column::text("Each repetition"),
        Column::text("Answer"),
    ];
    let caption = format!(
        "{}: what SFT forgets more than GRPO where both have the same new-task accuracy, along the frontiers of each \
         repetition; mean with Student's 95 % interval over repetitions that have both. A frontier is chosen among all rates \
         and checkpoints of a repetition by the very questions and documents that it is read on; repetitions differ in {}. \
         Below the first policy of a frontier that policy counts; levels below all of them are left out.",
        view.name,
        if view.measured.bases.len() > 1 {
            "base and seed of training"
        } else {
            "the seed of training alone"
        }
    );
    let mut table = Table::new(view.file("headline"), caption, columns);
    let frontiers =
        [StudyMethod::Sft, StudyMethod::Grpo].into_iter().flat_map(|method| view.frontiers.of(method));
    let first = frontiers.filter_map(|seed| Some(seed.frontier_points().first()?.new_task()));
    let first = first.fold(f64::INFINITY, f64::min);
    let levels = view.levels().into_iter().filter(|level| *level >= first);
    for contrast in levels.filter_map(|level| Contrast::headline(view, level)) {
        let each: Vec<String> = contrast.per_seed.iter().map(|(_, difference)| points(*difference)).collect();
        let answer = match contrast.answer() {
            Some(true) => "SFT forgets more",
            Some(false) => "GRPO forgets more",
            None => "not settled",
        };
        table.push(vec![
            contrast.level.into(),
            Cell::interval(Some(contrast.mean.mean), contrast.mean.low, contrast.mean.high),
            each.join(", ").into(),
            answer.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::study::points::Measured;
    use crate::llm::study::sample_study::CLEAR;

    #[test]
    fn levels_below_every_frontier_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let measured = Measured::read(&CLEAR.write(dir.path(), |_| true)).unwrap();
        let views = TaskView::all(&measured).unwrap();
        // The first policies of the frontiers are right in 83.6 %, the base in 55 %.
        let levels = views[0].levels();
        assert!(levels[0] < 0.7);
        let first = levels.into_iter().find(|level| *level > 0.836).unwrap();
        assert_eq!(headline_table(&views[0]).rows()[0][0], Cell::from(first));
    }
}
