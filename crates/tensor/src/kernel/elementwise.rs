//! Normalization, activation and rotation of rows.

use rayon::prelude::*;

use crate::simd_exp::exp_f32;
use crate::vectorized::vectorized;

/// Numbers below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 16;

/// Calls `work` on rows of `width`, many at a time, on several threads where that pays.
fn over_rows(rows: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let block = |first: usize, rows: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || {
                for (offset, row) in rows.chunks_mut(width).enumerate() {
                    work(first + offset, row);
                }
            },
        );
    };
    if rows.len() < WORTH_THREADS {
        block(0, rows);
    } else {
        let per_block = (WORTH_THREADS / 4).div_ceil(width);
        rows.par_chunks_mut(per_block * width)
            .enumerate()
            .for_each(|(idx, rows)| block(idx * per_block, rows));
    }
}

/// x / √(mean x² + epsilon) · weight for each row of `rows`, in place.
pub(crate) fn rms_norm_rows(rows: &mut [f32], weight: &[f32], epsilon: f32) {
    over_rows(
        rows,
        weight.len(),
        #[inline(always)]
        |_, row| {
            let mut squares = [0.0_f32; 16];
            let mut chunks = row.chunks_exact(16);
            for chunk in chunks.by_ref() {
                for lane in 0..16 {
                    squares[lane] = chunk[lane].mul_add(chunk[lane], squares[lane]);
                }
            }
            let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
            let mean = (squares.iter().sum::<f32>() + rest) / row.len() as f32;
            let scale = 1.0 / (mean + epsilon).sqrt();
            for (x, weight) in row.iter_mut().zip(weight) {
                *x = *x * scale * weight;
            }
        },
    );
}

/// gate / (1 + exp(-gate)) · up, into `gate`.
pub(crate) fn swiglu_rows(gate: &mut [f32], up: &[f32], width: usize) {
    over_rows(
        gate,
        width,
        #[inline(always)]
        |idx, gate| {
            for (gate, up) in gate.iter_mut().zip(&up[idx * width..][..width]) {
                *gate = *gate / (1.0 + exp_f32(-*gate)) * up;
            }
        },
    );
}

/// Rotates the two halves of every head by the angles of its position, in place.
///
/// # Shapes
/// - `rows`: `[N, heads, C]`
/// - `cos`, `sin`: `[N, C / 2]`
pub(crate) fn rotate_rows(rows: &mut [f32], n_heads: usize, cos: &[f32], sin: &[f32], n_rows: usize) {
    let half = cos.len() / n_rows;
    over_rows(
        rows,
        n_heads * 2 * half,
        #[inline(always)]
        |idx, heads| {
            let (cos, sin) = (&cos[idx * half..][..half], &sin[idx * half..][..half]);
            for head in heads.chunks_mut(2 * half) {
                let (low, high) = head.split_at_mut(half);
                for channel in 0..half {
                    let (a, b) = (low[channel], high[channel]);
                    low[channel] = a * cos[channel] - b * sin[channel];
                    high[channel] = b * cos[channel] + a * sin[channel];
                }
            }
        },
    );
}
