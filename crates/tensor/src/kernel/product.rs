//! Rows times a weight matrix `[out, in]`, the layout of checkpoints.

use crate::vectorized::vectorized;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use half::bf16;
use rayon::prelude::*;

/// A number that a weight matrix is stored in; sums are f32 always.
pub(crate) trait Weight: Copy + Send + Sync {
    /// The matrix as f32, without a copy where it is f32 already.
    fn as_f32(weights: &[Self]) -> Option<&[f32]>;
    fn to_f32(self) -> f32;
}

impl Weight for f32 {
    fn as_f32(weights: &[Self]) -> Option<&[f32]> {
        Some(weights)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Weight for bf16 {
    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

const LANES: usize = 16;
/// Up to so many rows, the weights are read once from memory and the products are sums of their own.
const FEW_ROWS: usize = 24;
/// Products below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 18;
/// Rows of a bf16 matrix that are widened at a time.
const PANEL: usize = 512;

/// `x · wᵀ + bias`.
///
/// # Shapes
/// - `x`: `[N, in]`
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - returns: `[N, out]`
pub(crate) fn rows_times_weight<W: Weight>(
    x: &[f32],
    weight: &[W],
    bias: Option<&[f32]>,
    d_in: usize,
) -> Vec<f32> {
    let (n, d_out) = (x.len() / d_in, weight.len() / d_in);
    assert!(x.len() == n * d_in && weight.len() == d_out * d_in, "x and weight are whole rows of {d_in}");
    if n <= FEW_ROWS { few_rows(x, weight, bias, d_in) } else { many_rows(x, weight, bias, d_in) }
}

fn few_rows<W: Weight>(x: &[f32], weight: &[W], bias: Option<&[f32]>, d_in: usize) -> Vec<f32> {
    let (n, d_out) = (x.len() / d_in, weight.len() / d_in);
    // One row per output first, so that every thread writes memory of its own.
    let mut columns = vec![0.0_f32; d_out * n]; // [out, N]
    let block = |(first, column): (usize, &mut [f32])| {
        let rows = column.len() / n;
        let weight = &weight[first * d_in..][..rows * d_in];
        vectorized(
            #[inline(always)]
            || dot_rows(x, weight, d_in, column),
        );
    };
    let n_threads = rayon::current_num_threads();
    if x.len() * d_out < WORTH_THREADS || n_threads == 1 {
        block((0, &mut columns));
    } else {
        let rows = d_out.div_ceil(4 * n_threads).next_multiple_of(4);
        columns.par_chunks_mut(rows * n).enumerate().for_each(|(idx, column)| block((idx * rows, column)));
    }
    let mut y = if n == 1 { columns } else { transpose(&columns, n) }; // [N, out]
    if let Some(bias) = bias {
        add_bias(&mut y, bias);
    }
    y
}

fn transpose(columns: &[f32], n: usize) -> Vec<f32> {
    let d_out = columns.len() / n;
    let mut y = Vec::with_capacity(columns.len());
    for row in 0..n {
        y.extend((0..d_out).map(|column| columns[column * n + row]));
    }
    y
}

/// All dot products of the rows of `x` with the rows of `weight`, `[rows of weight, N]`.
#[inline(always)]
fn dot_rows<W: Weight>(x: &[f32], weight: &[W], d_in: usize, columns: &mut [f32]) {
    let n = x.len() / d_in;
    for (weights, columns) in weight.chunks(2 * d_in).zip(columns.chunks_mut(2 * n)) {
        if weights.len() == 2 * d_in {
            dot_pair(x, weights, d_in, columns, n);
        } else {
            for (column, x) in columns.iter_mut().zip(x.chunks(d_in)) {
                *column = dot(x, weights);
            }
        }
    }
}

#[inline(always)]
fn dot_pair<W: Weight>(x: &[f32], weights: &[W], d_in: usize, columns: &mut [f32], n: usize) {
    let (w0, w1) = weights.split_at(d_in);
    let mut quads = x.chunks_exact(4 * d_in);
    let mut row = 0;
    for quad in quads.by_ref() {
        let sums = dot_4x2(quad, w0, w1, d_in);
        for (offset, sum) in sums.into_iter().enumerate() {
            columns[row + offset] = sum[0];
            columns[n + row + offset] = sum[1];
        }
        row += 4;
    }
    for x in quads.remainder().chunks(d_in) {
        columns[row] = dot(x, w0);
        columns[n + row] = dot(x, w1);
        row += 1;
    }
}

type Lanes = [f32; LANES];

#[inline(always)]
fn widen<W: Weight>(weights: &[W]) -> Lanes {
    let mut wide = [0.0; LANES];
    for (wide, weight) in wide.iter_mut().zip(weights) {
        *wide = weight.to_f32();
    }
    wide
}

#[inline(always)]
fn add_products(sum: &mut Lanes, x: &[f32], w: &Lanes) {
    for lane in 0..LANES {
        sum[lane] = x[lane].mul_add(w[lane], sum[lane]);
    }
}

/// The same order for every shape of block: two interleaved sums of 16 lanes, their lanes in halves, then the rest.
#[inline(always)]
fn finish(even: Lanes, odd: Lanes, rest: f32) -> f32 {
    let mut lanes = even;
    for lane in 0..LANES {
        lanes[lane] += odd[lane];
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0] + rest
}

#[inline(always)]
fn rest<W: Weight>(x: &[f32], w: &[W]) -> f32 {
    x.iter().zip(w).fold(0.0, |sum, (x, w)| x.mul_add(w.to_f32(), sum))
}

#[inline(always)]
fn dot<W: Weight>(x: &[f32], w: &[W]) -> f32 {
    let mut sums = [[0.0; LANES]; 2];
    let whole = x.len() / (2 * LANES) * (2 * LANES);
    for (x, w) in x[..whole].chunks_exact(2 * LANES).zip(w[..whole].chunks_exact(2 * LANES)) {
        for half in 0..2 {
            add_products(&mut sums[half], &x[half * LANES..][..LANES], &widen(&w[half * LANES..][..LANES]));
        }
    }
    finish(sums[0], sums[1], rest(&x[whole..], &w[whole..]))
}

#[inline(always)]
fn dot_4x2<W: Weight>(x: &[f32], w0: &[W], w1: &[W], d_in: usize) -> [[f32; 2]; 4] {
    let whole = d_in / (2 * LANES) * (2 * LANES);
    let mut sums = [[[[0.0; LANES]; 2]; 2]; 4]; // [row of x][row of w][half][lane]
    let x: [&[f32]; 4] = [0, 1, 2, 3].map(|row| &x[row * d_in..][..d_in]);
    for at in (0..whole).step_by(2 * LANES) {
        for half in 0..2 {
            let from = at + half * LANES;
            let a = widen(&w0[from..from + LANES]);
            let b = widen(&w1[from..from + LANES]);
            for row in 0..4 {
                let x = &x[row][from..from + LANES];
                add_products(&mut sums[row][0][half], x, &a);
                add_products(&mut sums[row][1][half], x, &b);
            }
        }
    }
    [0, 1, 2, 3].map(|row| {
        let tail = &x[row][whole..];
        [
            finish(sums[row][0][0], sums[row][0][1], rest(tail, &w0[whole..])),
            finish(sums[row][1][0], sums[row][1][1], rest(tail, &w1[whole..])),
        ]
    })
}

fn many_rows<W: Weight>(x: &[f32], weight: &[W], bias: Option<&[f32]>, d_in: usize) -> Vec<f32> {
    let (n, d_out) = (x.len() / d_in, weight.len() / d_in);
    let mut y = vec![0.0_f32; n * d_out];
    if let Some(weight) = W::as_f32(weight) {
        add_columns(x, weight, d_in, &mut y, d_out, 0);
    } else {
        let mut panel = vec![0.0_f32; PANEL.min(d_out) * d_in];
        for (idx, weights) in weight.chunks(PANEL * d_in).enumerate() {
            let panel = &mut panel[..weights.len()];
            panel.par_chunks_mut(1 << 16).zip(weights.par_chunks(1 << 16)).for_each(|(wide, weights)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (wide, weight) in wide.iter_mut().zip(weights) {
                            *wide = weight.to_f32();
                        }
                    },
                );
            });
            add_columns(x, panel, d_in, &mut y, d_out, idx * PANEL);
        }
    }
    if let Some(bias) = bias {
        add_bias(&mut y, bias);
    }
    y
}

