//! Horizontal bars with intervals, longest first.

use plotters::prelude::{Color, EmptyElement, PathElement, Polygon, Rectangle, ShapeStyle, Text};
use plotters::style::text_anchor::HPos;

use super::axis::{Axis, Scale};
use super::canvas::{Area, DrawResult, Figure, FigureSize, MARGIN, NO_DATA_HEIGHT, Sheet, draw_no_data};
use super::palette::{INK, MUTED, PLAIN_BAR, SURFACE, series_color};
use super::rows::{RowChart, RowValue, Rows, draw_interval, rows_height};
use super::style::{cut_text, marker, px, text_style};
use crate::error::ReportError;

/// One bar of a [`BarChart`].
#[derive(Debug, Clone)]
pub struct Bar {
    /// What is measured.
    pub name: String,
    /// Length of the bar from 0; NaN leaves the row empty.
    pub value: f64,
    /// Lower end of the interval; NaN for none.
    pub low: f64,
    /// Upper end of the interval; NaN for none.
    pub high: f64,
    /// Whether the bar is drawn in colour, the others being grey.
    pub highlighted: bool,
    /// A value to compare with, drawn as a diamond: the paper's, for instance.
    pub reference: Option<f64>,
}

/// Horizontal bars with intervals, sorted by value, the largest on top.
#[derive(Debug, Clone)]
pub struct BarChart {
    /// Stem of the file: `a-z`, `0-9`, `_`, `-`, unique in a report.
    pub name: String,
    /// Heading inside the figure.
    pub title: String,
    /// What the figure shows; also its description for screen readers.
    pub caption: String,
    /// How much of the page's width it takes.
    pub size: FigureSize,
    /// The axis along the bars; linear, and always showing 0.
    pub x: Axis,
    /// The bars, in any order.
    pub bars: Vec<Bar>,
    /// What the diamonds stand for: `paper`.
    pub reference_name: String,
}

/// The colour of highlighted bars.
const HIGHLIGHT: Option<usize> = Some(0);

impl BarChart {
    /// Draws the chart.
    ///
    /// # Errors
    /// [`ReportError::Draw`] when plotters refuses the layout.
    pub fn draw(&self) -> Result<Figure, ReportError> {
        let mut bars: Vec<&Bar> = self.bars.iter().collect();
        // Stable, and bars without a value last.
        bars.sort_by(|a, b| a.value.is_nan().cmp(&b.value.is_nan()).then(b.value.total_cmp(&a.value)));
        let values = bars.iter().flat_map(|bar| [bar.value, bar.low, bar.high, bar.reference.unwrap_or(0.0)]);
        let n_ticks = if self.size == FigureSize::Wide { 8 } else { 5 };
        let has_value = bars.iter().any(|bar| self.x.can_show(bar.value));
        let x = Scale::fit(&self.x, values.chain([0.0]), n_ticks).filter(|_| has_value);
        let has_reference = bars.iter().any(|bar| bar.reference.is_some());
        let top = if has_reference { 26.0 } else { 4.0 };
        let body_height = if has_value { rows_height(bars.len()) + top } else { NO_DATA_HEIGHT };
        let (name, title, caption) = (&self.name, &self.title, &self.caption);
        let sheet = Sheet { name, title, caption, size: self.size, body_height };
        sheet.draw(|area| match &x {
            Some(x) if has_reference => {
                self.draw_reference_key(area)?;
                self.draw_bars(area, &bars, x, top)
            }
            Some(x) => self.draw_bars(area, &bars, x, top),
            None => draw_no_data(area),
        })
    }

    fn draw_bars(&self, area: &Area<'_>, bars: &[&Bar], x: &Scale, top: f64) -> DrawResult {
        let rows = Rows {
            size: self.size,
            axis: &self.x,
            names: bars.iter().map(|bar| bar.name.clone()).collect(),
            values: bars
                .iter()
                .map(|bar| RowValue { value: bar.value, low: bar.low, high: bar.high })
                .collect(),
            top,
        };
        rows.draw(area, x, |chart| {
            for (row_idx, bar) in bars.iter().enumerate() {
                draw_bar(chart, -(row_idx as f64), bar)?;
            }
            Ok(())
        })
    }

