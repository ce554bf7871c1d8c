//! The methods at equal new-task accuracy, equal KL and equal learning rate.

use razor_core::Seed;
use razor_metrics::MetricsError;
use razor_report::Matched;
use razor_trainers::Schedule;

use crate::comparison::{ComparedPolicy, Frontiers, MatchLevels, Resampling, matched_rows, score_over_runs};
use crate::parity::method::Method;
use crate::parity::points::{Measured, Point};

/// New-task accuracies at which methods are compared.
const ACCURACY_LEVELS: [f64; 4] = [0.90, 0.93, 0.95, 0.96];
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
    pub(crate) fn of(self, point: &Point) -> f64 {
        match self {
            Self::PriorTask => point.eval.prior_task,
            Self::ForwardKl => point.forward_kl(),
            Self::Cknna => point.eval.cknna.unwrap_or(0.0),
        }
    }
}

/// All comparisons of a study.
pub(crate) fn parity_matched_rows(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
    seed: Seed,
) -> Result<Vec<Matched>, MetricsError> {
    let study = &measured.config.study;
    let methods = measured.methods();
    let levels = MatchLevels {
        scores: &ACCURACY_LEVELS,
        divergences: &KL_LEVELS,
        learning_rates: &study.grid.learning_rates,
    };
    let resampling = Resampling { n_resamples: study.measure.n_resamples, seed };
    let ends = |method, rate| ends_at(measured, method, rate);
    let base = measured.base_accuracy().1;
    let at_score = |method| score_over_runs(frontiers, method, &ACCURACY_LEVELS, resampling);
    matched_rows(&measured.grid(&methods), &methods, &levels, at_score, base, ends, resampling)
}

/// The end of the runs at one peak learning rate, constant schedule, fewest epochs.
fn ends_at(measured: &Measured, method: Method, learning_rate: f64) -> Vec<&Point> {
    let grid = measured.grid(&[method]);
    let fewest = grid.iter().map(|point| point.setting.n_epochs).min();
    grid.into_iter()
        .filter(|point| {
            let setting = &point.setting;
            point.is_last
                && setting.learning_rate == learning_rate
                && setting.schedule == Schedule::Constant
                && Some(setting.n_epochs) == fewest
        })
        .collect()
}
