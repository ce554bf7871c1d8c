//! The sheet under every figure: size, title, accessible description, colour scheme.

use std::fmt::Write;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::HPos;

use super::palette::{INK, MUTED, SURFACE, stylesheet};
use super::style::{bold_text_style, cut_text, px, text_style, text_width};
use crate::error::ReportError;
use crate::page::push_escaped;

/// A drawn figure: a standalone SVG document with its name and caption.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    caption: String,
    size: FigureSize,
    svg: String,
}

impl Figure {
    /// Stem of the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the figure shows.
    #[must_use]
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// How much of the page's width it takes.
    #[must_use]
    pub fn size(&self) -> FigureSize {
        self.size
    }

    /// The SVG document.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }
}

/// How much of the page's width a figure takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureSize {
    /// All of it; legend at the right.
    Wide,
    /// Half of it on a wide screen, beside the next half-width figure; legend below.
    Half,
}

impl FigureSize {
    /// Width in pixels.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Half => 560.0,
        }
    }
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;
pub(super) type DrawResult = Result<(), DrawError>;

/// Space in pixels between the edge of the sheet and anything drawn.
pub(super) const MARGIN: f64 = 16.0;
/// Opacity of bands: ten of them over each other must not hide a line.
pub(super) const BAND_OPACITY: f64 = 0.14;
/// Height in pixels of the body of a figure without data.
pub(super) const NO_DATA_HEIGHT: f64 = 120.0;
const TITLE_SIZE: f64 = 16.0;
const TITLE_LINE: f64 = 21.0;

/// What every figure says about itself.
pub(super) struct Sheet<'a> {
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) caption: &'a str,
    pub(super) size: FigureSize,
    /// Height in pixels of what stands below the title.
    pub(super) body_height: f64,
}

impl Sheet<'_> {
    /// Draws `body` below the title.
    pub(super) fn draw(&self, body: impl FnOnce(&Area<'_>) -> DrawResult) -> Result<Figure, ReportError> {
        let title_lines = wrapped(self.title, TITLE_SIZE * 1.12, self.size.width() - 2.0 * MARGIN);
        let head_height = MARGIN + TITLE_LINE * title_lines.len() as f64;
        let (width, height) = (self.size.width(), head_height + self.body_height);
        let mut drawn = String::new();
        let pixels = (px(width).unsigned_abs(), px(height).unsigned_abs());
        draw_sheet(&mut drawn, pixels, &title_lines, head_height, body)
            .map_err(|source| ReportError::Draw { figure: self.name.to_owned(), source: Box::new(source) })?;
        let svg = self.with_own_header(&drawn, width, height);
        Ok(Figure { name: self.name.to_owned(), caption: self.caption.to_owned(), size: self.size, svg })
    }

    /// Puts an accessible, scalable root element in place of the one that plotters wrote on the first line.
    fn with_own_header(&self, drawn: &str, width: f64, height: f64) -> String {
        let elements = drawn.split_once('\n').map_or("", |(_root, elements)| elements);
        let mut svg = String::with_capacity(drawn.len() + 4096);
        let mut id = String::new();
        push_escaped(&mut id, self.name);
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"razor-figure\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {} {}\" style=\"max-width:100%;height:auto\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">",
            px(width),
            px(height),
        );
        push_escaped(&mut svg, self.title);
        let _ = write!(svg, "</title>\n<desc id=\"{id}-desc\">");
        push_escaped(&mut svg, self.caption);
        let _ = write!(svg, "</desc>\n<style>{}</style>\n{elements}", stylesheet());
        svg
    }
}

fn draw_sheet(
    drawn: &mut String,
    pixels: (u32, u32),
    title_lines: &[String],
    head_height: f64,
    body: impl FnOnce(&Area<'_>) -> DrawResult,
) -> DrawResult {
    let sheet = SVGBackend::with_string(drawn, pixels).into_drawing_area();
    sheet.fill(&SURFACE)?;
    let title_style = bold_text_style(TITLE_SIZE, &INK, HPos::Left);
    for (line_idx, line) in title_lines.iter().enumerate() {
        let middle = MARGIN + TITLE_LINE * (line_idx as f64 + 0.5);
        sheet.draw_text(line, &title_style, (px(MARGIN), px(middle)))?;
    }
    let (_, below) = sheet.split_vertically(px(head_height));
    body(&below)?;
    sheet.present()
}

/// Says that there is nothing to draw, in the middle of `area`.
pub(super) fn draw_no_data(area: &Area<'_>) -> DrawResult {
    let (width, height) = area.dim_in_pixel();
    let middle = (width as i32 / 2, height as i32 / 2);
    area.draw_text("no data", &text_style(14.0, &MUTED, HPos::Center), middle)
}

/// Breaks `text` between words so that no line is wider than `width` pixels.
fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line, size) + text_width(word, size) + 0.3 * size <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut_text(line, size, width)).collect()
}
