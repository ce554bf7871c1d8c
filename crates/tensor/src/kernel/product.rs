//! Rows times a weight matrix `[out, in]`, the layout of checkpoints.

use half::bf16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A number that a weight matrix is stored in; sums are f32 always.
pub(crate) trait Weight: Copy + Send + Sync {
    fn to_f32(self) -> f32;
    /// One vector of weights.
    fn widen<S: Simd>(simd: S, weights: &[Self]) -> S::f32s;
    /// Rows of equal length as f32: themselves, or in `scratch`.
    fn as_f32s<'a, S: Simd, const R: usize>(
        simd: S,
        rows: [&'a [Self]; R],
        scratch: &'a mut Vec<f32>,
    ) -> [&'a [f32]; R];
}

impl Weight for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn widen<S: Simd>(_: S, weights: &[Self]) -> S::f32s {
        S::as_simd_f32s(weights).0[0]
    }
    #[inline(always)]
    fn as_f32s<'a, S: Simd, const R: usize>(
        _: S,
        rows: [&'a [Self]; R],
        _: &'a mut Vec<f32>,
    ) -> [&'a [f32]; R] {
        rows
    }
}

impl Weight for bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn widen<S: Simd>(simd: S, weights: &[Self]) -> S::f32s {
        let mut bits = simd.splat_u32s(0);
        for (bits, weight) in
            bytemuck::cast_slice_mut::<_, u32>(std::slice::from_mut(&mut bits)).iter_mut().zip(weights)
        {
            *bits = u32::from(weight.to_bits()) << 16;
        }
        simd.transmute_f32s_u32s(bits)
    }
    #[inline(always)]
    fn as_f32s<'a, S: Simd, const R: usize>(
        _: S,
        rows: [&'a [Self]; R],
        scratch: &'a mut Vec<f32>,
    ) -> [&'a [f32]; R] {
        let n = rows[0].len();
        scratch.resize(R * n, 0.0);
        for (wide, row) in scratch.chunks_exact_mut(n).zip(rows) {
            for (wide, number) in wide.iter_mut().zip(row) {
                *wide = number.to_f32();
            }
        }
        let mut wide = [scratch.as_slice(); R];
        for (idx, wide) in wide.iter_mut().enumerate() {
            *wide = &wide[idx * n..][..n];
        }
        wide
    }
}

/// Up to so many rows, reading the weights costs more than the products.
pub(crate) const FEW_ROWS: usize = 24;
/// Products below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 18;

/// `x · wᵀ + bias` for few rows. The weights are read once from memory, each product is a sum of its own, and its order
/// depends neither on the other rows nor on the number of threads.
///
/// # Shapes
/// - `x`: `[N, in]`
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - returns: `[N, out]`
pub(crate) fn few_rows_times_weight<W: Weight>(
    x: &[f32],
    weight: &[W],
    bias: Option<&[f32]>,
    d_in: usize,
) -> Vec<f32> {
    let (n, d_out) = (x.len() / d_in, weight.len() / d_in);
    assert!(x.len() == n * d_in && weight.len() == d_out * d_in, "x and weight are whole rows of {d_in}");
    // One row per output first, so that every thread writes memory of its own.
    let mut columns = vec![0.0_f32; d_out * n]; // [out, N]
    let block = |(first, column): (usize, &mut [f32])| {
        let rows = column.len() / n;
        let weight = &weight[first * d_in..][..rows * d_in];
        Arch::new().dispatch(DotRows { x, weight, d_in, columns: column });
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

/// All dot products of the rows of `x` with the rows of `weight`, into `[rows of weight, N]`.
///
/// Written with explicit vectors: the compiler makes shuffles of loops over so many sums.
struct DotRows<'a, W> {
    x: &'a [f32],
    weight: &'a [W],
    d_in: usize,
    columns: &'a mut [f32],
}

impl<W: Weight> WithSimd for DotRows<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // All sums of a block and one vector of each of its rows stay in registers.
        if S::REGISTER_COUNT >= 32 {
            self.in_blocks::<S, 4, 4>(simd)
        } else {
            self.in_blocks::<S, 2, 4>(simd)
        }
    }
}

impl<W: Weight> DotRows<'_, W> {
    /// R streams of weights, each read from front to end: rows one after the other are too short for the CPU to see where
    /// the reading goes.
    #[inline(always)]
    fn in_blocks<S: Simd, const X: usize, const R: usize>(self, simd: S) {
        let Self { x, weight, d_in, columns } = self;
        let n = x.len() / d_in;
        let n_steps = weight.len() / d_in / R;
        let mut streams = [weight; R];
        for (idx, stream) in streams.iter_mut().enumerate() {
            *stream = &weight[idx * n_steps * d_in..][..n_steps * d_in];
        }
        for step in 0..n_steps {
            let mut rows = streams;
            for row in &mut rows {
                *row = &row[step * d_in..][..d_in];
            }
            all_rows::<S, W, X, R>(simd, x, rows, &mut columns[step * n..], n_steps * n);
        }
        let rest = weight.chunks_exact(d_in).zip(columns.chunks_exact_mut(n)).skip(R * n_steps);
        for (weights, columns) in rest {
            all_rows::<S, W, X, 1>(simd, x, [weights], columns, n);
        }
    }
}

