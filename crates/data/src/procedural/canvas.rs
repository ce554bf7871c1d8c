//! A 28x28 canvas with anti-aliased strokes and filled outlines.

use super::geometry::Point;
use crate::image_set::{IMAGE_LEN, IMAGE_SIDE};

/// Scan lines a pixel row when filling; horizontal edges are exact, vertical ones to a quarter.
const SCANS: usize = 4;

/// Grey levels from 0 (background) to 1 (full ink), in pixel coordinates: the first pixel's centre is (0.5, 0.5).
pub(super) struct Canvas {
    levels: [f32; IMAGE_LEN],
}

impl Canvas {
    pub(super) fn blank() -> Self {
        Self { levels: [0.0; IMAGE_LEN] }
    }

    /// Draws a line with a round pen; where strokes cross, the darker ink stays.
    pub(super) fn stroke(&mut self, line: &[Point], radius: f32, softness: f32, ink: f32) {
        let reach = radius + softness;
        for pair in line.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            let columns = pixel_span(from[0].min(to[0]) - reach, from[0].max(to[0]) + reach);
            for row in pixel_span(from[1].min(to[1]) - reach, from[1].max(to[1]) + reach) {
                for column in columns.clone() {
                    let centre = [column as f32 + 0.5, row as f32 + 0.5];
                    let gap = (reach - distance_to_segment(centre, from, to)) / (2.0 * softness);
                    let level = &mut self.levels[row * IMAGE_SIDE + column];
                    *level = level.max(ink * gap.clamp(0.0, 1.0));
                }
            }
        }
    }

    /// Fills a closed outline, covering what lies below; `shade` gives the grey level at a pixel's (column, row).
    pub(super) fn fill(&mut self, outline: &[Point], mut shade: impl FnMut(usize, usize) -> f32) {
        for row in 0..IMAGE_SIDE {
            let mut coverage = [0.0_f32; IMAGE_SIDE];
            for scan in 0..SCANS {
                let y = row as f32 + (scan as f32 + 0.5) / SCANS as f32;
                let mut crossings = crossings_at(outline, y);
                crossings.sort_by(f32::total_cmp);
                for span in crossings.chunks_exact(2) {
                    cover(&mut coverage, span[0], span[1]);
                }
            }
            for (column, &covered) in coverage.iter().enumerate().filter(|(_, covered)| **covered > 0.0) {
                let level = &mut self.levels[row * IMAGE_SIDE + column];
                *level += covered.min(1.0) * (shade(column, row).clamp(0.0, 1.0) - *level);
            }
        }
    }

    /// Centre of mass of the ink, or the middle of the canvas when it is blank.
    pub(super) fn centre_of_mass(&self) -> Point {
        let (mut mass, mut x, mut y) = (0.0_f32, 0.0, 0.0);
        for (idx, &level) in self.levels.iter().enumerate() {
            mass += level;
            x += level * ((idx % IMAGE_SIDE) as f32 + 0.5);
            y += level * ((idx / IMAGE_SIDE) as f32 + 0.5);
        }
        let middle = IMAGE_SIDE as f32 / 2.0;
        if mass > 0.0 { [x / mass, y / mass] } else { [middle, middle] }
    }

    /// The canvas moved by whole pixels; what leaves is lost.
    pub(super) fn shifted(&self, right: i32, down: i32) -> Self {
        let side = IMAGE_SIDE as i32;
        let mut moved = Self::blank();
        for row in 0..side {
            for column in 0..side {
                let (from_row, from_column) = (row - down, column - right);
                if (0..side).contains(&from_row) && (0..side).contains(&from_column) {
                    moved.levels[(row * side + column) as usize] =
                        self.levels[(from_row * side + from_column) as usize];
                }
            }
        }
        moved
    }

    /// Writes the levels as bytes.
    pub(super) fn write_to(&self, image: &mut [u8]) {
        for (byte, &level) in image.iter_mut().zip(&self.levels) {
            *byte = (level.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }
}

/// The pixels whose centres may lie between two coordinates, kept on the canvas.
fn pixel_span(low: f32, high: f32) -> std::ops::Range<usize> {
    let side = IMAGE_SIDE as f32;
    low.clamp(0.0, side) as usize..(high.clamp(-1.0, side - 1.0) + 1.0) as usize
}

fn distance_to_segment([x, y]: Point, [ax, ay]: Point, [bx, by]: Point) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let length_squared = dx * dx + dy * dy;
    let along = if length_squared > 0.0 {
        (((x - ax) * dx + (y - ay) * dy) / length_squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (gap_x, gap_y) = (x - ax - along * dx, y - ay - along * dy);
    (gap_x * gap_x + gap_y * gap_y).sqrt()
}

/// Where a horizontal line crosses a closed outline (even count).
fn crossings_at(outline: &[Point], y: f32) -> Vec<f32> {
    let closing = outline.iter().cycle().skip(1);
    let edges = outline.iter().zip(closing);
    let crossed = edges.filter(|(from, to)| (from[1] <= y) != (to[1] <= y));
    crossed.map(|(from, to)| from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0])).collect()
}

