//! Points, curves, and the random bending of both.

use super::draw::Draw;

/// A point, x to the right and y down.
pub(super) type Point = [f32; 2];

/// Cells along each side of the elastic grid.
const CELLS: usize = 4;
const KNOTS: usize = CELLS + 1;

/// A smooth curve through all points (Catmull-Rom, ends doubled), as a line of short segments.
pub(super) fn smooth(points: &[Point], steps: usize) -> Vec<Point> {
    let last = points.len() - 1;
    let mut line = Vec::with_capacity(last * steps + 1);
    for i in 0..last {
        let (p0, p1) = (points[i.saturating_sub(1)], points[i]);
        let (p2, p3) = (points[i + 1], points[(i + 2).min(last)]);
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            line.push([0, 1].map(|axis| {
                let (a, b, c, d) = (p0[axis], p1[axis], p2[axis], p3[axis]);
                let (slope, bend, twist) =
                    (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d, 3.0 * b - a - 3.0 * c + d);
                0.5 * (2.0 * b + t * (slope + t * (bend + t * twist)))
            }));
        }
    }
    line.push(points[last]);
    line
}

/// The same line with `steps` segments for every one, so that it can bend.
pub(super) fn subdivide(points: &[Point], steps: usize) -> Vec<Point> {
    let mut line = Vec::with_capacity(points.len() * steps);
    for pair in points.windows(2) {
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            line.push([0, 1].map(|axis| pair[0][axis] + t * (pair[1][axis] - pair[0][axis])));
        }
    }
    line.extend(points.last());
    line
}

/// A linear map about the centre of the unit square, then an elastic shift.
pub(super) struct Warp {
    matrix: [[f32; 2]; 2],
    shifts: [[Point; KNOTS]; KNOTS],
}

/// How strong a random [`Warp`] is; standard deviations.
pub(super) struct WarpStrength {
    /// Rotation: tangent of half the angle.
    pub(super) half_turn: f32,
    /// Horizontal shift a unit of height.
    pub(super) slant: f32,
    /// Relative change of width and height.
    pub(super) stretch: f32,
    /// Shift of each knot of a 5x5 grid, in units of the square's side.
    pub(super) elastic: f32,
}

impl Warp {
    /// A random map of the given strength.
    pub(super) fn random(strength: &WarpStrength, draw: &mut Draw) -> Self {
        let half = draw.bell(strength.half_turn);
        let norm = 1.0 + half * half;
        let (cos, sin) = ((1.0 - half * half) / norm, 2.0 * half / norm);
        let slant = draw.bell(strength.slant);
        let (wide, high) = (1.0 + draw.bell(strength.stretch), 1.0 + draw.bell(strength.stretch));
        // stretch, then slant, then rotate
        let matrix = [[cos * wide, (sin - cos * slant) * high], [-sin * wide, (cos + sin * slant) * high]];
        let mut shifts = [[[0.0; 2]; KNOTS]; KNOTS];
        for shift in shifts.as_flattened_mut() {
            *shift = [draw.bell(strength.elastic), draw.bell(strength.elastic)];
        }
        Self { matrix, shifts }
    }

    /// Where a point of the unit square goes.
    pub(super) fn apply(&self, [x, y]: Point) -> Point {
        let [dx, dy] = self.shift_at(x, y);
        let (x, y) = (x - 0.5 + dx, y - 0.5 + dy);
        self.matrix.map(|[by_x, by_y]| 0.5 + by_x * x + by_y * y)
    }

    /// The shift between knots, blended so that lines stay without kinks.
    fn shift_at(&self, x: f32, y: f32) -> Point {
        let (column, across) = cell(x);
        let (row, down) = cell(y);
        [0, 1].map(|axis| {
            let at = |row: usize, column: usize| self.shifts[row][column][axis];
            let upper = at(row, column) + across * (at(row, column + 1) - at(row, column));
            let lower = at(row + 1, column) + across * (at(row + 1, column + 1) - at(row + 1, column));
            upper + down * (lower - upper)
        })
    }
}

/// The grid cell of a coordinate, and the smoothed place within it.
fn cell(coordinate: f32) -> (usize, f32) {
    let scaled = coordinate.clamp(0.0, 1.0) * CELLS as f32;
    let index = (scaled as usize).min(CELLS - 1);
    let t = scaled - index as f32;
    (index, t * t * (3.0 - 2.0 * t))
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    #[test]
    fn a_smooth_line_passes_through_its_points() {
        let points = [[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]];
        let line = smooth(&points, 4);
        assert_eq!((line.len(), line[0], line[4], line[8]), (9, points[0], points[1], points[2]));
        assert_eq!(subdivide(&points, 2)[..3], [[0.0, 0.0], [0.5, 1.0], [1.0, 2.0]]);
    }

    #[test]
    fn a_warp_of_no_strength_moves_nothing() {
        let none = WarpStrength { half_turn: 0.0, slant: 0.0, stretch: 0.0, elastic: 0.0 };
        let warp = Warp::random(&none, &mut Draw::new(Seed::new(1)));
        for point in [[0.0, 0.0], [0.5, 0.5], [1.25, -0.5]] {
            assert_eq!(warp.apply(point), point); // halves and quarters are exact in f32
        }
    }

    #[test]
    fn rotation_keeps_distances() {
        let turn = WarpStrength { half_turn: 0.3, slant: 0.0, stretch: 0.0, elastic: 0.0 };
        let warp = Warp::random(&turn, &mut Draw::new(Seed::new(2)));
        let ([ax, ay], [bx, by]) = (warp.apply([0.0, 0.0]), warp.apply([0.6, 0.8]));
        let length = ((ax - bx) * (ax - bx) + (ay - by) * (ay - by)).sqrt();
        assert!((length - 1.0).abs() < 1e-6, "{length}"); // a few roundings of f32
        assert!(ax.abs() > 1e-3, "the seed turns by a visible angle");
    }
}
