//! Lines that leave the axes.

use super::axis::Scale;

/// The parts of a line that lie between the ends of both axes.
pub(super) fn clipped(line: &[(f64, f64)], x: &Scale, y: &Scale) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut joined = false;
    for ends in line.windows(2) {
        let places = [0, 1].map(|end| (x.fraction(ends[end].0), y.fraction(ends[end].1)));
        let Some((from, to)) = inside(places[0], places[1]) else {
            joined = false;
            continue;
        };
        let point = |share: f64| {
            let between = |a: f64, b: f64| a + share * (b - a);
            (x.value(between(places[0].0, places[1].0)), y.value(between(places[0].1, places[1].1)))
        };
        match pieces.last_mut() {
            Some(piece) if joined && from == 0.0 => piece.push(point(to)),
            _ => pieces.push(vec![point(from), point(to)]),
        }
        joined = to == 1.0;
    }
    pieces
}

/// The shares of the way from `start` to `end` between which the way runs inside the unit square (Liang, Barsky).
fn inside(start: (f64, f64), end: (f64, f64)) -> Option<(f64, f64)> {
    let (mut from, mut to) = (0.0_f64, 1.0_f64);
    for (at, step) in [(start.0, end.0 - start.0), (start.1, end.1 - start.1)] {
        // A hair of slack: a value at the very end of an axis must not fall out by rounding.
        let (low, high) = (-1e-9 - at, 1.0 + 1e-9 - at);
        if step == 0.0 {
            if low > 0.0 || high < 0.0 {
                return None;
            }
            continue;
        }
        let (enter, leave) = if step > 0.0 { (low / step, high / step) } else { (high / step, low / step) };
        from = from.max(enter);
        to = to.min(leave);
    }
    (from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::axis::Axis;

    #[test]
    fn a_line_is_cut_where_it_leaves_the_axes() {
        let axis = Axis::linear("", "").range(0.0, 1.0);
        let scale = Scale::fit(&axis, [].into_iter(), 5).unwrap();
        let peak = [(0.0, 0.0), (0.5, 2.0), (1.0, 0.0), (1.0, 0.5)];
        let pieces = clipped(&peak, &scale, &scale);
        assert_eq!(pieces.len(), 2);
        let expected = [vec![(0.0, 0.0), (0.25, 1.0)], vec![(0.75, 1.0), (1.0, 0.0), (1.0, 0.5)]];
        for (found, expected) in pieces.concat().iter().zip(expected.concat()) {
            // The cut allows a hair of 1e-9 beyond the axes.
            assert!((found.0 - expected.0).abs() < 1e-8 && (found.1 - expected.1).abs() < 1e-8, "{pieces:?}");
        }
    }
}
