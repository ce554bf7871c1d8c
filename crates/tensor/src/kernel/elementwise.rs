//! Normalization, activation and rotation of rows, sums over rows, and the gradients of these.

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

/// `rows += more`.
pub(crate) fn add_rows(rows: &mut [f32], more: &[f32], width: usize) {
    over_rows(
        rows,
        width,
        #[inline(always)]
        |idx, row| {
            for (x, more) in row.iter_mut().zip(&more[idx * width..]) {
                *x += more;
            }
        },
    );
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

/// Rows whose share of a weight's gradient is summed on its own.
const ROWS_PER_SUM: usize = 64;

/// Gradient of the rows into `d_out`; returns that of the weight. See [`rms_norm_rows`].
///
/// # Shapes
/// - `rows`, `d_out`: `[N, D]`
/// - `weight`: `[D]`, as the gradient
pub(crate) fn rms_norm_rows_backward(
    rows: &[f32],
    weight: &[f32],
    epsilon: f32,
    d_out: &mut [f32],
) -> Vec<f32> {
    let width = weight.len();
    let block = |(rows, d_out): (&[f32], &mut [f32])| {
        let mut d_weight = vec![0.0_f32; width];
        vectorized(
            #[inline(always)]
            || {
                for (row, d_out) in rows.chunks(width).zip(d_out.chunks_mut(width)) {
                    rms_norm_row_backward(row, weight, epsilon, d_out, &mut d_weight);
                }
            },
        );
        d_weight
    };
    let size = ROWS_PER_SUM * width;
    let sums: Vec<_> = if rows.len() < WORTH_THREADS {
        rows.chunks(size).zip(d_out.chunks_mut(size)).map(block).collect()
    } else {
        rows.par_chunks(size).zip(d_out.par_chunks_mut(size)).map(block).collect()
    };
    add_up(&sums, width)
}

#[inline(always)]
fn rms_norm_row_backward(row: &[f32], weight: &[f32], epsilon: f32, d_out: &mut [f32], d_weight: &mut [f32]) {
    let (mut squares, mut along) = ([0.0_f32; 16], [0.0_f32; 16]); // Σ x², Σ x weight d_out
    for ((row, weight), d_out) in row.chunks(16).zip(weight.chunks(16)).zip(d_out.chunks(16)) {
        for ((((x, weight), d_out), squares), along) in
            row.iter().zip(weight).zip(d_out).zip(&mut squares).zip(&mut along)
        {
            *squares = x.mul_add(*x, *squares);
            *along = (x * weight).mul_add(*d_out, *along);
        }
    }
    let n = row.len() as f32;
    let scale = 1.0 / (squares.iter().sum::<f32>() / n + epsilon).sqrt();
    let pull = along.iter().sum::<f32>() / n * scale * scale;
    for (((x, weight), d_out), d_weight) in row.iter().zip(weight).zip(d_out).zip(d_weight) {
        *d_weight = (x * scale).mul_add(*d_out, *d_weight);
        *d_out = scale * (weight * *d_out - x * pull);
    }
}

/// The sum over the rows of each column.
///
/// # Shapes
/// - `rows`: `[N, width]`
/// - returns: `[width]`
pub(crate) fn sums_of_columns(rows: &[f32], width: usize) -> Vec<f32> {
    let block = |rows: &[f32]| {
        let mut sums = vec![0.0_f32; width];
        for row in rows.chunks(width) {
            add_row(&mut sums, row);
        }
        sums
    };
    let size = ROWS_PER_SUM * width;
    let sums: Vec<_> = if rows.len() < WORTH_THREADS {
        rows.chunks(size).map(block).collect()
    } else {
        rows.par_chunks(size).map(block).collect()
    };
    add_up(&sums, width)
}

/// The sum of rows, in their order.
fn add_up(rows: &[Vec<f32>], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; width];
    rows.iter().for_each(|row| add_row(&mut sum, row));
    sum
}

fn add_row(sums: &mut [f32], row: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (sum, number) in sums.iter_mut().zip(row) {
                *sum += number;
            }
        },
    );
}

/// Adds each row to the row of `sums` that its id names, in the order of the rows.
///
/// # Shapes
/// - `sums`: `[V, width]`
/// - `ids`: `[N]`, each in `0..V`
/// - `rows`: `[N, width]`
pub(crate) fn add_rows_at(sums: &mut [f32], ids: &[u32], rows: &[f32], width: usize) {
    let block = |first: usize, sums: &mut [f32]| {
        let here = first..first + sums.len() / width;
        for (id, row) in ids.iter().map(|&id| id as usize).zip(rows.chunks(width)) {
            if here.contains(&id) {
                add_row(&mut sums[(id - first) * width..][..width], row);
            }
        }
    };
    let n_threads = rayon::current_num_threads();
    if rows.len() < WORTH_THREADS || n_threads == 1 {
        block(0, sums);
    } else {
        // Every thread reads all ids and adds what belongs to its share of the sums.
        let share = (sums.len() / width).div_ceil(2 * n_threads);
        sums.par_chunks_mut(share * width).enumerate().for_each(|(idx, sums)| block(idx * share, sums));
    }
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

/// Gradient of `up` into `d_out`; returns that of `gate`. See [`swiglu_rows`].
pub(crate) fn swiglu_rows_backward(gate: &[f32], up: &[f32], d_out: &mut [f32]) -> Vec<f32> {
    let mut d_gate = vec![0.0_f32; gate.len()];
    let block = |gate: &[f32], up: &[f32], d_out: &mut [f32], d_gate: &mut [f32]| {
        vectorized(
            #[inline(always)]
            || {
                for (((gate, up), d_out), d_gate) in gate.iter().zip(up).zip(&mut *d_out).zip(&mut *d_gate) {
                    let logistic = 1.0 / (1.0 + exp_f32(-*gate));
                    *d_gate = *d_out * up * (logistic * (gate * (1.0 - logistic) + 1.0));
                    *d_out *= gate * logistic;
                }
            },
        );
    };
    if gate.len() < WORTH_THREADS {
        block(gate, up, d_out, &mut d_gate);
    } else {
        let size = WORTH_THREADS / 4;
        gate.par_chunks(size)
            .zip(up.par_chunks(size))
            .zip(d_out.par_chunks_mut(size))
            .zip(d_gate.par_chunks_mut(size))
            .for_each(|(((gate, up), d_out), d_gate)| block(gate, up, d_out, d_gate));
    }
    d_gate
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
