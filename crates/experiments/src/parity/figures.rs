//! The figures of the report.

use razor_core::Seed;
use razor_metrics::{ExponentialFit, MetricsError, QuadraticFit, RunBootstrap};
use razor_report::{
    Axis, Bar, BarChart, Figure, FigureSize, Guide, Predictor, PredictorInputs, Series, StripChart, StripRow,
    XyChart,
};

use crate::error::ExperimentError;
use crate::parity::matched::{Frontiers, Quantity};
use crate::parity::method::Method;
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::{CANDIDATES, forward_kl, scatter};

/// New-task accuracies at which frontiers are drawn.
fn levels() -> impl Iterator<Item = f64> {
    (0..=120).map(|step| 0.86 + 0.001 * f64::from(step))
}

/// A quantity along each method's frontier: mean over repetitions, band from the lowest to the highest.
pub(crate) fn frontier_figure(
    frontiers: &Frontiers<'_>,
    methods: &[Method],
    quantity: Quantity,
    (name, title, caption): (&str, &str, &str),
    guide: Option<Guide>,
) -> Result<Figure, ExperimentError> {
    let series = methods.iter().filter(|method| !frontiers.of(**method).is_empty()).map(|&method| {
        let (mut line, mut band) = (vec![], vec![]);
        for level in levels() {
            let values: Option<Vec<f64>> = frontiers.per_seed(method, level, quantity).into_iter().collect();
            if let Some(values) = values {
                let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                line.push((level, values.iter().sum::<f64>() / values.len() as f64));
                band.push((level, low, high));
            }
        }
        let series = Series::new(method.title(), method.palette_idx()).line(line);
        if frontiers.of(method).len() > 1 { series.band(band) } else { series }
    });
    let y = match quantity {
        Quantity::PriorTask => Axis::percent("FashionMNIST accuracy (prior task)"),
        Quantity::ForwardKl => Axis::log("Forward KL(π₀‖π) on ParityMNIST", "nats"),
        Quantity::Cknna => Axis::linear("CKNNA with the base policy", ""),
    };
    let chart = XyChart {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        size: FigureSize::Wide,
        x: Axis::percent("ParityMNIST accuracy (new task)"),
        y,
        series: series.collect(),
        guides: guide.into_iter().collect(),
    };
    Ok(chart.draw()?)
}

/// The paper's own protocol: runs within 2 points of the frontier, and an exponential through them.
pub(crate) fn pareto_figure(
    measured: &Measured,
    frontiers: &Frontiers<'_>,
) -> Result<Figure, ExperimentError> {
    const WITHIN: f64 = 0.02;
    let mut series = Vec::new();
    for method in Method::PAPER {
        let near: Vec<&Point> = frontiers.of(method).iter().flat_map(|seed| seed.near(WITHIN)).collect();
        let points: Vec<(f64, f64)> = near.iter().map(|p| (p.eval.new_task, p.eval.prior_task)).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let kept = razor_metrics::Scatter::new(&x, &y)?;
        let line = match ExponentialFit::new(&kept, kept.each_once()) {
            Ok(fit) => {
                let (low, high) = range(&x);
                (0..=60)
                    .map(|i| low + (high - low) * f64::from(i) / 60.0)
                    .map(|x| (x, fit.predict(x)))
                    .collect()
            }
            Err(_) => vec![], // fewer than three distinct points: drawn without a curve
        };
        series.push(Series::new(method.title(), method.palette_idx()).points(points).line(line));
    }
    let (new_task, prior_task) = measured.base_accuracy();
    series.push(Series::neutral("Base policy").points(vec![(new_task, prior_task)]));
    let chart = XyChart {
        name: "pareto".to_owned(),
        title: "What a new skill costs".to_owned(),
        caption: "Checkpoints within 2 accuracy points of their method's Pareto frontier, all repetitions, and the \
                  exponential a − b·exp(c·x) fitted to them (the paper's appendix B.1)."
            .to_owned(),
        size: FigureSize::Wide,
        x: Axis::percent("ParityMNIST accuracy (new task)"),
        y: Axis::percent("FashionMNIST accuracy (prior task)"),
        series,
        guides: vec![],
    };
    Ok(chart.draw()?)
}

/// Forgetting against forward KL: the checkpoints of `methods`, and the quadratic of the paper's five with its band.
pub(crate) fn law_figure(
    measured: &Measured,
    methods: &[Method],
    seed: Seed,
    (name, title, caption): (&str, &str, &str),
) -> Result<Figure, ExperimentError> {
    let mut series: Vec<Series> = methods
        .iter()
        .map(|&method| {
            let points = measured.grid(&[method]).iter().map(|p| (forward_kl(p), p.forgetting)).collect();
            Series::new(method.title(), method.palette_idx()).points(points)
        })
        .collect();
    series.push(fit_series(measured, seed)?);
    let chart = XyChart {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        size: FigureSize::Wide,
        x: Axis::linear("Forward KL(π₀‖π) on ParityMNIST", "nats"),
        y: Axis::points("Forgetting (drop of FashionMNIST accuracy)"),
        series,
        guides: vec![],
    };
    Ok(chart.draw()?)
}

