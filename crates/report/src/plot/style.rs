//! Lengths, fonts and markers: one place, so that a method looks the same in every figure.

use plotters::prelude::{Color, FontStyle, IntoFont, Polygon, RGBColor, TextStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{N_SERIES, series_color};

/// Drawing units per pixel: plotters has whole coordinates, and a pixel is too coarse for a curve.
pub(super) const UNITS: i32 = 4;

/// Pixels to drawing units.
pub(super) fn px(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)).round() as i32
}

/// Text of `size` pixels, anchored at its start, middle or end and at its middle height.
pub(super) fn text_style(size: f64, color: &'static RGBColor, anchor: HPos) -> TextStyle<'static> {
    // The SVG backend divides by 1.24 to go from the height of a line to the size of a font.
    let font = ("sans-serif", size * 1.24 * f64::from(UNITS)).into_font();
    TextStyle::from(font).color(color).pos(Pos::new(anchor, VPos::Center))
}

/// [`text_style`] in bold.
pub(super) fn bold_text_style(size: f64, color: &'static RGBColor, anchor: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", size * 1.24 * f64::from(UNITS)).into_font().style(FontStyle::Bold);
    TextStyle::from(font).color(color).pos(Pos::new(anchor, VPos::Center))
}

/// Estimated width in pixels of `text` at `size` pixels. The fonts of the reader are unknown; this errs wide.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let ems = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' | '!' => 0.30,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '⁻' | '¹' => 0.39,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '—' => 0.90,
        'A'..='Z' | '+' | '−' | '×' | '=' | '<' | '>' => 0.70,
        '\u{2E80}'..='\u{FFFF}' => 1.0,
        _ => 0.57,
    });
    ems.sum::<f64>() * size
}

/// `text`, cut with an ellipsis where it is wider than `width` pixels.
pub(super) fn cut_text(text: &str, size: f64, width: f64) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    if text_width(&clean, size) <= width {
        return clean;
    }
    let mut cut = String::new();
    for c in clean.chars() {
        if text_width(&cut, size) + text_width("…", size) + text_width(c.encode_utf8(&mut [0; 4]), size)
            > width
        {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// Corners of the marker of a series index, around (0, 0), for a marker about `2 * radius` pixels wide.
pub(super) fn marker(color: Option<usize>, radius: f64) -> Vec<(i32, i32)> {
    let corners: Vec<(f64, f64)> = match color.unwrap_or(0) % N_SERIES {
        0 => ring(24, 1.0, 0.0),
        1 => ring(4, 1.2, 45.0),
        2 => ring(3, 1.3, -90.0),
        3 => ring(4, 1.3, 0.0),
        4 => ring(3, 1.3, 90.0),
        5 => star(4, 1.45, 0.45),
        6 => ring(6, 1.15, 0.0),
        7 => star(5, 1.4, 0.6),
        8 => ring(3, 1.3, 0.0),
        _ => ring(5, 1.15, -90.0),
    };
    corners.into_iter().map(|(x, y)| (px(x * radius), px(y * radius))).collect()
}

/// A filled marker to be placed with `EmptyElement::at(..) + ..`.
pub(super) fn marker_element(color: Option<usize>, radius: f64, opacity: f64) -> Polygon<(i32, i32)> {
    Polygon::new(marker(color, radius), series_color(color).mix(opacity))
}

fn ring(n_corners: u32, radius: f64, turn_degrees: f64) -> Vec<(f64, f64)> {
    let angle = |corner: u32| (turn_degrees + 360.0 * f64::from(corner) / f64::from(n_corners)).to_radians();
    (0..n_corners).map(|corner| (radius * angle(corner).cos(), radius * angle(corner).sin())).collect()
}

fn star(n_points: u32, outer: f64, inner: f64) -> Vec<(f64, f64)> {
    let tips = ring(n_points, outer, -90.0);
    let notches = ring(n_points, inner, -90.0 + 180.0 / f64::from(n_points));
    tips.into_iter().zip(notches).flat_map(|(tip, notch)| [tip, notch]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_series_has_a_marker_of_its_own() {
        let markers: BTreeSet<_> = (0..N_SERIES).map(|index| marker(Some(index), 5.0)).collect();
        assert_eq!(markers.len(), N_SERIES);
    }

    #[test]
    fn long_words_are_cut_to_their_place() {
        assert_eq!(cut_text("GRPO", 13.0, 100.0), "GRPO");
        let cut = cut_text(&"W".repeat(500), 13.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 13.0) <= 100.0);
    }
}
