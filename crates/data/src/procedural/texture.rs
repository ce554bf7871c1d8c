//! How cloth looks: brightness, gradient, stripes, a print, and grain.

use super::draw::Draw;
use crate::image_set::IMAGE_SIDE;

/// A pattern of grey levels over the canvas.
pub(super) struct Texture {
    base: f32,
    gradient: [f32; 2],
    stripes: Option<Stripes>,
    print: Option<Print>,
    grain: f32,
    draw: Draw,
}

/// Bands across or down the cloth.
struct Stripes {
    down: bool,
    period: usize,
    depth: f32,
}

/// A block on the chest.
struct Print {
    from: [usize; 2],
    to: [usize; 2],
    depth: f32,
}

impl Texture {
    pub(super) fn random(draw: &mut Draw) -> Self {
        Self {
            base: draw.between(0.35, 1.0),
            gradient: [draw.bell(0.1), draw.bell(0.1)],
            stripes: draw.chance(0.2).then(|| Stripes {
                down: draw.chance(0.3),
                period: 2 + draw.below(5),
                depth: draw.between(0.1, 0.5),
            }),
            print: draw.chance(0.2).then(|| {
                let from = [8 + draw.below(6), 6 + draw.below(8)];
                Print {
                    from,
                    to: [from[0] + 3 + draw.below(7), from[1] + 3 + draw.below(8)],
                    depth: draw.bell(0.4),
                }
            }),
            grain: draw.between(0.01, 0.08),
            draw: draw.fork(),
        }
    }

    /// Brightness without pattern.
    pub(super) fn mean(&self) -> f32 {
        self.base
    }

    /// Grey level at a pixel; the grain is fresh at every call.
    pub(super) fn level(&mut self, column: usize, row: usize) -> f32 {
        let [across, along] = [column, row].map(|index| index as f32 / IMAGE_SIDE as f32 - 0.5);
        let mut level = self.base + self.gradient[0] * across + self.gradient[1] * along;
        if let Some(Stripes { down, period, depth }) = self.stripes {
            let position = if down { column } else { row };
            if position / period % 2 == 1 {
                level -= depth * self.base;
            }
        }
        if let Some(Print { from, to, depth }) = &self.print
            && (from[0]..to[0]).contains(&column)
            && (from[1]..to[1]).contains(&row)
        {
            level += depth;
        }
        level + self.draw.bell(self.grain)
    }
}
