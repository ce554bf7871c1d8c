//! The figures of the report.

use razor_report::{Axis, Figure, FigureSize, Guide, Predictor, Series, StripRow, XyChart};

use crate::comparison::{self, Frontiers, Resampling, Words};
use crate::error::ExperimentError;
use crate::parity::matched::Quantity;
use crate::parity::method::Method;
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::CANDIDATES;

fn new_task_axis() -> Axis {
    Axis::percent("ParityMNIST accuracy (new task)")
}

/// A quantity along each method's frontier: mean over repetitions, band from the lowest to the highest.
pub(crate) fn frontier_figure(
    frontiers: &Frontiers<'_, Point>,
    methods: &[Method],
    quantity: Quantity,
    words: Words,
    guide: Option<Guide>,
) -> Result<Figure, ExperimentError> {
    let levels: Vec<f64> = (0..=120).map(|step| 0.86 + 0.001 * f64::from(step)).collect();
    let y = match quantity {
        Quantity::PriorTask => Axis::percent("FashionMNIST accuracy (prior task)"),
        Quantity::ForwardKl => Axis::log("Forward KL(π₀‖π) on ParityMNIST", "nats"),
        Quantity::Cknna => Axis::linear("CKNNA with the base policy", ""),
    };
    let axes = (new_task_axis(), y);
    let read = |point: &Point| quantity.of(point);
    comparison::frontier_figure(frontiers, methods, &levels, read, words, axes, guide)
}

/// The paper's own protocol: runs within 2 points of the frontier, and an exponential through them.
pub(crate) fn pareto_figure(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
) -> Result<Figure, ExperimentError> {
    let words = Words::new(
        "pareto",
        "What a new skill costs",
        "Checkpoints within 2 accuracy points of their method's Pareto frontier, all repetitions, and the exponential \
         a − b·exp(c·x) fitted to them (the paper's appendix B.1).",
    );
    let axes = (new_task_axis(), Axis::percent("FashionMNIST accuracy (prior task)"));
    comparison::pareto_figure(frontiers, &Method::PAPER, measured.base_accuracy(), words, axes)
}

/// Forgetting against forward KL: the checkpoints of `methods`, and the quadratic of the paper's five with its band.
pub(crate) fn law_figure(
    measured: &Measured,
    methods: &[Method],
    resampling: Resampling,
    words: Words,
) -> Result<Figure, ExperimentError> {
    let axes = (
        Axis::linear("Forward KL(π₀‖π) on ParityMNIST", "nats"),
        Axis::points("Forgetting (drop of FashionMNIST accuracy)"),
    );
    let paper = measured.grid(&Method::PAPER);
    let fitted = ("Quadratic fit, five methods", paper.as_slice());
    comparison::law_figure(&measured.grid(methods), methods, fitted, resampling, words, axes)
}

/// R² of every candidate.
pub(crate) fn predictor_figure(predictors: &[Predictor]) -> Result<Figure, ExperimentError> {
    let words = Words::new(
        "predictors",
        "What predicts forgetting",
        "In-sample R² of a quadratic of forgetting on each quantity, the paper's five methods pooled; whiskers are 95 % \
         intervals over runs, diamonds the paper's values. Colored: measured on new-task inputs, which is all that a \
         forecaster has. Old-task rows are an oracle.",
    );
    comparison::predictor_figure(predictors, &CANDIDATES, words)
}

/// How far each method lies from the one curve.
pub(crate) fn residual_figure(rows: Vec<StripRow>) -> Result<Figure, ExperimentError> {
    let words = Words::new(
        "residuals",
        "Do all methods lie on one curve?",
        "Measured less predicted forgetting per method under one quadratic for all methods: mean with 95 % interval over \
         runs, and every checkpoint. A method whose interval misses zero forgets more (right) or less (left) than its KL \
         says.",
    );
    comparison::residual_figure(rows, words)
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
