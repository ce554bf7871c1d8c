//! One row per method: dots, their mean and its interval.

use plotters::prelude::{Color, EmptyElement, Polygon, ShapeStyle};

use super::axis::{Axis, Scale};
use super::canvas::{Area, DrawResult, Figure, FigureSize, NO_DATA_HEIGHT, Sheet, draw_no_data};
use super::palette::{INK, series_color};
use super::rows::{RowChart, RowValue, Rows, draw_interval, rows_height};
use super::style::{marker, marker_element, px};
use crate::error::ReportError;

/// One row of a [`StripChart`].
#[derive(Debug, Clone)]
pub struct StripRow {
    /// Name of the method.
    pub name: String,
    /// Colour and marker index, as in [`Series::new`](crate::Series::new).
    pub color: usize,
    /// Mean of the row; NaN when there is none.
    pub mean: f64,
    /// Lower end of the interval of the mean; NaN for none.
    pub low: f64,
    /// Upper end of the interval of the mean; NaN for none.
    pub high: f64,
    /// Single values, drawn as small dots.
    pub dots: Vec<f64>,
}

/// Dots with mean and interval per row, in the given order, with a dashed line at 0: residuals, for instance.
#[derive(Debug, Clone)]
pub struct StripChart {
    /// Stem of the file: `a-z`, `0-9`, `_`, `-`, unique in a report.
    pub name: String,
    /// Heading inside the figure.
    pub title: String,
    /// What the figure shows; also its description for screen readers.
    pub caption: String,
    /// How much of the page's width it takes.
    pub size: FigureSize,
    /// The axis along the rows.
    pub x: Axis,
    /// The rows, the first on top.
    pub rows: Vec<StripRow>,
}

impl StripChart {
    /// Draws the chart.
    ///
    /// # Errors
    /// [`ReportError::Draw`] when plotters refuses the layout.
    pub fn draw(&self) -> Result<Figure, ReportError> {
        let values =
            || self.rows.iter().flat_map(|row| row.dots.iter().copied().chain([row.mean, row.low, row.high]));
        let n_ticks = if self.size == FigureSize::Wide { 8 } else { 5 };
        let has_value = values().any(|value| self.x.can_show(value));
        let x = Scale::fit(&self.x, values(), n_ticks).filter(|_| has_value);
        let body_height = if has_value { rows_height(self.rows.len()) } else { NO_DATA_HEIGHT };
        let (name, title, caption) = (&self.name, &self.title, &self.caption);
        let sheet = Sheet { name, title, caption, size: self.size, body_height };
        sheet.draw(|area| match &x {
            Some(x) => self.draw_rows(area, x),
            None => draw_no_data(area),
        })
    }

    fn draw_rows(&self, area: &Area<'_>, x: &Scale) -> DrawResult {
        let rows = Rows {
            size: self.size,
            axis: &self.x,
            names: self.rows.iter().map(|row| row.name.clone()).collect(),
            values: self
                .rows
                .iter()
                .map(|row| RowValue { value: row.mean, low: row.low, high: row.high })
                .collect(),
            top: 0.0,
        };
        rows.draw(area, x, |chart| {
            for (row_idx, row) in self.rows.iter().enumerate() {
                self.draw_row(chart, -(row_idx as f64), row)?;
            }
            Ok(())
        })
    }

    fn draw_row(&self, chart: &RowChart<'_>, place: f64, row: &StripRow) -> DrawResult {
        let plot = chart.plotting_area();
        let x = plot.as_coord_spec().x_spec();
        let shown = |value: f64| self.x.can_show(value) && x.contains(value);
        let opacity = if row.dots.len() > 100 { 0.25 } else { 0.45 };
        for (dot_idx, &dot) in row.dots.iter().enumerate().filter(|&(_, &dot)| shown(dot)) {
            let dot_at = EmptyElement::at((dot, place + spread(dot_idx)));
            plot.draw(&(dot_at + marker_element(Some(row.color), 2.2, opacity)))?;
        }
        let interval = RowValue { value: row.mean, low: row.low, high: row.high };
        draw_interval(chart, place, interval, ShapeStyle::from(INK).stroke_width(px(2.0).unsigned_abs()))?;
        if shown(row.mean) {
            let mean_at = || EmptyElement::at((row.mean, place));
            plot.draw(&(mean_at() + Polygon::new(marker(Some(row.color), 6.5), INK)))?;
            plot.draw(
                &(mean_at()
                    + Polygon::new(marker(Some(row.color), 4.8), series_color(Some(row.color)).filled())),
            )?;
        }
        Ok(())
    }
}

/// A place within the height of a row, so that equal values do not hide each other: steps of the golden ratio fill
/// the height evenly whatever the number of dots.
fn spread(dot_idx: usize) -> f64 {
    ((dot_idx as f64 * 0.618_033_988_749_895).fract() - 0.5) * 0.56
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::assert_well_formed;

    fn svg(mean: f64, dots: Vec<f64>) -> String {
        let row =
            StripRow { name: "<GRPO>".to_owned(), color: 0, mean, low: mean - 1.0, high: f64::NAN, dots };
        let chart = StripChart {
            name: "strip".to_owned(),
            title: "Residuals".to_owned(),
            caption: "Caption".to_owned(),
            size: FigureSize::Wide,
            x: Axis::points("Residual"),
            rows: vec![row.clone(), row],
        };
        let svg = chart.draw().unwrap().svg().to_owned();
        assert_well_formed(&svg);
        svg
    }

    #[test]
    fn rows_without_dots_mean_or_interval_are_drawn_as_far_as_they_go() {
        assert!(svg(f64::NAN, vec![]).contains("no data"));
        assert!(svg(f64::NAN, vec![f64::INFINITY, 0.1]).contains("&lt;GRPO&gt;"));
        assert!(svg(0.1, vec![]).contains("&lt;GRPO&gt;"));
    }

    #[test]
    fn equal_dots_do_not_hide_each_other() {
        let places: Vec<f64> = (0..20).map(spread).collect();
        assert!(places.iter().all(|place| place.abs() < 0.3), "all inside the row");
        let too_close = |a: usize, b: usize| a != b && (places[a] - places[b]).abs() < 0.01;
        assert!(!(0..20).any(|a| (0..20).any(|b| too_close(a, b))));
    }
}
