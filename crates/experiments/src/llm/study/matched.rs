//! The methods of a task at equal new-task accuracy, equal KL and equal learning rate.

use razor_metrics::MetricsError;
use razor_report::Matched;

use crate::comparison::{ComparedPolicy, MatchLevels, matched_rows, score_over_repetitions};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::task_view::TaskView;

/// Forward KLs at which methods are compared where two or more pass through them, nats per completion.
const KL_LEVELS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// All comparisons of a task.
///
/// # Errors
/// [`MetricsError::NotFinite`] for a measurement that is not a number.
pub(crate) fn matched_of_task(view: &TaskView<'_>) -> Result<Vec<Matched>, MetricsError> {
    let ends = view.ends();
    let scores = view.levels();
    let levels = MatchLevels {
        scores: &scores,
        divergences: &KL_LEVELS.into_iter().filter(|&level| is_shared(view, level)).collect::<Vec<f64>>(),
        learning_rates: &view.learning_rates(),
    };
    let ends_at = |method: StudyMethod, rate: f64| -> Vec<&Point> {
        let is_wanted =
            |point: &&Point| point.setting.method == method && point.setting.learning_rate == rate;
        ends.iter().copied().filter(is_wanted).collect()
    };
    let (base, resampling) = (view.base_scores().1, view.resampling("matched"));
    let at_score = |method| score_over_repetitions(&view.frontiers, method, &scores);
    let rows = matched_rows(&view.points, &view.methods, &levels, at_score, base, ends_at, resampling)?;
    Ok(rows.into_iter().map(|row| Matched { task: view.name.to_owned(), ..row }).collect())
}

/// Whether two methods or more have policies on both sides of this KL.
fn is_shared(view: &TaskView<'_>, level: f64) -> bool {
    let passes = |method: &&StudyMethod| {
        let own = || view.points.iter().filter(|point| point.setting.method == **method);
        own().any(|point| point.forward_kl() <= level) && own().any(|point| point.forward_kl() >= level)
    };
    view.methods.iter().filter(passes).count() >= 2
}
