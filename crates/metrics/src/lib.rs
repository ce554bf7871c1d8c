//! What is measured about a change of policy.
//!
//! Three steps: measurements of one policy against its reference (distributions, weights, activations,
//! representations), laws that relate them to forgetting (fits, correlations, frontiers, forecasts), and the intervals that
//! say how far to trust a law. Paper: arXiv 2509.04259, sections 4 and 6 and appendices B and C.
//!
//! It must never train, never score a benchmark, never read a file, and never hand out NaN: a measurement that has
//! no value is an error or `None`, and says why. Everything from [`Scatter`] down works on plain slices, in
//! f64, on the calling thread, so that a study can use one core per run.
//!
//! Does KL predict forgetting, and how sure are we?
//!
//! ```
//! use razor_core::Seed;
//! use razor_metrics::{QuadraticFit, RunBootstrap, Scatter, spearman};
//!
//! // Three runs with three checkpoints each.
//! let kl = [0.0, 0.4, 1.0, 0.0, 0.8, 2.0, 0.0, 1.5, 4.0]; // nats
//! let forgetting = [0.0, 0.06, 0.14, 0.0, 0.12, 0.22, 0.0, 0.18, 0.30]; // drop of prior-task accuracy
//! let runs = RunBootstrap::new(&["a", "a", "a", "b", "b", "b", "c", "c", "c"], 500, Seed::new(0))?;
//!
//! let points = Scatter::new(&kl, &forgetting)?;
//! let r2 = runs.interval(|weights| QuadraticFit::new(&points, weights).ok().map(|fit| fit.r2()));
//! let r2 = r2.expect("most resamples hold three distinct KLs");
//! assert!(r2.estimate > 0.95 && r2.low > 0.9);
//! assert!(spearman(&points, points.each_once())? > 0.9);
//! # Ok::<(), razor_metrics::MetricsError>(())
//! ```

mod error;

mod activation_change;
mod distribution_shift;
mod fisher;
mod representation;
mod spectrum;
mod weight_change;

mod language;

mod bootstrap;
mod correlation;
mod exponential;
mod fit;
mod forecast;
mod group_residuals;
mod monotone;
mod pareto;
mod scatter;

pub use activation_change::{ActivationChange, ActivationChangeSums};
pub use bootstrap::{BootstrapInterval, MeanInterval, RunBootstrap};
pub use correlation::{pearson, spearman};
pub use distribution_shift::DistributionShift;
pub use error::MetricsError;
pub use exponential::ExponentialFit;
pub use fisher::diagonal_fisher;
pub use fit::QuadraticFit;
pub use forecast::{
    CALIBRATION_SCHEMA, Calibration, CalibrationBase, CalibrationPoint, Forecast, HeldOutError, Law,
    LawError, NewTaskMeasurement, forecast, law_errors,
};
pub use group_residuals::{HeldOutGroup, group_residuals, leave_one_group_out};
pub use language::{
    CompletionShift, DrawnCompletion, DriftOptions, LayerSimilarity, MatrixDrift, SampleSource,
    ShiftQuantity, ShiftSample, TensorDrift, WeightDrift, completion_shifts, draw_completions,
    layer_similarities, mean_hidden_states, sequence_fisher, shift_quantities,
};
pub use monotone::MonotoneFit;
pub use pareto::Frontier;
pub use representation::{RepresentationProbe, RepresentationSimilarity};
pub use scatter::Scatter;
pub use spectrum::{WeightUpdate, numerical_rank};
pub use weight_change::{UNCHANGED_TOLERANCE, WeightChange, fisher_weighted_change};
