//! Figures as standalone SVG: plotters draws them, the scales, styles and legends are ours.
//!
//! Every figure follows the reader's light or dark scheme, has one colour and one marker per series index wherever
//! that index appears, skips points that are not finite, and says "no data" where nothing is left.

mod axis;
mod bars;
mod canvas;
mod clip;
mod legend;
mod palette;
mod rows;
mod series;
mod strip;
mod style;
mod xy;

pub use axis::Axis;
pub use bars::{Bar, BarChart};
pub use canvas::{Figure, FigureSize};
pub use series::{Guide, Series};
pub use strip::{StripChart, StripRow};
pub use xy::XyChart;
