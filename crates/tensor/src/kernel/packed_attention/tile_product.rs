//! Matrix products of which each strip of rows needs a part only, as a causal mask leaves it.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Rows of a result whose sums are in registers together; a [`Part`] holds for so many.
pub(super) const STRIP: usize = 6;

/// What is computed of the rows of a strip.
pub(super) struct Part {
    /// Columns, the first ones; rounded up to whole vectors.
    pub(super) width: usize,
    /// Terms of each sum.
    pub(super) depth: Range<usize>,
}

/// How the left factor lies in memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left<'a> {
    /// Its rows are rows of the result, so many numbers apart.
    Rows(&'a [f32], usize),
    /// Its columns are rows of the result; its rows are so many numbers apart.
    Columns(&'a [f32], usize),
}

/// The other matrices of a [`product`].
pub(super) struct RightAndResult<'a> {
    pub(super) right: &'a [f32],
    pub(super) right_stride: usize,
    /// Written, or added to.
    pub(super) result: &'a mut [f32],
    pub(super) result_stride: usize,
    pub(super) is_added: bool,
}

/// `result (+)= left · right` for `n_rows` rows, of each strip the part that `part` names for its rows.
///
/// Each number is one sum in the order of the depth, whatever its neighbours are: neither strips nor the width of vectors
/// change a bit of it. Where `width` is not whole vectors, `right` and `result` have room for the rest.
pub(super) fn product(
    left: Left<'_>,
    others: RightAndResult<'_>,
    n_rows: usize,
    part: impl Fn(Range<usize>) -> Part,
) {
    match left {
        Left::Rows(left, stride) => {
            let left = RowsOfLeft { left, stride };
            Arch::new().dispatch(Product { left, others, n_rows, part });
        }
        Left::Columns(left, stride) => {
            let left = ColumnsOfLeft { left, stride };
            Arch::new().dispatch(Product { left, others, n_rows, part });
        }
    }
}

/// Gives the left factors of R rows of the result, one depth after the other.
trait LeftFactors: Copy {
    fn of<const R: usize>(self, first_row: usize, depth: Range<usize>) -> impl Iterator<Item = [f32; R]>;
}

#[derive(Clone, Copy)]
struct RowsOfLeft<'a> {
    left: &'a [f32],
    stride: usize,
}

impl LeftFactors for RowsOfLeft<'_> {
    #[inline(always)]
    fn of<const R: usize>(self, first_row: usize, depth: Range<usize>) -> impl Iterator<Item = [f32; R]> {
        let mut rows = [self.left; R];
        for (idx, row) in rows.iter_mut().enumerate() {
            *row = &row[(first_row + idx) * self.stride..][depth.clone()];
        }
        (0..depth.len()).map(
            #[inline(always)]
            move |k| {
                let mut factors = [0.0; R];
                for (factor, row) in factors.iter_mut().zip(rows) {
                    *factor = row[k];
                }
                factors
            },
        )
    }
}

#[derive(Clone, Copy)]
struct ColumnsOfLeft<'a> {
    left: &'a [f32],
    stride: usize,
}

impl LeftFactors for ColumnsOfLeft<'_> {
    #[inline(always)]
    fn of<const R: usize>(self, first_row: usize, depth: Range<usize>) -> impl Iterator<Item = [f32; R]> {
        let rows = self.left[depth.start * self.stride + first_row..].chunks(self.stride).take(depth.len());
        rows.map(
            #[inline(always)]
            |row| {
                let mut factors = [0.0; R];
                factors.copy_from_slice(&row[..R]);
                factors
            },
        )
    }
}

struct Product<'a, L, P> {
    left: L,
    others: RightAndResult<'a>,
    n_rows: usize,
    part: P,
}

impl<L: LeftFactors, P: Fn(Range<usize>) -> Part> WithSimd for Product<'_, L, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut row = 0;
        while row + STRIP <= self.n_rows {
            self.strip::<S, STRIP>(simd, row);
            row += STRIP;
        }
        while row + 2 <= self.n_rows {
            self.strip::<S, 2>(simd, row);
            row += 2;
        }
        if row < self.n_rows {
            self.strip::<S, 1>(simd, row);
        }
    }
}

impl<L: LeftFactors, P: Fn(Range<usize>) -> Part> Product<'_, L, P> {
    #[inline(always)]
    fn strip<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let Part { width, depth } = (self.part)(row..row + R);
        if depth.is_empty() {
            return;
        }
        let mut column = 0;
        // All sums of a tile stay in registers.
        while S::REGISTER_COUNT >= 32 && column + 4 * S::F32_LANES <= width {
            self.tile::<S, R, 4>(simd, row, column, depth.clone());
            column += 4 * S::F32_LANES;
        }
        while column + 2 * S::F32_LANES <= width {
            self.tile::<S, R, 2>(simd, row, column, depth.clone());
            column += 2 * S::F32_LANES;
        }
        while column < width {
            self.tile::<S, R, 1>(simd, row, column, depth.clone());
            column += S::F32_LANES;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        depth: Range<usize>,
    ) {
        let others = &mut self.others;
        let right = &others.right[depth.start * others.right_stride + column..];
        let result = &mut others.result[row * others.result_stride + column..];
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if others.is_added {
            for (sums, result) in sums.iter_mut().zip(result.chunks(others.result_stride)) {
                let (result, _) = S::as_simd_f32s(&result[..V * S::F32_LANES]);
                sums.copy_from_slice(result);
            }
        }
        for (left, right) in self.left.of::<R>(row, depth).zip(right.chunks(others.right_stride)) {
            let (right, _) = S::as_simd_f32s(&right[..V * S::F32_LANES]);
            for r in 0..R {
                let left = simd.splat_f32s(left[r]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_f32s(left, right[v], sums[r][v]);
                }
            }
        }
        for (sums, result) in sums.iter().zip(result.chunks_mut(others.result_stride)) {
            let (result, _) = S::as_mut_simd_f32s(&mut result[..V * S::F32_LANES]);
            result.copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers up to 8, whose products and sums are exact.
    fn numbers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|idx| ((idx * step + idx / 7) % 17) as f32 - 8.0).collect()
    }

    #[test]
    fn a_product_is_the_plain_sum_for_every_remainder_of_rows_and_columns() {
        for (n, width, depth) in [(1, 16, 1), (4, 64, 3), (7, 48, 5), (6, 112, 9), (11, 80, 2)] {
            let (rows, right) = (numbers(n * depth, 5), numbers(depth * width, 3));
            let columns: Vec<f32> =
                (0..depth).flat_map(|k| (0..n).map(|i| rows[i * depth + k]).collect::<Vec<_>>()).collect();
            let from = depth / 2; // of the depth
            let plain = |i: usize, j: usize| {
                1.0 + (from..depth).map(|k| rows[i * depth + k] * right[k * width + j]).sum::<f32>()
            };
            let expected: Vec<f32> = (0..n * width).map(|idx| plain(idx / width, idx % width)).collect();
            for left in [Left::Rows(&rows, depth), Left::Columns(&columns, n)] {
                let mut result = vec![1.0; n * width];
                let others = RightAndResult {
                    right: &right,
                    right_stride: width,
                    result: &mut result,
                    result_stride: width,
                    is_added: true,
                };
                product(left, others, n, |_| Part { width, depth: from..depth });
                assert_eq!(result, expected, "{n} x {width} x {depth}");
            }
        }
    }
}
