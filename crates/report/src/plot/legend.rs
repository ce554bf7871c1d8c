//! Legends beside or below the data, never over it.

use plotters::prelude::{Color, EmptyElement, PathElement, Rectangle, ShapeStyle, Text};
use plotters::style::text_anchor::HPos;

use super::canvas::{Area, BAND_OPACITY, DrawError, DrawResult, FigureSize, MARGIN};
use super::palette::{INK, series_color};
use super::style::{cut_text, marker_element, px, text_style, text_width};

const TEXT_SIZE: f64 = 13.0;
const ROW_HEIGHT: f64 = 22.0;
const KEY_WIDTH: f64 = 34.0;
const GAP: f64 = 18.0;
const MAX_NAME_WIDTH: f64 = 220.0;

/// One name and how its series is drawn.
pub(super) struct LegendEntry {
    pub(super) name: String,
    pub(super) color: Option<usize>,
    pub(super) marker: bool,
    pub(super) line: bool,
    pub(super) band: bool,
}

impl LegendEntry {
    fn name_width(&self) -> f64 {
        text_width(&self.name, TEXT_SIZE).min(MAX_NAME_WIDTH)
    }

    fn draw(&self, area: &Area<'_>, left: f64, middle: f64) -> DrawResult {
        let color = series_color(self.color);
        let (start, end) = (left + 2.0, left + KEY_WIDTH - 8.0);
        if self.band {
            let corners = [(px(start), px(middle - 7.0)), (px(end), px(middle + 7.0))];
            area.draw(&Rectangle::new(corners, color.mix(BAND_OPACITY).filled()))?;
        }
        if self.line {
            let style = ShapeStyle::from(color).stroke_width(px(2.25).unsigned_abs());
            area.draw(&PathElement::new(vec![(px(start), px(middle)), (px(end), px(middle))], style))?;
        }
        if self.marker {
            let centre = EmptyElement::at((px((start + end) / 2.0), px(middle)));
            area.draw(&(centre + marker_element(self.color, 5.0, 1.0)))?;
        }
        let name = cut_text(&self.name, TEXT_SIZE, MAX_NAME_WIDTH);
        let style = text_style(TEXT_SIZE, &INK, HPos::Left);
        area.draw(&Text::new(name, (px(left + KEY_WIDTH), px(middle)), style))
    }
}

/// Where the legend of a figure stands and how much room it takes.
pub(super) struct Legend {
    entries: Vec<LegendEntry>,
    size: FigureSize,
}

impl Legend {
    pub(super) fn new(entries: Vec<LegendEntry>, size: FigureSize) -> Self {
        Self { entries, size }
    }

    /// Height in pixels that the legend adds below a half-width figure, or asks for beside a wide one.
    pub(super) fn height(&self) -> f64 {
        match self.size {
            FigureSize::Wide => ROW_HEIGHT * self.entries.len() as f64,
            FigureSize::Half if self.entries.is_empty() => 0.0,
            FigureSize::Half => {
                ROW_HEIGHT * (self.flowed().iter().map(|&(row, _)| row).max().unwrap_or(0) + 1) as f64 + 8.0
            }
        }
    }

    /// Draws the legend and returns the rest of `area`, for the data. `top`: where the first row of a legend at the
    /// right begins, in pixels.
    pub(super) fn draw<'a>(&self, area: &Area<'a>, top: f64) -> Result<Area<'a>, DrawError> {
        let (width, height) = area.dim_in_pixel();
        match self.size {
            _ if self.entries.is_empty() => Ok(area.clone()),
            FigureSize::Wide => {
                let widest = self.entries.iter().map(LegendEntry::name_width).fold(0.0, f64::max);
                let (rest, column) = area.split_horizontally(width as i32 - px(KEY_WIDTH + widest + MARGIN));
                for (row, entry) in self.entries.iter().enumerate() {
                    entry.draw(&column, 0.0, top + ROW_HEIGHT * (row as f64 + 0.5))?;
                }
                Ok(rest)
            }
            FigureSize::Half => {
                let (rest, strip) = area.split_vertically(height as i32 - px(self.height()));
                for (entry, (row, left)) in self.entries.iter().zip(self.flowed()) {
                    entry.draw(&strip, left, ROW_HEIGHT * (row as f64 + 0.5))?;
                }
                Ok(rest)
            }
        }
    }

    /// Row and left edge in pixels of each entry, filled like text.
    fn flowed(&self) -> Vec<(usize, f64)> {
        let (mut row, mut left) = (0, MARGIN);
        let mut places = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let width = KEY_WIDTH + entry.name_width();
            if left > MARGIN && left + width > self.size.width() - MARGIN {
                (row, left) = (row + 1, MARGIN);
            }
            places.push((row, left));
            left += width + GAP;
        }
        places
    }
}
