//! The figures that both studies draw.

use razor_metrics::{ExponentialFit, Scatter};
use razor_report::{
    Axis, Bar, BarChart, Figure, FigureSize, Guide, Predictor, PredictorInputs, Series, StripChart, StripRow,
    XyChart,
};

use crate::comparison::Resampling;
use crate::comparison::frontiers::Frontiers;
use crate::comparison::law::fit_series;
use crate::comparison::policy::{ComparedMethod, ComparedPolicy};
use crate::comparison::predictors::Candidate;
use crate::error::ExperimentError;

/// What a figure is called and what it says under itself.
pub(crate) struct Words {
    /// Stem of its file.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What it shows.
    pub caption: String,
    /// How much of the page's width it takes.
    pub size: FigureSize,
}

impl Words {
    pub(crate) fn new(name: impl Into<String>, title: impl Into<String>, caption: impl Into<String>) -> Self {
        Self { name: name.into(), title: title.into(), caption: caption.into(), size: FigureSize::Wide }
    }

    /// Half as wide, so that two stand side by side.
    pub(crate) fn half(self) -> Self {
        Self { size: FigureSize::Half, ..self }
    }

    /// A chart with these words.
    pub(crate) fn chart(self, (x, y): (Axis, Axis), series: Vec<Series>, guides: Vec<Guide>) -> XyChart {
        let Self { name, title, caption, size } = self;
        XyChart { name, title, caption, size, x, y, series, guides }
    }
}

/// A quantity along each method's frontier at new-task `levels`: mean over repetitions, band from the lowest to the highest.
pub(crate) fn frontier_figure<P: ComparedPolicy>(
    frontiers: &Frontiers<'_, P>,
    methods: &[P::Method],
    levels: &[f64],
    quantity: impl Fn(&P) -> f64,
    words: Words,
    axes: (Axis, Axis),
    guide: Option<Guide>,
) -> Result<Figure, ExperimentError> {
    let series = methods.iter().filter(|method| !frontiers.of(**method).is_empty()).map(|&method| {
        let (mut line, mut band) = (vec![], vec![]);
        for &level in levels {
            let values: Option<Vec<f64>> = frontiers.per_seed(method, level, &quantity).into_iter().collect();
            if let Some(values) = values {
                let (low, high) = range(&values);
                line.push((level, values.iter().sum::<f64>() / values.len() as f64));
                band.push((level, low, high));
            }
        }
        let series = Series::new(method.title(), method.palette_idx()).line(line);
        if frontiers.of(method).len() > 1 { series.band(band) } else { series }
    });
    let series = series.collect();
    Ok(words.chart(axes, series, guide.into_iter().collect()).draw()?)
}

/// The paper's own protocol: runs within 2 points of the frontier, and an exponential through them; `base` is its new-task
/// and its prior score.
pub(crate) fn pareto_figure<P: ComparedPolicy>(
    frontiers: &Frontiers<'_, P>,
    methods: &[P::Method],
    base: (f64, f64),
    words: Words,
    axes: (Axis, Axis),
) -> Result<Figure, ExperimentError> {
    const WITHIN: f64 = 0.02;
    let mut series = Vec::new();
    for &method in methods {
        let near: Vec<&P> = frontiers.of(method).iter().flat_map(|seed| seed.near(WITHIN)).collect();
        let points: Vec<(f64, f64)> = near.iter().map(|p| (p.new_task(), p.prior_task())).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let kept = Scatter::new(&x, &y)?;
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
    series.push(Series::neutral("Base policy").points(vec![base]));
    Ok(words.chart(axes, series, vec![]).draw()?)
}

/// Forgetting against forward KL: the policies of `methods`, and the quadratic through `fitted` with its band.
pub(crate) fn law_figure<P: ComparedPolicy>(
    points: &[&P],
    methods: &[P::Method],
    (fit_name, fitted): (&str, &[&P]),
    resampling: Resampling,
    words: Words,
    axes: (Axis, Axis),
) -> Result<Figure, ExperimentError> {
    let mut series: Vec<Series> = methods
        .iter()
        .map(|&method| {
            let own = points.iter().filter(|point| point.method() == method);
            Series::new(method.title(), method.palette_idx())
                .points(own.map(|point| (point.forward_kl(), point.forgetting())).collect())
        })
        .collect();
    series.push(fit_series(fit_name, fitted, resampling)?);
    Ok(words.chart(axes, series, vec![]).draw()?)
}

/// R² of every candidate.
pub(crate) fn predictor_figure<P>(
    predictors: &[Predictor],
    candidates: &[Candidate<P>],
    words: Words,
) -> Result<Figure, ExperimentError> {
    let bars = predictors.iter().map(|row| {
        let candidate = candidates.iter().find(|candidate| candidate.name == row.name);
        let inputs = match row.inputs {
            PredictorInputs::NewTask => "",
            PredictorInputs::OldTask => " · old-task inputs",
            PredictorInputs::Random => " · random inputs",
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
    let Words { name, title, caption, size } = words;
    let chart = BarChart {
        name,
        title,
        caption,
        size,
        x: Axis::linear("R²", ""),
        bars: bars.collect(),
        reference_name: "paper".to_owned(),
    };
    Ok(chart.draw()?)
}

/// How far each method lies from the one curve.
pub(crate) fn residual_figure(rows: Vec<StripRow>, words: Words) -> Result<Figure, ExperimentError> {
    let Words { name, title, caption, size } = words;
    let chart = StripChart { name, title, caption, size, x: Axis::points("Residual"), rows };
    Ok(chart.draw()?)
}

pub(super) fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)))
}
