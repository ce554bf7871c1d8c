//! Garment-like silhouettes in the ten classes of Fashion-MNIST.
//!
//! The five tops share one outline and differ in the ranges of its measures, which overlap: shirts, pullovers and coats are
//! confused here as they are in the real set. So are the three kinds of shoe.

use super::canvas::Canvas;
use super::draw::Draw;
use super::geometry::{Point, Warp, WarpStrength, smooth, subdivide};
use super::texture::Texture;
use crate::image_set::IMAGE_SIDE;

const STRENGTH: WarpStrength = WarpStrength { half_turn: 0.012, slant: 0.02, stretch: 0.05, elastic: 0.012 };

/// One garment that nearly fills the canvas.
pub(super) fn draw_garment(class: usize, draw: &mut Draw) -> Canvas {
    let mut painter = Painter::new(draw);
    match class {
        0 | 2 | 3 | 4 | 6 => paint_top(&mut painter, &TopMeasures::random(class, draw)),
        1 => paint_trouser(&mut painter, draw),
        5 => paint_sandal(&mut painter, draw),
        7 => paint_shoe(&mut painter, draw.between(0.22, 0.42), draw),
        8 => paint_bag(&mut painter, draw),
        _ => paint_shoe(&mut painter, draw.between(0.38, 0.85), draw),
    }
    painter.canvas
}

/// Puts shapes of the unit square onto a canvas, bent and textured.
struct Painter {
    canvas: Canvas,
    warp: Warp,
    texture: Texture,
    scale: f32,
}

impl Painter {
    fn new(draw: &mut Draw) -> Self {
        Self {
            canvas: Canvas::blank(),
            warp: Warp::random(&STRENGTH, draw),
            texture: Texture::random(draw),
            scale: draw.between(27.0, 29.0),
        }
    }

    /// Fills a closed outline with cloth, `tone` times as bright.
    fn panel(&mut self, outline: &[Point], tone: f32) {
        let placed = self.place(&closed(outline));
        let texture = &mut self.texture;
        self.canvas.fill(&placed, |column, row| tone * texture.level(column, row));
    }

    /// Cuts a closed outline out.
    fn hole(&mut self, outline: &[Point]) {
        let placed = self.place(&closed(outline));
        self.canvas.fill(&placed, |_, _| 0.0);
    }

    /// Draws a strap: a line in the colour of the cloth.
    fn strap(&mut self, line: &[Point], radius: f32) {
        let placed = self.place(line);
        self.canvas.stroke(&placed, radius, 0.5, self.texture.mean());
    }

    fn place(&self, line: &[Point]) -> Vec<Point> {
        let middle = IMAGE_SIDE as f32 / 2.0;
        let to_pixels =
            |point: Point| self.warp.apply(point).map(|value| middle + self.scale * (value - 0.5));
        line.iter().map(|&point| to_pixels(point)).collect()
    }
}

fn closed(outline: &[Point]) -> Vec<Point> {
    subdivide(&[outline, &outline[..1]].concat(), 3)
}

/// An outline's right half (from the neck down) with its mirror image.
fn mirrored(half: &[Point]) -> Vec<Point> {
    let left = half.iter().rev().map(|&[x, y]| [1.0 - x, y]);
    half.iter().copied().chain(left).collect()
}

/// Measures of the right half of a top, from the middle line, in units of the canvas.
struct TopMeasures {
    top: f32,
    length: f32,
    shoulder: f32,
    chest: f32,
    waist: f32,
    hem: f32,
    neck: f32,
    neck_depth: f32,
    /// Along the arm; 0 for none.
    sleeve: f32,
    sleeve_width: f32,
    /// Sideways reach of a full-length arm.
    spread: f32,
    /// Opening down the front.
    front: Option<f32>,
    collar: bool,
}