/// Adds one scan line's share from `left` to `right`.
fn cover(coverage: &mut [f32; IMAGE_SIDE], left: f32, right: f32) {
    let (left, right) = (left.max(0.0), right.min(IMAGE_SIDE as f32));
    for column in pixel_span(left, right) {
        let inside = right.min(column as f32 + 1.0) - left.max(column as f32);
        coverage[column] += inside.max(0.0) / SCANS as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(canvas: &Canvas) -> f32 {
        canvas.levels.iter().sum()
    }

    #[test]
    fn a_filled_rectangle_has_its_area() {
        let mut canvas = Canvas::blank();
        let (left, right, top, bottom) = (3.3, 10.8, 4.25, 9.5);
        canvas.fill(&[[left, top], [right, top], [right, bottom], [left, bottom]], |_, _| 1.0);
        let area = (right - left) * (bottom - top);
        assert!((total(&canvas) - area).abs() < 1e-3, "{} instead of {area}", total(&canvas)); // f32 sums
    }

    #[test]
    fn a_stroke_has_about_its_area() {
        let mut canvas = Canvas::blank();
        canvas.stroke(&[[5.0, 14.0], [23.0, 14.0]], 2.0, 0.5, 1.0);
        let area = 18.0 * 4.0 + std::f32::consts::PI * 4.0;
        assert!((total(&canvas) - area).abs() < 0.02 * area, "{} instead of {area}", total(&canvas)); // pixel grid
    }

    #[test]
    fn shapes_beyond_the_edge_are_cut() {
        let mut canvas = Canvas::blank();
        canvas.fill(&[[-50.0, -50.0], [90.0, -50.0], [90.0, 90.0], [-50.0, 90.0]], |_, _| 1.0);
        assert!((total(&canvas) - IMAGE_LEN as f32).abs() < 1e-3);
        canvas.stroke(&[[-40.0, -3.0], [80.0, 70.0]], 3.0, 0.5, 1.0);
        canvas.stroke(&[[f32::NAN, 0.0], [4.0, 4.0]], 1.0, 0.5, 1.0); // an impossible point draws nothing
    }

    #[test]
    fn shifting_moves_the_centre_of_mass() {
        let mut canvas = Canvas::blank();
        canvas.stroke(&[[10.0, 10.0], [12.0, 13.0]], 1.0, 0.5, 1.0);
        let ([x, y], [moved_x, moved_y]) = (canvas.centre_of_mass(), canvas.shifted(3, -2).centre_of_mass());
        assert!((moved_x - x - 3.0).abs() < 1e-4 && (moved_y - y + 2.0).abs() < 1e-4);
    }
}
