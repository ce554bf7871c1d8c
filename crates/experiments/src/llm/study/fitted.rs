//! How well one quantity predicts forgetting, for some of the policies of a task.

use razor_metrics::{QuadraticFit, RunBootstrap, spearman};
use razor_report::Cell;

use crate::comparison::{LEAST_RUNS, Resampling, n_runs, scatter};
use crate::llm::study::points::Point;

/// A figure and its 95 % interval over runs; missing where too few policies or runs define it. Checkpoints of one run
/// follow one path: how well a curve goes through them says how smooth that path is and nothing about other runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figure {
    pub value: Option<f64>,
    pub interval: Option<(f64, f64)>,
}

impl From<Figure> for Cell {
    fn from(figure: Figure) -> Self {
        let (low, high) = figure.interval.unzip();
        Self::interval(figure.value, low, high)
    }
}

/// R² of a quadratic of forgetting on a quantity.
pub(crate) fn quadratic_r2(points: &[&Point], value: fn(&Point) -> f64, resampling: Resampling) -> Figure {
    let Ok(scatter) = scatter(points, value) else { return Figure::default() };
    over_runs(points, resampling, |weights| QuadraticFit::new(&scatter, weights).ok().map(|fit| fit.r2()))
}

/// Rank correlation of forgetting with a quantity.
pub(crate) fn rank_correlation(
    points: &[&Point],
    value: fn(&Point) -> f64,
    resampling: Resampling,
) -> Figure {
    let Ok(scatter) = scatter(points, value) else { return Figure::default() };
    over_runs(points, resampling, |weights| spearman(&scatter, weights).ok())
}

/// R² of one quantity less that of another, on the same resamples.
pub(crate) fn r2_lead(
    points: &[&Point],
    one: fn(&Point) -> f64,
    other: fn(&Point) -> f64,
    resampling: Resampling,
) -> Figure {
    let (Ok(one), Ok(other)) = (scatter(points, one), scatter(points, other)) else {
        return Figure::default();
    };
    over_runs(points, resampling, |weights| {
        let (one, other) = (QuadraticFit::new(&one, weights).ok()?, QuadraticFit::new(&other, weights).ok()?);
        Some(one.r2() - other.r2())
    })
}

fn over_runs(
    points: &[&Point],
    Resampling { n_resamples, seed }: Resampling,
    statistic: impl Fn(&[f64]) -> Option<f64>,
) -> Figure {
    if n_runs(points) < 2 {
        return Figure::default();
    }
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx).collect();
    let bootstrap = RunBootstrap::new(&runs, n_resamples, seed).ok().filter(|_| n_runs(points) >= LEAST_RUNS);
    let interval = bootstrap.and_then(|runs| runs.interval(&statistic));
    Figure {
        value: statistic(&vec![1.0; points.len()]),
        interval: interval.map(|interval| (interval.low, interval.high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::ComparedPolicy;
    use crate::llm::study::points::Measured;
    use crate::llm::study::sample_study::CLEAR;
    use crate::llm::study::task_view::TaskView;

    #[test]
    fn the_checkpoints_of_one_run_have_no_law_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let measured = Measured::read(&CLEAR.write(dir.path(), |_| true)).unwrap();
        let views = TaskView::all(&measured).unwrap();
        let of_runs = |n: usize| -> Vec<&Point> {
            let is_wanted = |point: &&Point| point.run_idx < n;
            views[0].points.iter().copied().filter(is_wanted).collect()
        };
        let r2 = |n| quadratic_r2(&of_runs(n), Point::forward_kl, views[0].resampling("r2"));
        assert_eq!(r2(1), Figure::default());
        assert!(of_runs(1).len() > 3 && r2(2).value.is_some() && r2(2).interval.is_none());
    }
}