impl TopMeasures {
    fn random(class: usize, draw: &mut Draw) -> Self {
        let long_sleeve = draw.between(0.55, 0.9);
        let (short_sleeve, pick) = (draw.between(0.12, 0.3), draw.between(0.0, 1.0));
        let (sleeve, front_chance, collar_chance) = match class {
            0 => (short_sleeve, 0.03, 0.05),
            2 => (if pick < 0.95 { long_sleeve } else { short_sleeve }, 0.05, 0.2),
            3 => (
                if pick < 0.5 {
                    0.0
                } else if pick < 0.8 {
                    short_sleeve
                } else {
                    long_sleeve
                },
                0.1,
                0.05,
            ),
            4 => (long_sleeve, 0.7, 0.5),
            _ => (
                if pick < 0.6 {
                    long_sleeve
                } else if pick < 0.9 {
                    short_sleeve
                } else {
                    0.0
                },
                0.35,
                0.4,
            ),
        };
        let is_dress = class == 3;
        let shoulder = if is_dress { draw.between(0.14, 0.24) } else { draw.between(0.25, 0.36) };
        let chest = shoulder * draw.between(0.85, 1.05);
        let waist = chest * if is_dress { draw.between(0.65, 1.0) } else { draw.between(0.82, 1.05) };
        let hem = if is_dress { waist * draw.between(1.0, 1.9) } else { waist * draw.between(0.9, 1.2) };
        let length = match class {
            3 | 4 => draw.between(0.92, 1.0),
            6 => draw.between(0.88, 1.0),
            _ => draw.between(0.85, 1.0),
        };
        Self {
            top: 0.5 - length / 2.0,
            length,
            shoulder,
            chest,
            waist,
            hem: hem.min(0.42),
            neck: draw.between(0.06, 0.13),
            neck_depth: draw.between(0.02, if is_dress || class == 6 { 0.2 } else { 0.1 }),
            sleeve,
            sleeve_width: draw.between(0.1, 0.16),
            spread: draw.between(0.04, 0.2),
            front: draw.chance(front_chance).then(|| draw.between(0.1, 0.75)),
            collar: draw.chance(collar_chance),
        }
    }
}

fn paint_top(painter: &mut Painter, m: &TopMeasures) {
    let at = |half_width: f32, depth: f32| [0.5 + half_width, m.top + depth];
    let slope = 0.05;
    if m.sleeve > 0.0 {
        let (out, down) = (m.shoulder + m.spread * (0.4 + m.sleeve), slope + m.sleeve);
        let sleeve = [
            at(m.shoulder * 0.8, slope * 0.7),
            at(m.shoulder, slope),
            at(out, down),
            at(out - m.sleeve_width, down + 0.03),
            at(m.chest * 0.95, 0.2 + m.sleeve_width),
        ];
        painter.panel(&sleeve, 0.9);
        let left: Vec<Point> = sleeve.iter().map(|&[x, y]| [1.0 - x, y]).collect();
        painter.panel(&left, 0.9);
    }
    let body = [
        at(m.neck, 0.0),
        at(m.shoulder, slope),
        at(m.chest, 0.25),
        at(m.waist, m.length * 0.5),
        at(m.hem, m.length),
    ];
    painter.panel(&mirrored(&body), 1.0);
    if m.collar {
        painter.panel(
            &mirrored(&[at(m.neck, -0.01), at(m.neck * 1.5, 0.05), at(0.0, m.neck_depth + 0.1)]),
            1.25,
        );
    }
    painter.hole(&[at(-m.neck, -0.03), at(0.0, m.neck_depth), at(m.neck, -0.03)]);
    if let Some(tone) = m.front {
        let half = 0.02;
        painter.panel(&mirrored(&[at(half, m.neck_depth), at(half, m.length)]), tone);
    }
}

fn paint_trouser(painter: &mut Painter, draw: &mut Draw) {
    let (hip, hem) = (draw.between(0.17, 0.25), draw.between(0.09, 0.16));
    let gap = draw.between(0.0, 0.08);
    let (waist, crotch) = (hip * draw.between(0.75, 1.0), draw.between(0.22, 0.4));
    let length = draw.between(0.85, 1.0);
    let top = 0.5 - length / 2.0;
    let half = [
        [0.5 + waist, top],
        [0.5 + hip, top + 0.2],
        [0.5 + gap + hem, top + length],
        [0.5 + gap, top + length],
        [0.5, top + crotch],
    ];
    painter.panel(&mirrored(&half), 1.0);
}