    fn draw_reference_key(&self, area: &Area<'_>) -> DrawResult {
        area.draw(
            &(EmptyElement::at((px(MARGIN + 7.0), px(15.0))) + Polygon::new(marker(Some(3), 5.0), INK)),
        )?;
        let words = cut_text(&self.reference_name, 13.0, 0.6 * self.size.width());
        area.draw(&Text::new(words, (px(MARGIN + 20.0), px(15.0)), text_style(13.0, &MUTED, HPos::Left)))
    }
}

fn draw_bar(chart: &RowChart<'_>, row: f64, bar: &Bar) -> DrawResult {
    let plot = chart.plotting_area();
    let x = plot.as_coord_spec().x_spec();
    if bar.value.is_finite() {
        let color = if bar.highlighted { series_color(HIGHLIGHT) } else { PLAIN_BAR };
        let ends = [0.0, bar.value].map(|end| x.value(x.fraction(end).clamp(0.0, 1.0)));
        plot.draw(&Rectangle::new([(ends[0], row + 0.31), (ends[1], row - 0.31)], color.filled()))?;
        let whisker = ShapeStyle::from(INK.mix(0.75)).stroke_width(px(1.5).unsigned_abs());
        draw_interval(chart, row, RowValue { value: bar.value, low: bar.low, high: bar.high }, whisker)?;
    }
    if let Some(reference) = bar.reference.filter(|&reference| x.contains(reference)) {
        let mut outline = marker(Some(3), 5.6);
        outline.extend(outline.first().copied());
        let halo = ShapeStyle::from(SURFACE).stroke_width(px(1.5).unsigned_abs());
        let place = || EmptyElement::at((reference, row));
        plot.draw(&(place() + Polygon::new(marker(Some(3), 5.0), INK)))?;
        plot.draw(&(place() + PathElement::new(outline, halo)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::assert_well_formed;

    fn bar(name: &str, value: f64) -> Bar {
        let (low, high) = (value - 0.1, value + 0.1);
        Bar { name: name.to_owned(), value, low, high, highlighted: false, reference: None }
    }

    fn svg(bars: Vec<Bar>) -> String {
        let chart = BarChart {
            name: "bars".to_owned(),
            title: "Bars".to_owned(),
            caption: String::new(),
            size: FigureSize::Half,
            x: Axis::linear("R²", ""),
            bars,
            reference_name: "paper".to_owned(),
        };
        let svg = chart.draw().unwrap().svg().to_owned();
        assert_well_formed(&svg);
        svg
    }

    #[test]
    fn bars_stand_in_order_of_their_values_with_empty_ones_last() {
        let svg =
            svg(vec![bar("none", f64::NAN), bar("small", 0.2), bar("large", 0.9), bar("negative", -0.3)]);
        let place = |name: &str| svg.find(&format!("\n{name}\n")).unwrap();
        // plotters writes the labels of an axis in the order of its ticks, from the top here.
        assert!(place("large") < place("small") && place("small") < place("negative"));
        assert!(place("negative") < place("none"));
    }

    #[test]
    fn bars_without_any_value_say_so() {
        assert!(svg(vec![]).contains("no data"));
        assert!(svg(vec![bar("a", f64::NAN), bar("b", f64::INFINITY)]).contains("no data"));
        assert!(!svg(vec![bar("zero", 0.0)]).contains("no data"));
    }

    #[test]
    fn a_reference_brings_its_key() {
        let with = Bar { reference: Some(0.96), ..bar("KL", 0.94) };
        assert!(svg(vec![with]).contains("paper"));
        assert!(!svg(vec![bar("KL", 0.94)]).contains("paper"));
    }
}
