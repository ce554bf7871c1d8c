//! How far weights moved, by the size of the base's new-task gradient.

use anyhow::Result;
use razor_report::{Axis, Figure, Series};

use crate::comparison::{ComparedMethod, Words};
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::{Measured, Point};
use crate::llm::study::record::WeightMovement;
use crate::llm::study::task_view::TaskView;

/// Movement by tenth of the gradient, over the root mean square of all weights; empty where it was not measured.
fn relative_to_mean(weights: &WeightMovement) -> Vec<f64> {
    let tenths = &weights.by_gradient;
    let squares: f64 = tenths.iter().map(|movement| movement * movement).sum();
    let overall = (squares / tenths.len() as f64).sqrt();
    if overall > 0.0 { tenths.iter().map(|movement| movement / overall).collect() } else { vec![] }
}

/// Movement of the tenth of the weights with the smallest gradient, over that of all weights.
pub(crate) fn lowest_tenth(point: &Point) -> Option<f64> {
    relative_to_mean(&point.measured.weights).first().copied()
}

/// The curves of one epsilon.
struct Panel {
    epsilon: f64,
    curves: Vec<(StudyMethod, Vec<(f64, f64)>)>,
}

impl Panel {
    fn new(ends: &[&Point], epsilon: f64) -> Self {
        let with_epsilon: Vec<&Point> =
            ends.iter().copied().filter(|end| end.setting.epsilon == epsilon).collect();
        let methods = Measured::methods(&with_epsilon).into_iter();
        let curves = methods.map(|method| (method, mean_curve(&with_epsilon, method)));
        Self { epsilon, curves: curves.filter(|(_, curve)| !curve.is_empty()).collect() }
    }

    fn movements(&self) -> impl Iterator<Item = f64> {
        let points = self.curves.iter().flat_map(|(_, curve)| curve);
        points.map(|(_, movement)| *movement).filter(|movement| *movement > 0.0)
    }
}

/// Mean over a method's runs: tenth from 1, and movement.
fn mean_curve(ends: &[&Point], method: StudyMethod) -> Vec<(f64, f64)> {
    let own = ends.iter().filter(|end| end.setting.method == method);
    let curves: Vec<Vec<f64>> =
        own.map(|end| relative_to_mean(&end.measured.weights)).filter(|curve| !curve.is_empty()).collect();
    let n_tenths = curves.iter().map(Vec::len).min().unwrap_or(0);
    (0..n_tenths)
        .map(|tenth| {
            let sum: f64 = curves.iter().map(|curve| curve[tenth]).sum();
            (tenth as f64 + 1.0, sum / curves.len() as f64)
        })
        .collect()
}

/// One figure per epsilon, all on the same axes; none where no gradients were taken.
pub(crate) fn gradient_figures(
    view: &TaskView<'_>,
    ends: &[&Point],
    epsilons: &[f64],
) -> Result<Vec<Figure>> {
    let panels: Vec<Panel> = epsilons.iter().map(|&epsilon| Panel::new(ends, epsilon)).collect();
    let movements = || panels.iter().flat_map(Panel::movements);
    let Some(low) = movements().reduce(f64::min) else { return Ok(vec![]) };
    let high = movements().fold(low, f64::max);
    let figures = panels.iter().enumerate().map(|(idx, panel)| {
        let words = Words::new(
            view.file(&format!("movement_by_gradient_{}", idx + 1)),
            format!("{}: what moved at epsilon {:e}", view.name, panel.epsilon),
            "Movement of ten equal parts of the weights, from the smallest to the largest new-task gradient of the base, over \
             that of all weights (root mean squares; end of runs, mean over runs). At 1 a weight moves as far as any other, \
             whatever the new task asks of it.",
        );
        let axes = (
            Axis::linear("Tenth of the weights by new-task gradient", ""),
            Axis::log("Movement over that of all weights", "").range(0.8 * low, 1.25 * high),
        );
        let series = panel.curves.iter().map(|(method, curve)| {
            Series::new(method.title(), method.palette_idx()).points(curve.clone()).line(curve.clone())
        });
        Ok(words.half().chart(axes, series.collect(), vec![]).draw()?)
    });
    figures.collect()
}
