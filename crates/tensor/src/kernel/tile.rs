//! The innermost loop of a matrix product: a tile of sums that stays in registers.

use pulp::Simd;

/// Vectors that a tile is wide.
pub(super) const VECTORS: usize = 2;
/// Rows of a full tile: with its sums, a row of the panel and one number of the left factor it fills 32 registers.
pub(super) const TALL: usize = 14;
/// Of 16 registers.
pub(super) const TALL_OF_16: usize = 6;
/// Rows of the tile for what full ones leave over.
pub(super) const SHORT: usize = 4;

/// Numbers in a row of a panel.
#[inline(always)]
pub(super) fn panel_width<S: Simd>() -> usize {
    VECTORS * S::F32_LANES
}

/// The left factor of a tile, R numbers at each step of the sums.
///
/// The loop is written once for each: behind an iterator the compiler takes the sums out of the registers.
pub(super) trait Left<const R: usize> {
    /// Sums over the steps of each of R numbers with each of a panel's columns.
    ///
    /// # Shapes
    /// - `panel`: `[steps, V vectors]`
    /// - returns: `[R, V vectors]`
    fn times<S: Simd, const V: usize>(self, simd: S, panel: &[f32]) -> [[S::f32s; V]; R];
}

/// R rows of equal length.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, const R: usize>(pub(super) [&'a [f32]; R]);

impl<const R: usize> Left<R> for Rows<'_, R> {
    #[inline(always)]
    fn times<S: Simd, const V: usize>(self, simd: S, panel: &[f32]) -> [[S::f32s; V]; R] {
        let mut rows = self.0;
        let n = rows[0].len();
        for row in &mut rows {
            *row = &row[..n];
        }
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (at, right) in S::as_simd_f32s(panel).0[..n * V].chunks_exact(V).enumerate() {
            for row in 0..R {
                let left = simd.splat_f32s(rows[row][at]);
                for column in 0..V {
                    sums[row][column] = simd.mul_add_f32s(left, right[column], sums[row][column]);
                }
            }
        }
        sums
    }
}

/// `[steps, R]`
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) &'a [f32]);

impl<const R: usize> Left<R> for Columns<'_> {
    #[inline(always)]
    fn times<S: Simd, const V: usize>(self, simd: S, panel: &[f32]) -> [[S::f32s; V]; R] {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (left, right) in self.0.chunks_exact(R).zip(S::as_simd_f32s(panel).0.chunks_exact(V)) {
            for row in 0..R {
                let left = simd.splat_f32s(left[row]);
                for column in 0..V {
                    sums[row][column] = simd.mul_add_f32s(left, right[column], sums[row][column]);
                }
            }
        }
        sums
    }
}