/// Writes the columns of `y` from `first` on that belong to these rows of the weight, a share of its rows per thread.
fn add_columns(x: &[f32], weight: &[f32], d_in: usize, y: &mut [f32], d_out: usize, first: usize) {
    let columns = weight.len() / d_in;
    let right = MatRef::from_row_major_slice(weight, columns, d_in).transpose();
    let product = |(x, y): (&[f32], &mut [f32])| {
        let n = x.len() / d_in;
        let left = MatRef::from_row_major_slice(x, n, d_in);
        let y = MatMut::from_row_major_slice_mut(y, n, d_out).subcols_mut(first, columns);
        matmul(y, Accum::Replace, left, right, 1.0, Par::Seq);
    };
    if x.len() * columns < WORTH_THREADS {
        product((x, y));
    } else {
        let rows = (x.len() / d_in).div_ceil(rayon::current_num_threads());
        x.par_chunks(rows * d_in).zip(y.par_chunks_mut(rows * d_out)).for_each(product);
    }
}

fn add_bias(y: &mut [f32], bias: &[f32]) {
    for row in y.chunks_mut(bias.len()) {
        for (y, bias) in row.iter_mut().zip(bias) {
            *y += bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    fn in_f64(x: &[f32], w: &[f32], bias: &[f32], d_in: usize) -> Vec<f64> {
        let dot =
            |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
        let row = |x| w.chunks(d_in).zip(bias).map(move |(w, b)| dot(x, w) + f64::from(*b));
        x.chunks(d_in).flat_map(row).collect()
    }

    #[test]
    fn products_equal_sums_in_f64_for_every_shape_of_block() {
        for (n, d_in, d_out) in
            [(1, 5, 3), (1, 64, 7), (3, 33, 8), (5, 100, 9), (11, 48, 5), (24, 96, 6), (40, 70, 130)]
        {
            let (x, w, bias) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(d_out, 3));
            let halves: Vec<bf16> = w.iter().map(|&w| bf16::from_f32(w)).collect();
            let widened: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
            for (got, weights) in [
                (rows_times_weight(&x, &w, Some(&bias), d_in), &w),
                (rows_times_weight(&x, &halves, Some(&bias), d_in), &widened),
            ] {
                let expected = in_f64(&x, weights, &bias, d_in);
                // at most 100 products below 0.25: rounding of their f32 sum stays below 100 * 0.25 * 6e-8
                let error =
                    got.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(error < 2e-6, "{n} x {d_in} x {d_out}: {error}");
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (d_in, d_out) = (70, 9);
        let (x, w) = (numbers(FEW_ROWS * d_in, 1), numbers(d_out * d_in, 2));
        let together = rows_times_weight(&x, &w, None, d_in);
        for (row, x) in x.chunks(d_in).enumerate() {
            assert_eq!(rows_times_weight(x, &w, None, d_in), together[row * d_out..][..d_out], "row {row}");
        }
    }
}
