//! The frame that bar and strip charts share: one named row per item, a number at the right, one numeric axis.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::{EmptyElement, PathElement, SVGBackend, ShapeStyle, Text};
use plotters::style::text_anchor::HPos;

use super::axis::{Axis, Scale};
use super::canvas::{Area, DrawResult, FigureSize, MARGIN};
use super::palette::{AXIS, GRID, GUIDE, INK, MUTED};
use super::style::{cut_text, px, text_style, text_width};
use crate::number::NumberFormat;

pub(super) type RowChart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

const NAME_SIZE: f64 = 13.0;
const TICK_SIZE: f64 = 12.5;
const ROW_HEIGHT: f64 = 27.0;
/// Height in pixels of axis, axis label and margins.
const FRAME_HEIGHT: f64 = 70.0;

/// An estimate as its row shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowValue {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl RowValue {
    fn shown(self, format: NumberFormat) -> String {
        match self.low.is_nan() || self.high.is_nan() {
            true => format.format(self.value),
            false => format!(
                "{} [{}, {}]",
                format.format(self.value),
                format.format(self.low),
                format.format(self.high)
            ),
        }
    }
}

/// Height in pixels of a chart of so many rows, without what its author adds above them.
pub(super) fn rows_height(n_rows: usize) -> f64 {
    FRAME_HEIGHT + ROW_HEIGHT * n_rows as f64
}

/// Rows with their names, values and axis, ready for marks: row `i` lies at `y = -i`.
pub(super) struct Rows<'a> {
    pub(super) size: FigureSize,
    pub(super) axis: &'a Axis,
    pub(super) names: Vec<String>,
    pub(super) values: Vec<RowValue>,
    /// Pixels kept free above the first row.
    pub(super) top: f64,
}

impl Rows<'_> {
    /// Draws names, grid, zero line and values on `area`, then whatever `marks` adds.
    pub(super) fn draw(
        &self,
        area: &Area<'_>,
        x: &Scale,
        marks: impl FnOnce(&RowChart<'_>) -> DrawResult,
    ) -> DrawResult {
        let width = self.size.width();
        let names: Vec<String> =
            self.names.iter().map(|name| cut_text(name, NAME_SIZE, 0.36 * width)).collect();
        let name_width = names.iter().map(|name| text_width(name, NAME_SIZE)).fold(0.0, f64::max);
        let format = x.value_format();
        let values: Vec<String> = self.values.iter().map(|value| value.shown(format)).collect();
        let value_width = values.iter().map(|value| text_width(value, TICK_SIZE)).fold(0.0, f64::max);
        let y = Scale::rows(&names);
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(self.top + 6.0))
            .margin_left(px(MARGIN))
            .margin_right(px(value_width + MARGIN + 12.0))
            .margin_bottom(px(10.0))
            .x_label_area_size(px(48.0))
            .y_label_area_size(px(name_width + 12.0))
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .bold_line_style(ShapeStyle::from(GRID).stroke_width(px(1.0).unsigned_abs()))
            .axis_style(ShapeStyle::from(AXIS).stroke_width(px(1.0).unsigned_abs()))
            .set_all_tick_mark_size(px(4.0))
            .x_label_style(text_style(TICK_SIZE, &MUTED, HPos::Center))
            .y_label_style(text_style(NAME_SIZE, &INK, HPos::Right))
            .axis_desc_style(text_style(NAME_SIZE, &MUTED, HPos::Center))
            .x_desc(cut_text(&self.axis.label(), NAME_SIZE, 0.6 * width))
            .x_label_formatter(&|&value| x.tick_label(value))
            .y_label_formatter(&|&value| y.tick_label(value))
            .draw()?;
        let plot = chart.plotting_area();
        if x.contains(0.0) && x.fraction(0.0) > 0.01 {
            let ends = vec![(0.0, y.value(0.0)), (0.0, y.value(1.0))];
            plot.draw(&PathElement::new(
                ends,
                ShapeStyle::from(GUIDE).stroke_width(px(1.25).unsigned_abs()),
            ))?;
        }
        for (row_idx, value) in values.into_iter().enumerate() {
            let words = Text::new(value, (px(12.0), 0), text_style(TICK_SIZE, &MUTED, HPos::Left));
            plot.draw(&(EmptyElement::at((x.value(1.0), -(row_idx as f64))) + words))?;
        }
        marks(&chart)
    }
}

/// A horizontal interval with short ends; nothing when an end is missing.
pub(super) fn draw_interval(
    chart: &RowChart<'_>,
    row: f64,
    value: RowValue,
    style: ShapeStyle,
) -> DrawResult {
    let plot = chart.plotting_area();
    let x = plot.as_coord_spec().x_spec();
    if !value.low.is_finite() || !value.high.is_finite() {
        return Ok(());
    }
    let ends = [value.low, value.high].map(|end| x.value(x.fraction(end).clamp(0.0, 1.0)));
    plot.draw(&PathElement::new(vec![(ends[0], row), (ends[1], row)], style))?;
    for end in ends {
        let cap = PathElement::new(vec![(0, px(-4.0)), (0, px(4.0))], style);
        plot.draw(&(EmptyElement::at((end, row)) + cap))?;
    }
    Ok(())
}
