//! Handwritten-like digits: a few ways of writing each, bent and thickened at random.

use super::canvas::Canvas;
use super::draw::Draw;
use super::geometry::{Point, Warp, WarpStrength, smooth, subdivide};
use crate::image_set::IMAGE_SIDE;

/// One movement of the pen in the unit square, y down.
enum Stroke {
    /// A curve through the points.
    Curve(&'static [Point]),
    /// Straight lines with corners.
    Lines(&'static [Point]),
}
use Stroke::{Curve, Lines};

/// Ways of writing each digit.
const STYLES: [&[&[Stroke]]; 10] = [
    &[
        &[Curve(&[
            [0.5, 0.0],
            [0.13, 0.17],
            [0.02, 0.5],
            [0.15, 0.86],
            [0.5, 1.0],
            [0.86, 0.84],
            [0.98, 0.5],
            [0.85, 0.15],
            [0.5, 0.0],
        ])],
        &[Curve(&[
            [0.62, 0.03],
            [0.3, 0.06],
            [0.08, 0.4],
            [0.12, 0.8],
            [0.42, 1.0],
            [0.78, 0.84],
            [0.95, 0.45],
            [0.8, 0.1],
            [0.45, 0.08],
        ])],
    ],
    &[
        &[Lines(&[[0.5, 0.0], [0.5, 1.0]])],
        &[Lines(&[[0.5, 0.0], [0.5, 1.0]])],
        &[Lines(&[[0.56, 0.0], [0.47, 1.0]])],
        &[Lines(&[[0.32, 0.2], [0.5, 0.0], [0.5, 1.0]])],
        &[Lines(&[[0.3, 0.22], [0.5, 0.0], [0.5, 1.0]]), Lines(&[[0.2, 1.0], [0.82, 1.0]])],
    ],
    &[
        &[
            Curve(&[[0.1, 0.25], [0.35, 0.02], [0.75, 0.06], [0.86, 0.3], [0.6, 0.62], [0.08, 0.97]]),
            Lines(&[[0.08, 0.97], [0.95, 0.95]]),
        ],
        &[Curve(&[
            [0.12, 0.2],
            [0.4, 0.0],
            [0.8, 0.1],
            [0.8, 0.4],
            [0.45, 0.8],
            [0.12, 0.95],
            [0.08, 0.78],
            [0.3, 0.76],
            [0.6, 0.97],
            [0.97, 0.86],
        ])],
        &[Curve(&[
            [0.15, 0.1],
            [0.55, 0.0],
            [0.85, 0.2],
            [0.7, 0.55],
            [0.15, 0.95],
            [0.55, 0.93],
            [0.95, 0.98],
        ])],
    ],
    &[
        &[
            Curve(&[[0.1, 0.12], [0.5, 0.0], [0.85, 0.2], [0.65, 0.43], [0.38, 0.47]]),
            Curve(&[[0.38, 0.47], [0.78, 0.54], [0.9, 0.76], [0.55, 1.0], [0.06, 0.88]]),
        ],
        &[
            Lines(&[[0.12, 0.03], [0.85, 0.03], [0.45, 0.4]]),
            Curve(&[[0.45, 0.4], [0.85, 0.52], [0.86, 0.82], [0.5, 1.0], [0.08, 0.9]]),
        ],
        &[Curve(&[
            [0.2, 0.05],
            [0.7, 0.04],
            [0.75, 0.3],
            [0.4, 0.48],
            [0.8, 0.62],
            [0.75, 0.92],
            [0.3, 1.0],
            [0.1, 0.92],
        ])],
    ],
    &[
        &[Lines(&[[0.15, 0.0], [0.08, 0.55], [0.92, 0.5]]), Lines(&[[0.78, 0.05], [0.7, 1.0]])],
        &[Lines(&[[0.68, 0.0], [0.04, 0.62], [0.96, 0.62]]), Lines(&[[0.68, 0.0], [0.66, 1.0]])],
        &[
            Curve(&[[0.1, 0.02], [0.1, 0.4], [0.4, 0.52], [0.85, 0.4]]),
            Curve(&[[0.88, 0.0], [0.85, 0.4], [0.8, 1.0]]),
        ],
    ],
    &[
        &[
            Lines(&[[0.88, 0.02], [0.28, 0.03], [0.2, 0.45]]),
            Curve(&[[0.2, 0.45], [0.6, 0.38], [0.9, 0.66], [0.6, 0.98], [0.08, 0.9]]),
        ],
        &[Curve(&[
            [0.95, 0.0],
            [0.5, 0.05],
            [0.28, 0.15],
            [0.22, 0.4],
            [0.6, 0.48],
            [0.78, 0.75],
            [0.5, 0.98],
            [0.06, 0.95],
        ])],
        &[
            Lines(&[[0.3, 0.05], [0.22, 0.42]]),
            Curve(&[[0.22, 0.42], [0.65, 0.42], [0.8, 0.72], [0.5, 1.0], [0.1, 0.92]]),
            Lines(&[[0.3, 0.05], [0.95, 0.0]]),
        ],
    ],
    &[
        &[Curve(&[
            [0.75, 0.02],
            [0.35, 0.22],
            [0.08, 0.62],
            [0.25, 0.95],
            [0.7, 0.96],
            [0.86, 0.72],
            [0.58, 0.54],
            [0.12, 0.72],
        ])],
        &[Curve(&[
            [0.45, 0.0],
            [0.2, 0.35],
            [0.1, 0.75],
            [0.4, 1.0],
            [0.8, 0.85],
            [0.75, 0.62],
            [0.45, 0.6],
            [0.15, 0.82],
        ])],
        &[Curve(&[
            [0.9, 0.08],
            [0.5, 0.1],
            [0.12, 0.55],
            [0.3, 0.95],
            [0.65, 0.9],
            [0.68, 0.66],
            [0.4, 0.6],
            [0.14, 0.75],
        ])],
    ],
    &[
        &[Lines(&[[0.08, 0.06], [0.9, 0.04], [0.42, 1.0]])],
        &[Lines(&[[0.08, 0.06], [0.9, 0.04], [0.42, 1.0]]), Lines(&[[0.35, 0.52], [0.82, 0.48]])],
        &[
            Curve(&[[0.1, 0.18], [0.2, 0.05], [0.55, 0.1], [0.9, 0.04]]),
            Curve(&[[0.9, 0.04], [0.66, 0.45], [0.5, 1.0]]),
        ],
        &[Lines(&[[0.12, 0.22], [0.14, 0.02], [0.88, 0.04], [0.55, 1.0]])],
    ],
    &[
        &[Curve(&[
            [0.82, 0.12],
            [0.5, 0.0],
            [0.15, 0.2],
            [0.5, 0.47],
            [0.87, 0.76],
            [0.5, 1.0],
            [0.12, 0.78],
            [0.48, 0.47],
            [0.83, 0.22],
            [0.76, 0.06],
        ])],
        &[
            Curve(&[[0.5, 0.46], [0.2, 0.24], [0.5, 0.0], [0.8, 0.22], [0.5, 0.46]]),
            Curve(&[[0.5, 0.46], [0.1, 0.75], [0.5, 1.0], [0.9, 0.74], [0.5, 0.46]]),
        ],
        &[Curve(&[
            [0.9, 0.05],
            [0.45, 0.06],
            [0.25, 0.3],
            [0.7, 0.62],
            [0.55, 0.97],
            [0.2, 0.9],
            [0.35, 0.58],
            [0.92, 0.08],
        ])],
    ],
    &[
        &[
            Curve(&[[0.85, 0.2], [0.5, 0.0], [0.12, 0.25], [0.38, 0.5], [0.85, 0.25]]),
            Lines(&[[0.86, 0.15], [0.76, 1.0]]),
        ],
        &[Curve(&[
            [0.82, 0.12],
            [0.4, 0.03],
            [0.14, 0.35],
            [0.55, 0.48],
            [0.83, 0.15],
            [0.8, 0.55],
            [0.6, 1.0],
        ])],
        &[Curve(&[
            [0.8, 0.15],
            [0.4, 0.02],
            [0.15, 0.3],
            [0.5, 0.5],
            [0.84, 0.2],
            [0.86, 0.7],
            [0.55, 1.0],
            [0.18, 0.92],
        ])],
    ],
];

/// Side of the square that a digit is fitted into, as MNIST's were.
const BOX: f32 = 20.0;

const STRENGTH: WarpStrength = WarpStrength { half_turn: 0.1, slant: 0.4, stretch: 0.12, elastic: 0.055 };
/// Standard deviation of each control point, in units of the digit's height.
const SHAKE: f32 = 0.025;

/// One digit, scaled into 20x20 pixels and centred on its mass.
pub(super) fn draw_digit(digit: usize, draw: &mut Draw) -> Canvas {
    let styles = STYLES[digit];
    let style = styles[draw.below(styles.len())];
    let warp = Warp::random(&STRENGTH, draw);
    let width = draw.between(0.45, 0.9); // of the height, before the box is filled
    let lines: Vec<Vec<Point>> = style.iter().map(|stroke| written(stroke, &warp, width, draw)).collect();
    let radius = draw.between(0.75, 1.95);
    let softness = draw.between(0.4, 0.75);
    let ink = draw.between(0.95, 1.1);

    let (corner, scale) = fit(&lines, BOX - 2.0 * radius);
    let mut canvas = Canvas::blank();
    for line in &lines {
        let placed: Vec<Point> =
            line.iter().map(|point| [0, 1].map(|axis| corner[axis] + scale * point[axis])).collect();
        canvas.stroke(&placed, radius, softness, ink);
    }
    let middle = IMAGE_SIDE as f32 / 2.0;
    let [right, down] = canvas.centre_of_mass().map(|mass| (middle - mass).round() as i32);
    canvas.shifted(right, down)
}

/// A stroke with its points shaken, as a warped line.
fn written(stroke: &Stroke, warp: &Warp, width: f32, draw: &mut Draw) -> Vec<Point> {
    let (Curve(points) | Lines(points)) = stroke;
    let shaken: Vec<Point> =
        points.iter().map(|&[x, y]| [x + draw.bell(SHAKE), y + draw.bell(SHAKE)]).collect();
    let line = match stroke {
        Curve(_) => smooth(&shaken, 4),
        Lines(_) => subdivide(&shaken, 4),
    };
    line.into_iter().map(|[x, y]| warp.apply([0.5 + (x - 0.5) * width, y])).collect()
}

/// Offset and scale that fit all points into a centred square of `side` pixels.
fn fit(lines: &[Vec<Point>], side: f32) -> (Point, f32) {
    let bounds = [0, 1].map(|axis| {
        let values = lines.iter().flatten().map(|point| point[axis]);
        values
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    });
    let extent = bounds.iter().map(|(low, high)| high - low).fold(0.1, f32::max); // 0.1: a dot stays a dot
    let scale = side / extent;
    let middle = IMAGE_SIDE as f32 / 2.0;
    (bounds.map(|(low, high)| middle - scale * 0.5 * (low + high)), scale)
}
