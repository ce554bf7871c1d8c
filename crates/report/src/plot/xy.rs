//! Charts with two numeric axes: scatter plots with a fit, frontiers, curves over steps.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::{Color, EmptyElement, PathElement, Polygon, SVGBackend, ShapeStyle, Text};
use plotters::style::text_anchor::HPos;

use super::axis::{Axis, Scale};
use super::canvas::{
    Area, BAND_OPACITY, DrawResult, Figure, FigureSize, MARGIN, NO_DATA_HEIGHT, Sheet, draw_no_data,
};
use super::clip::clipped;
use super::legend::{Legend, LegendEntry};
use super::palette::{AXIS, GRID, GUIDE, MUTED, series_color};
use super::series::{Guide, Series};
use super::style::{cut_text, marker_element, px, text_style, text_width};
use crate::error::ReportError;

/// A chart with two numeric axes.
#[derive(Debug, Clone)]
pub struct XyChart {
    /// Stem of the file: `a-z`, `0-9`, `_`, `-`, unique in a report.
    pub name: String,
    /// Heading inside the figure.
    pub title: String,
    /// What the figure shows; also its description for screen readers.
    pub caption: String,
    /// How much of the page's width it takes.
    pub size: FigureSize,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, later ones over earlier ones; the legend follows this order.
    pub series: Vec<Series>,
    /// Reference lines. The axes reach far enough to show them.
    pub guides: Vec<Guide>,
}

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

const TICK_SIZE: f64 = 12.5;
const LABEL_SIZE: f64 = 13.0;
/// Height in pixels of the line above the data that holds the label of the vertical axis.
const Y_LABEL_HEIGHT: f64 = 30.0;

impl XyChart {
    /// Draws the chart.
    ///
    /// # Errors
    /// [`ReportError::Draw`] when plotters refuses the layout.
    pub fn draw(&self) -> Result<Figure, ReportError> {
        let legend = Legend::new(self.legend_entries(), self.size);
        let scales = self.scales();
        let body_height = match (&scales, self.size) {
            (None, _) => NO_DATA_HEIGHT + legend.height(),
            (Some(_), FigureSize::Wide) => (Y_LABEL_HEIGHT + legend.height() + 24.0).max(500.0),
            (Some(_), FigureSize::Half) => 370.0 + legend.height(),
        };
        let (name, title, caption) = (&self.name, &self.title, &self.caption);
        let sheet = Sheet { name, title, caption, size: self.size, body_height };
        sheet.draw(|area| {
            let rest = legend.draw(area, Y_LABEL_HEIGHT)?;
            match &scales {
                Some((x, y)) => self.draw_data(&rest, x, y),
                None => draw_no_data(&rest),
            }
        })
    }