/// A shoe that points left; `shaft` is the height of its opening above the sole.
fn paint_shoe(painter: &mut Painter, shaft: f32, draw: &mut Draw) {
    let (toe, ankle) = (draw.between(0.1, 0.18), draw.between(0.4, 0.62));
    let bottom = 0.5 + 0.5 * shaft.max(0.3) + draw.bell(0.02);
    let sole = draw.between(0.02, 0.09);
    let rear = draw.between(0.9, 1.0);
    let upper = [
        [0.02, bottom - sole],
        [0.06, bottom - sole - toe],
        [ankle * 0.6, bottom - sole - toe - shaft * 0.15],
        [ankle, bottom - sole - 0.12 - shaft * 0.45],
        [ankle + draw.between(0.0, 0.12), bottom - sole - shaft],
        [rear - 0.03, bottom - sole - shaft - draw.bell(0.02)],
        [rear, bottom - sole],
    ];
    painter.panel(&upper, 1.0);
    let heel = if draw.chance(0.3) { draw.between(0.03, 0.12) } else { 0.0 };
    let tone = draw.between(0.5, 1.4);
    painter
        .panel(&[[0.0, bottom - sole], [rear + 0.01, bottom - sole], [rear, bottom], [0.02, bottom]], tone);
    painter.panel(
        &[[0.72, bottom - 0.01], [rear, bottom - 0.01], [rear - 0.02, bottom + heel], [0.76, bottom + heel]],
        tone,
    );
}

fn paint_sandal(painter: &mut Painter, draw: &mut Draw) {
    let heel = if draw.chance(0.5) { draw.between(0.1, 0.35) } else { draw.between(0.0, 0.08) };
    let (front, thick) = (draw.between(0.6, 0.7), draw.between(0.04, 0.1));
    let rear = front - heel;
    painter.panel(
        &[
            [0.0, front],
            [0.4, front - 0.3 * heel],
            [1.0, rear],
            [1.0, rear + thick],
            [0.5, front + thick],
            [0.0, front + thick],
        ],
        1.0,
    );
    if heel > 0.1 {
        painter.panel(&[[0.85, rear], [1.0, rear], [0.97, front + thick], [0.9, front + thick]], 1.0);
    }
    for _ in 0..2 + draw.below(3) {
        let from = draw.between(0.05, 0.9);
        let to = (from + draw.between(0.1, 0.4)).min(0.97);
        let rise = draw.between(0.08, 0.35);
        let height = |x: f32| front - heel * x;
        let arch =
            [[from, height(from)], [0.5 * (from + to), height(0.5 * (from + to)) - rise], [to, height(to)]];
        painter.strap(&smooth(&arch, 4), draw.between(0.5, 1.4));
    }
}

fn paint_bag(painter: &mut Painter, draw: &mut Draw) {
    let (wide, flare) = (draw.between(0.36, 0.49), draw.between(0.8, 1.1));
    let (top, bottom) = (draw.between(0.2, 0.45), draw.between(0.85, 1.0));
    let half = [[0.5 + wide * flare, top], [0.5 + wide, bottom]];
    let (reach, rise) = (wide * draw.between(0.4, 0.95), draw.between(0.05, 0.3));
    let handle = [
        [0.5 - reach, top + 0.03],
        [0.5 - 0.6 * reach, top - rise],
        [0.5 + 0.6 * reach, top - rise],
        [0.5 + reach, top + 0.03],
    ];
    if draw.chance(0.85) {
        painter.strap(&smooth(&handle, 5), draw.between(0.5, 1.5));
    }
    painter.panel(&mirrored(&half), 1.0);
    if draw.chance(0.4) {
        let flap = top + draw.between(0.1, 0.3);
        painter.panel(
            &mirrored(&[[0.5 + wide * flare, top], [0.5 + wide * 0.95, flap]]),
            draw.between(0.6, 0.95),
        );
    }
}