fn fit_series(measured: &Measured, seed: Seed) -> Result<Series, MetricsError> {
    let points = measured.grid(&Method::PAPER);
    let fitted = scatter(&points, forward_kl)?;
    let (low, high) = range(fitted.x());
    let grid: Vec<f64> = (0..=80).map(|i| low + (high - low) * f64::from(i) / 80.0).collect();
    let runs: Vec<usize> = points.iter().map(|point| point.run_idx).collect();
    let curve = |weights: &[f64]| match QuadraticFit::new(&fitted, weights) {
        Ok(fit) => grid.iter().map(|&x| Some(fit.predict(x))).collect(),
        Err(_) => vec![None; grid.len()],
    };
    let band = RunBootstrap::new(&runs, measured.config.study.measure.n_resamples, seed)?.intervals(curve);
    let drawn: Vec<(f64, f64, f64, f64)> =
        grid.iter().zip(band).filter_map(|(&x, at)| at.map(|at| (x, at.estimate, at.low, at.high))).collect();
    Ok(Series::neutral("Quadratic fit, five methods")
        .line(drawn.iter().map(|&(x, y, ..)| (x, y)).collect())
        .band(drawn.iter().map(|&(x, _, low, high)| (x, low, high)).collect()))
}

/// R² of every candidate.
pub(crate) fn predictor_figure(predictors: &[Predictor]) -> Result<Figure, ExperimentError> {
    let bars = predictors.iter().map(|row| {
        let candidate = CANDIDATES.iter().find(|candidate| candidate.name == row.name);
        let inputs = match row.inputs {
            PredictorInputs::NewTask => "",
            PredictorInputs::OldTask => " · old-task inputs",
            PredictorInputs::None => " · no inputs",
        };
        Bar {
            name: format!("{}{inputs}", candidate.map_or(row.name.as_str(), |candidate| candidate.title)),
            value: row.r2,
            low: row.r2_low,
            high: row.r2_high,
            highlighted: row.inputs == PredictorInputs::NewTask,
            reference: candidate.and_then(|candidate| candidate.paper),
        }
    });
    let chart = BarChart {
        name: "predictors".to_owned(),
        title: "What predicts forgetting".to_owned(),
        caption: "In-sample R² of a quadratic of forgetting on each quantity, the paper's five methods pooled; whiskers \
                  are 95 % intervals over runs, diamonds the paper's values. Colored: measured on new-task inputs, which \
                  is all that a forecaster has. Old-task rows are an oracle."
            .to_owned(),
        size: FigureSize::Wide,
        x: Axis::linear("R²", ""),
        bars: bars.collect(),
        reference_name: "paper".to_owned(),
    };
    Ok(chart.draw()?)
}

/// How far each method lies from the one curve.
pub(crate) fn residual_figure(rows: Vec<StripRow>) -> Result<Figure, ExperimentError> {
    let chart = StripChart {
        name: "residuals".to_owned(),
        title: "Do all methods lie on one curve?".to_owned(),
        caption: "Measured less predicted forgetting per method under one quadratic for all methods: mean with 95 % \
                  interval over runs, and every checkpoint. A method whose interval misses zero forgets more (right) \
                  or less (left) than its KL says."
            .to_owned(),
        size: FigureSize::Wide,
        x: Axis::points("Residual"),
        rows,
    };
    Ok(chart.draw()?)
}

/// What single steps did to old and new task.
pub(crate) fn dynamics_figures(measured: &Measured) -> Result<Vec<Figure>, ExperimentError> {
    let draw = |name: &str,
                title: &str,
                axis: &str,
                cosine: fn(&crate::parity::record::DynamicsRecord) -> f64| {
        let series = Method::ALL.iter().filter_map(|&method| {
            let runs = measured.watched.iter().filter(|run| run.method == method);
            let points: Vec<(f64, f64)> =
                runs.flat_map(|run| &run.records).map(|step| (step.step_kl, cosine(step))).collect();
            (!points.is_empty()).then(|| Series::new(method.title(), method.palette_idx()).points(points))
        });
        let chart = XyChart {
            name: name.to_owned(),
            title: title.to_owned(),
            caption: "Every watched step: KL between the policy before and after it on ParityMNIST test inputs, \
                      against the cosine of the update with the gradient of the test loss. Above zero the step \
                      raises that loss."
                .to_owned(),
            size: FigureSize::Half,
            x: Axis::log("KL of the step", "nats"),
            y: Axis::linear(axis, ""),
            series: series.collect(),
            guides: vec![Guide::horizontal(0.0, "")],
        };
        chart.draw()
    };
    Ok(vec![
        draw("dynamics_prior", "Steps and the old task", "Cosine with ∇ FashionMNIST loss", |step| {
            step.prior_cosine
        })?,
        draw("dynamics_new", "Steps and the new task", "Cosine with ∇ ParityMNIST loss", |step| {
            step.new_cosine
        })?,
    ])
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)))
}