    fn draw_data(&self, area: &Area<'_>, x: &Scale, y: &Scale) -> DrawResult {
        let tick_width = y.tick_labels().map(|label| text_width(label, TICK_SIZE)).fold(0.0, f64::max);
        let y_label = cut_text(&self.y.label(), LABEL_SIZE, self.size.width() - 2.0 * MARGIN);
        area.draw_text(&y_label, &text_style(LABEL_SIZE, &MUTED, HPos::Left), (px(MARGIN), px(14.0)))?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(Y_LABEL_HEIGHT))
            .margin_left(px(MARGIN))
            .margin_right(px(24.0))
            .margin_bottom(px(10.0))
            .x_label_area_size(px(50.0))
            .y_label_area_size(px(tick_width + 10.0))
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(ShapeStyle::from(GRID).stroke_width(px(1.0).unsigned_abs()))
            .axis_style(ShapeStyle::from(AXIS).stroke_width(px(1.0).unsigned_abs()))
            .set_all_tick_mark_size(px(4.0))
            .label_style(text_style(TICK_SIZE, &MUTED, HPos::Center))
            .axis_desc_style(text_style(LABEL_SIZE, &MUTED, HPos::Center))
            .x_desc(cut_text(&self.x.label(), LABEL_SIZE, self.size.width() * 0.6))
            .x_label_formatter(&|&value| x.tick_label(value))
            .y_label_formatter(&|&value| y.tick_label(value))
            .draw()?;
        self.draw_bands(&chart)?;
        self.draw_guides(&chart)?;
        self.draw_points(&chart)?;
        self.draw_lines(&chart)
    }

    fn draw_bands(&self, chart: &Chart<'_>) -> DrawResult {
        for series in &self.series {
            let band = self.shown_band(series);
            if band.len() < 2 {
                continue;
            }
            let lower = band.iter().map(|&(x, low, _)| (x, low));
            let upper = band.iter().rev().map(|&(x, _, high)| (x, high));
            // Corners outside the axes are pulled onto the edge by plotters, which cuts a band as it should.
            let outline: Vec<(f64, f64)> = lower.chain(upper).collect();
            let color = series_color(series.color).mix(BAND_OPACITY);
            chart.plotting_area().draw(&Polygon::new(outline, color))?;
        }
        Ok(())
    }

    fn draw_guides(&self, chart: &Chart<'_>) -> DrawResult {
        let area = chart.plotting_area();
        let (x, y) = (area.as_coord_spec().x_spec(), area.as_coord_spec().y_spec());
        for guide in &self.guides {
            let (axis, scale) = if guide.vertical { (&self.x, x) } else { (&self.y, y) };
            if !axis.can_show(guide.at) || !scale.contains(guide.at) {
                continue;
            }
            let style = ShapeStyle::from(GUIDE).stroke_width(px(1.25).unsigned_abs());
            let ends = match guide.vertical {
                true => vec![(guide.at, y.value(0.0)), (guide.at, y.value(1.0))],
                false => vec![(x.value(0.0), guide.at), (x.value(1.0), guide.at)],
            };
            area.draw(&PathElement::new(ends, style))?;
            // The words stand on the side of the line where there is more room.
            let near_end = scale.fraction(guide.at) > 0.7;
            let (place, offset, anchor) = match (guide.vertical, near_end) {
                (true, false) => ((guide.at, y.value(1.0)), (px(6.0), px(11.0)), HPos::Left),
                (true, true) => ((guide.at, y.value(1.0)), (px(-6.0), px(11.0)), HPos::Right),
                (false, false) => ((x.value(1.0), guide.at), (px(-6.0), px(-10.0)), HPos::Right),
                (false, true) => ((x.value(1.0), guide.at), (px(-6.0), px(12.0)), HPos::Right),
            };
            let words =
                Text::new(cut_text(&guide.label, 12.0, 260.0), offset, text_style(12.0, &GUIDE, anchor));
            area.draw(&(EmptyElement::at(place) + words))?;
        }
        Ok(())
    }

    fn draw_points(&self, chart: &Chart<'_>) -> DrawResult {
        let n_points: usize = self.series.iter().map(|series| series.points.len()).sum();
        let radius = match n_points {
            0..=80 => 4.6,
            81..=500 => 3.6,
            _ => 2.8,
        };
        let area = chart.plotting_area();
        let (x, y) = (area.as_coord_spec().x_spec(), area.as_coord_spec().y_spec());
        for series in &self.series {
            let opacity = if series.line.is_empty() { 0.75 } else { 0.4 };
            for &point in series.points.iter().filter(|&&point| self.can_show(point)) {
                if x.contains(point.0) && y.contains(point.1) {
                    area.draw(&(EmptyElement::at(point) + marker_element(series.color, radius, opacity)))?;
                }
            }
        }
        Ok(())
    }

    fn draw_lines(&self, chart: &Chart<'_>) -> DrawResult {
        let area = chart.plotting_area();
        let (x, y) = (area.as_coord_spec().x_spec(), area.as_coord_spec().y_spec());
        for series in &self.series {
            let style = ShapeStyle::from(series_color(series.color)).stroke_width(px(2.25).unsigned_abs());
            for stretch in series.line.split(|&point| !self.can_show(point)) {
                if let [alone] = stretch
                    && x.contains(alone.0)
                    && y.contains(alone.1)
                {
                    area.draw(&(EmptyElement::at(*alone) + marker_element(series.color, 3.0, 1.0)))?;
                }
                for piece in clipped(stretch, x, y) {
                    area.draw(&PathElement::new(piece, style))?;
                }
            }
        }
        Ok(())
    }

    fn can_show(&self, (x, y): (f64, f64)) -> bool {
        self.x.can_show(x) && self.y.can_show(y)
    }

    /// Axes that cover points, lines and guides; a band may stretch the vertical one by a quarter at either side.
    /// `None` when there is nothing to draw.
    fn scales(&self) -> Option<(Scale, Scale)> {
        let n_ticks = if self.size == FigureSize::Wide { (8, 7) } else { (6, 6) };
        let drawn = self.series.iter().flat_map(|series| series.points.iter().chain(&series.line));
        let points: Vec<(f64, f64)> = drawn.copied().filter(|&point| self.can_show(point)).collect();
        let bands: Vec<(f64, f64, f64)> =
            self.series.iter().flat_map(|series| self.shown_band(series)).collect();
        let guides = |vertical| {
            self.guides.iter().filter(move |guide| guide.vertical == vertical).map(|guide| guide.at)
        };
        let band_ends = || bands.iter().flat_map(|&(_, low, high)| [low, high]);
        if points.is_empty() {
            bands.first()?;
            let x = Scale::fit(&self.x, bands.iter().map(|band| band.0).chain(guides(true)), n_ticks.0)?;
            let y = Scale::fit(&self.y, band_ends().chain(guides(false)), n_ticks.1)?;
            return Some((x, y));
        }
        let x = Scale::fit(&self.x, points.iter().map(|point| point.0).chain(guides(true)), n_ticks.0)?;
        let ys = || points.iter().map(|point| point.1).chain(guides(false));
        let tight = Scale::fit(&self.y, ys(), n_ticks.1)?;
        let near = |value: &f64| (-0.25..1.25).contains(&tight.fraction(*value));
        Some((x, Scale::fit(&self.y, ys().chain(band_ends().filter(near)), n_ticks.1)?))
    }

    /// The part of a band that both axes can show.
    fn shown_band(&self, series: &Series) -> Vec<(f64, f64, f64)> {
        let shown = |&(x, low, high): &(f64, f64, f64)| self.can_show((x, low)) && self.y.can_show(high);
        series.band.iter().copied().filter(shown).collect()
    }

    fn legend_entries(&self) -> Vec<LegendEntry> {
        let entry = |series: &Series| {
            let marker = series.points.iter().any(|&point| self.can_show(point));
            let line = series.line.iter().any(|&point| self.can_show(point));
            let band = self.shown_band(series).len() > 1;
            let nothing = !(marker || line || band);
            let name = format!("{}{}", series.name, if nothing { " (no data)" } else { "" });
            LegendEntry { name, color: series.color, marker: marker || nothing, line, band }
        };
        self.series.iter().filter(|series| !series.name.is_empty()).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::assert_well_formed;

    fn chart(series: Vec<Series>) -> XyChart {
        XyChart {
            name: "chart".to_owned(),
            title: "Title".to_owned(),
            caption: "Caption".to_owned(),
            size: FigureSize::Wide,
            x: Axis::linear("x", "nats"),
            y: Axis::percent("y"),
            series,
            guides: vec![Guide::vertical(0.5, "guide")],
        }
    }

    fn svg(chart: &XyChart) -> String {
        let svg = chart.draw().unwrap().svg().to_owned();
        assert_well_formed(&svg);
        svg
    }

    #[test]
    fn the_same_chart_has_the_same_bytes() {
        let series = || vec![Series::new("GRPO", 0).points(vec![(0.0, 0.1), (1.0, 0.4)])];
        assert_eq!(svg(&chart(series())), svg(&chart(series())));
    }

    #[test]
    fn points_that_are_not_finite_are_skipped() {
        let bad = vec![(f64::NAN, 0.1), (1.0, f64::INFINITY), (1e300, 0.3)];
        let good = vec![(0.0, 0.1), (1.0, 0.4)];
        let clean = chart(vec![Series::new("a", 0).points(good.clone())]);
        let mixed = chart(vec![Series::new("a", 0).points([bad, good].concat())]);
        assert_eq!(svg(&clean), svg(&mixed));
    }

    #[test]
    fn every_degenerate_input_draws_something() {
        let point = || vec![(0.3, 0.3)];
        let nothing = [vec![], vec![Series::new("a", 0).points(vec![(f64::NAN, f64::NAN)])]];
        for series in nothing {
            assert!(svg(&chart(series)).contains("no data"));
        }
        let few = [
            Series::new("point", 0).points(point()),
            Series::new("constant", 11).line(vec![(1.0, 0.5), (2.0, 0.5)]),
            Series::new("lonely line", 2).line(point()),
            Series::neutral("band only").band(vec![(0.1, 0.1, 0.2), (1.0, 0.1, 0.3)]),
        ];
        for series in few {
            for size in [FigureSize::Wide, FigureSize::Half] {
                for axis in [Axis::linear("", ""), Axis::log("", ""), Axis::linear("", "").range(0.2, 0.4)] {
                    let drawn = svg(&XyChart { size, x: axis, ..chart(vec![series.clone()]) });
                    assert!(!drawn.contains("no data") && !drawn.contains("NaN"), "{}", series.name);
                }
            }
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "<script>alert(\"&'\u{0}\u{1b}\")</script>";
        let mut chart = chart(vec![Series::new(hostile, 0).points(vec![(0.0, 0.1)])]);
        chart.title = hostile.to_owned();
        chart.caption = hostile.to_owned();
        chart.x = Axis::linear(hostile, hostile);
        chart.guides = vec![Guide::horizontal(0.1, hostile)];
        assert!(!svg(&chart).contains("<script"));
    }
}
