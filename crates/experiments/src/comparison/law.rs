//! One curve of forgetting on forward KL for all methods, and how far each lies from it.

use razor_metrics::{
    BootstrapInterval, HeldOutGroup, MetricsError, QuadraticFit, RunBootstrap, group_residuals,
};
use razor_report::{Cell, Column, NumberFormat, Residual, Series, StripRow, Table};

use crate::comparison::policy::{ComparedMethod, ComparedPolicy};
use crate::comparison::predictors::scatter;
use crate::comparison::{LEAST_RUNS, Resampling, n_runs};

/// The distances of methods from the common curve.
pub(crate) struct Law {
    /// For the summary.
    pub residuals: Vec<Residual>,
    /// For the figure.
    pub strip: Vec<StripRow>,
}

impl Law {
    /// Fits all `points`, which are those of `methods`.
    ///
    /// # Errors
    /// [`MetricsError`] below two runs or three distinct KLs.
    pub(crate) fn new<P: ComparedPolicy>(
        points: &[&P],
        methods: &[P::Method],
        Resampling { n_resamples, seed }: Resampling,
    ) -> Result<Self, MetricsError> {
        let all = scatter(points, P::forward_kl)?;
        let groups: Vec<P::Method> = points.iter().map(|point| point.method()).collect();
        let runs: Vec<usize> = points.iter().map(|point| point.run_idx()).collect();
        let bootstrap = RunBootstrap::new(&runs, n_resamples, seed)?;
        let means = group_residuals(&all, &groups, &bootstrap)?;
        let fit = QuadraticFit::new(&all, all.each_once())?;
        let mut law = Self { residuals: vec![], strip: vec![] };
        for &method in methods {
            let interval: Option<BootstrapInterval> =
                means.iter().find(|(group, _)| *group == method).and_then(|(_, interval)| *interval);
            let [mean, mut low, mut high] = interval.map_or([f64::NAN; 3], |i| [i.estimate, i.low, i.high]);
            let own: Vec<&P> = points.iter().copied().filter(|point| point.method() == method).collect();
            if n_runs(&own) < LEAST_RUNS {
                (low, high) = (f64::NAN, f64::NAN);
            }
            law.residuals.push(Residual {
                task: String::new(),
                method: method.name().to_owned(),
                mean,
                mean_low: low,
                mean_high: high,
            });
            let dots = own.iter().map(|point| point.forgetting() - fit.predict(point.forward_kl())).collect();
            let name = method.title().to_owned();
            law.strip.push(StripRow { name, color: method.palette_idx(), mean, low, high, dots });
        }
        Ok(law)
    }
}

/// The quadratic through `points` with its 95 % band over runs.
///
/// # Errors
/// [`MetricsError`] below two runs.
pub(super) fn fit_series<P: ComparedPolicy>(
    name: &str,
    points: &[&P],
    Resampling { n_resamples, seed }: Resampling,
) -> Result<Series, MetricsError> {
    let fitted = scatter(points, P::forward_kl)?;
    let (low, high) = super::figures::range(fitted.x());
    let grid: Vec<f64> = (0..=80).map(|i| low + (high - low) * f64::from(i) / 80.0).collect();
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx()).collect();
    let curve = |weights: &[f64]| match QuadraticFit::new(&fitted, weights) {
        Ok(fit) => grid.iter().map(|&x| Some(fit.predict(x))).collect(),
        Err(_) => vec![None; grid.len()],
    };
    let band = RunBootstrap::new(&runs, n_resamples, seed)?.intervals(curve);
    let drawn: Vec<(f64, f64, f64, f64)> =
        grid.iter().zip(band).filter_map(|(&x, at)| at.map(|at| (x, at.estimate, at.low, at.high))).collect();
    Ok(Series::neutral(name)
        .line(drawn.iter().map(|&(x, y, ..)| (x, y)).collect())
        .band(drawn.iter().map(|&(x, _, low, high)| (x, low, high)).collect()))
}

/// How well the law of all other methods predicts a method that it never saw.
pub(crate) fn held_out_table<M: ComparedMethod>(groups: &[(M, Result<HeldOutGroup, MetricsError>)]) -> Table {
    let columns = vec![
        Column::text("Left out"),
        Column::number("R² out of sample", "", NumberFormat::Fixed(2)),
        Column::number("Mean residual", "", NumberFormat::Percent(1)),
        Column::number("Root mean square", "", NumberFormat::Percent(1)),
    ];
    let caption = "Each method predicted by a quadratic fitted to all others. R² is low, even far below zero, for a method \
                   that covers a narrow range: there is little spread to explain. Residuals in accuracy points.";
    let mut table = Table::new("leave_one_method_out", caption, columns);
    for (method, group) in groups {
        table.push(match group {
            Ok(group) => vec![
                method.title().into(),
                group.r2.into(),
                group.mean_residual.into(),
                group.root_mean_square.into(),
            ],
            Err(_) => vec![method.title().into(), Cell::Missing, Cell::Missing, Cell::Missing],
        });
    }
    table
}