/// R rows of the weight with all rows of `x`, X at a time; the results of two rows of the weight are `stride` apart.
#[inline(always)]
fn all_rows<S: Simd, W: Weight, const X: usize, const R: usize>(
    simd: S,
    x: &[f32],
    weights: [&[W]; R],
    columns: &mut [f32],
    stride: usize,
) {
    let d_in = weights[0].len();
    let n = x.len() / d_in;
    let mut row = 0;
    while row + X <= n {
        block::<S, W, X, R>(simd, &x[row * d_in..], weights, &mut columns[row..], stride);
        row += X;
    }
    while row < n {
        block::<S, W, 1, R>(simd, &x[row * d_in..], weights, &mut columns[row..], stride);
        row += 1;
    }
}

/// The first X rows of `x` with R rows of the weight. The order of a sum is the same for every X and R: one sum per lane,
/// the lanes, then what is left of the row.
#[inline(always)]
fn block<S: Simd, W: Weight, const X: usize, const R: usize>(
    simd: S,
    x: &[f32],
    weights: [&[W]; R],
    columns: &mut [f32],
    stride: usize,
) {
    let d_in = weights[0].len();
    let whole = d_in / S::F32_LANES * S::F32_LANES;
    let mut xs = [x; X];
    for (row, x) in xs.iter_mut().enumerate() {
        *x = &x[row * d_in..][..d_in];
    }
    let mut sums = [[simd.splat_f32s(0.0); R]; X];
    let mut at = 0;
    while at < whole {
        let mut wide = [simd.splat_f32s(0.0); R];
        for row in 0..R {
            wide[row] = W::widen(simd, &weights[row][at..at + S::F32_LANES]);
        }
        for x_row in 0..X {
            let x = f32::widen(simd, &xs[x_row][at..at + S::F32_LANES]);
            for row in 0..R {
                sums[x_row][row] = simd.mul_add_f32s(x, wide[row], sums[x_row][row]);
            }
        }
        at += S::F32_LANES;
    }
    for x_row in 0..X {
        for row in 0..R {
            let mut sum = simd.reduce_sum_f32s(sums[x_row][row]);
            for idx in whole..d_in {
                sum = xs[x_row][idx].mul_add(weights[row][idx].to_f32(), sum);
            }
            columns[row * stride + x_row] = sum;
        }
    }
}

/// Adds the bias to each row of `y`, in place.
///
/// # Shapes
/// - `y`: `[N, out]`
/// - `bias`: `[out]`
pub(crate) fn add_bias(y: &mut [f32], bias: &[f32]) {
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
        for (n, d_in, d_out) in [(1, 5, 3), (1, 64, 7), (3, 33, 8), (5, 100, 9), (11, 48, 5), (24, 96, 6)] {
            let (x, w, bias) = (numbers(n * d_in, 1), numbers(d_out * d_in, 2), numbers(d_out, 3));
            let halves: Vec<bf16> = w.iter().map(|&w| bf16::from_f32(w)).collect();
            let widened: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
            for (got, weights) in [
                (few_rows_times_weight(&x, &w, Some(&bias), d_in), &w),
                (few_rows_times_weight(&x, &halves, Some(&bias), d_in), &widened),
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
    fn bf16_weights_give_the_bits_of_the_same_weights_in_f32() {
        let (d_in, d_out) = (70, 9);
        let x = numbers(5 * d_in, 1);
        let narrow: Vec<bf16> = numbers(d_out * d_in, 2).into_iter().map(bf16::from_f32).collect();
        let wide: Vec<f32> = narrow.iter().map(|number| number.to_f32()).collect();
        assert_eq!(
            few_rows_times_weight(&x, &narrow, None, d_in),
            few_rows_times_weight(&x, &wide, None, d_in)
        );
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (d_in, d_out) = (70, 9);
        let (x, w) = (numbers(FEW_ROWS * d_in, 1), numbers(d_out * d_in, 2));
        let together = few_rows_times_weight(&x, &w, None, d_in);
        for (row, x) in x.chunks(d_in).enumerate() {
            assert_eq!(
                few_rows_times_weight(x, &w, None, d_in),
                together[row * d_out..][..d_out],
                "row {row}"
            );
        }
    }
}
