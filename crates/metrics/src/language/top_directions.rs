//! How much of an update lies where the base matrix is strongest.

use std::ops::Range;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Rows of the taller orientation that are widened to f64 at a time.
const BLOCK: usize = 1024;
/// Directions whose singular value is below this share of the largest are none: f64 has lost them in the squares.
const LEAST_SHARE: f64 = 1e-6;

/// A matrix and its update in row-major f32, seen so that it has no more columns than rows.
pub(super) struct BaseAndUpdate<'a> {
    pub(super) base: &'a [f32],
    pub(super) tuned: &'a [f32],
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
}

impl BaseAndUpdate<'_> {
    /// ‖UₖᵀΔ‖²/‖Δ‖² and ‖ΔVₖ‖²/‖Δ‖² with Uₖ and Vₖ the `k` leading left and right singular vectors of the base; `None`
    /// when there is no update or no base. Fewer directions where the base has a lower rank.
    ///
    /// The vectors of the shorter side come from the eigenvectors of its Gram matrix in f64, which is exact for the leading
    /// ones; those of the other side from one product with them.
    pub(super) fn energy_in_top(&self, k: usize) -> Option<[f64; 2]> {
        let (height, width) = (self.n_rows.max(self.n_cols), self.n_rows.min(self.n_cols));
        let blocks = || (0..height).step_by(BLOCK).map(|start| start..height.min(start + BLOCK));
        let mut gram = Mat::<f64>::zeros(width, width);
        let mut energy = 0.0;
        for rows in blocks() {
            let base = self.block(rows.clone(), |base, _| base);
            matmul(gram.as_mut(), Accum::Add, base.transpose(), base.as_ref(), 1.0, Par::Seq);
            energy += squares(self.block(rows, |base, tuned| tuned - base).as_ref());
        }
        let (directions, values) = leading_eigenvectors(gram.as_ref(), k)?;
        if energy == 0.0 {
            return None;
        }
        let n_directions = directions.ncols();
        let mut short_side = 0.0; // ‖ΔV‖² in this orientation
        let mut projected = Mat::<f64>::zeros(n_directions, width); // UᵀΔ
        for rows in blocks() {
            let base = self.block(rows.clone(), |base, _| base);
            let update = self.block(rows, |base, tuned| tuned - base);
            short_side += squares((&update * &directions).as_ref());
            let mut left = &base * &directions; // U times the singular values
            for (column, value) in values.iter().enumerate() {
                left.col_mut(column).iter_mut().for_each(|entry| *entry /= value.sqrt());
            }
            matmul(projected.as_mut(), Accum::Add, left.transpose(), update.as_ref(), 1.0, Par::Seq);
        }
        let (of_long, of_short) = (squares(projected.as_ref()) / energy, short_side / energy);
        // Rows are the left side of a tall matrix, and the right side of a wide one.
        Some(if self.n_rows >= self.n_cols { [of_long, of_short] } else { [of_short, of_long] })
    }

    /// Some rows of the tall orientation, as `f` of base and tuned weight.
    fn block(&self, rows: Range<usize>, f: impl Fn(f64, f64) -> f64) -> Mat<f64> {
        let (row_stride, col_stride) =
            if self.n_rows >= self.n_cols { (self.n_cols, 1) } else { (1, self.n_cols) };
        Mat::from_fn(rows.len(), self.n_rows.min(self.n_cols), |row, col| {
            let at = (rows.start + row) * row_stride + col * col_stride;
            f(f64::from(self.base[at]), f64::from(self.tuned[at]))
        })
    }
}

/// At most `k` eigenvectors as columns with their values, descending; `None` for the zero matrix.
fn leading_eigenvectors(gram: MatRef<'_, f64>, k: usize) -> Option<(Mat<f64>, Vec<f64>)> {
    let n = gram.nrows();
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let (mut values, mut vectors) = (Diag::zeros(n), Mat::zeros(n, n));
    let (spectrum, columns) = (values.as_mut(), Some(vectors.as_mut()));
    self_adjoint_evd(gram, spectrum, columns, Par::Seq, stack, Default::default())
        .expect("the QR iteration converges on a finite Gram matrix");
    let values = values.column_vector(); // ascending
    let largest = values[n - 1];
    let kept: Vec<usize> =
        (0..n).rev().take(k).filter(|&idx| values[idx] > LEAST_SHARE * LEAST_SHARE * largest).collect();
    if kept.is_empty() || largest <= 0.0 {
        return None;
    }
    let directions = Mat::from_fn(n, kept.len(), |row, col| vectors[(row, kept[col])]);
    Some((directions, kept.iter().map(|&idx| values[idx]).collect()))
}

fn squares(matrix: MatRef<'_, f64>) -> f64 {
    (0..matrix.ncols()).map(|col| matrix.col(col).iter().map(|value| value * value).sum::<f64>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Diagonal base; the update is what the test says.
    fn energy(
        n_rows: usize,
        n_cols: usize,
        update: impl Fn(usize, usize) -> f32,
        k: usize,
    ) -> Option<[f64; 2]> {
        let entries = || (0..n_rows).flat_map(|row| (0..n_cols).map(move |col| (row, col)));
        let base: Vec<f32> =
            entries().map(|(row, col)| if row == col { (10 - row) as f32 } else { 0.0 }).collect();
        let tuned: Vec<f32> =
            entries().zip(&base).map(|((row, col), base)| base + update(row, col)).collect();
        BaseAndUpdate { base: &base, tuned: &tuned, n_rows, n_cols }.energy_in_top(k)
    }

    #[test]
    fn left_and_right_are_those_of_the_stored_matrix() {
        for (n_rows, n_cols) in [(7, 5), (5, 7), (5, 5)] {
            // Row 0 lies along the leading left direction; column 3 along the fourth right one.
            let found = energy(n_rows, n_cols, |row, col| f32::from(row == 0 && col == 3), 2).unwrap();
            assert!((found[0] - 1.0).abs() < 1e-12 && found[1].abs() < 1e-12, "{n_rows}x{n_cols}: {found:?}");
            let found = energy(n_rows, n_cols, |row, col| f32::from(row == 4 && col < 2), 1).unwrap();
            assert!(found[0].abs() < 1e-12 && (found[1] - 0.5).abs() < 1e-12, "{n_rows}x{n_cols}: {found:?}");
        }
    }

    #[test]
    fn all_directions_hold_all_of_a_square_update() {
        let found = energy(6, 6, |row, col| (row * 5 + col) as f32, 100).unwrap();
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn no_update_and_no_base_have_no_share() {
        assert_eq!(energy(4, 3, |_, _| 0.0, 2), None);
        let zeros = [0.0; 6];
        let pair = BaseAndUpdate { base: &zeros, tuned: &[1.0; 6], n_rows: 2, n_cols: 3 };
        assert_eq!(pair.energy_in_top(2), None);
    }
}
