//! Products that are added to what is there.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// `sums += left · right`, a share of the rows per thread.
///
/// # Shapes
/// - `left`: `[N, M]`
/// - `right`: `[M, D]`
/// - `sums`: `[N, D]`
pub(crate) fn add_product(left: &[f32], right: &[f32], width: usize, sums: &mut [f32]) {
    let (n, m) = (sums.len() / width, right.len() / width);
    let right = MatRef::from_row_major_slice(right, m, width);
    let rows = n.div_ceil(rayon::current_num_threads()).max(1);
    left.par_chunks(rows * m).zip(sums.par_chunks_mut(rows * width)).for_each(|(left, sums)| {
        let n = left.len() / m;
        let sums = MatMut::from_row_major_slice_mut(sums, n, width);
        matmul(sums, Accum::Add, MatRef::from_row_major_slice(left, n, m), right, 1.0, Par::Seq);
    });
}

/// `sums += leftᵀ · right`, a share of the sums per thread.
///
/// # Shapes
/// - `left`: `[N, M]`
/// - `right`: `[N, D]`
/// - `sums`: `[M, D]`
pub(crate) fn add_transposed_product(left: &[f32], right: &[f32], width: usize, sums: &mut [f32]) {
    let (m, n) = (sums.len() / width, right.len() / width);
    let left = MatRef::from_row_major_slice(left, n, m);
    let right = MatRef::from_row_major_slice(right, n, width);
    let rows = m.div_ceil(rayon::current_num_threads()).max(1);
    sums.par_chunks_mut(rows * width).enumerate().for_each(|(idx, sums)| {
        let here = sums.len() / width;
        let left = left.subcols(idx * rows, here).transpose();
        matmul(MatMut::from_row_major_slice_mut(sums, here, width), Accum::Add, left, right, 1.0, Par::Seq);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_added_to_what_was_there() {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [2, 3]
        let mut sums = [10.0; 4];
        add_product(&left, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2, &mut sums);
        assert_eq!(sums, [14.0, 15.0, 20.0, 21.0]);
        let mut sums = [1.0; 3];
        add_transposed_product(&left, &[2.0, -1.0], 1, &mut sums);
        assert_eq!(sums, [-1.0, 0.0, 1.0]);
    }
}
