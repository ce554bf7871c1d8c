//! Spectral norm and rank of a weight update.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand::Rng;
use razor_core::Seed;

use crate::error::MetricsError;
use crate::weight_change::check_pair;

/// Relative error allowed in the squared spectral norm; the norm itself is then within 1e-8.
const SQUARED_NORM_TOLERANCE: f64 = 2e-8;
/// Lanczos steps between two looks at the error bound.
const STEPS_PER_CHECK: usize = 4;

/// The change ΔW of one weight matrix, in f64, single-threaded.
///
/// Paper: arXiv 2509.04259, Table 1 ("weight change, spectral norm", "rank of update"). Our choice for a whole
/// network: the sum of [`WeightUpdate::spectral_norm`] over its weight matrices, biases left out.
///
/// ```
/// use razor_metrics::{WeightUpdate, numerical_rank};
///
/// let update = WeightUpdate::between(&[1.0, 1.0, 1.0, 1.0], &[4.0, 1.0, 1.0, 5.0], 2, 2)?;
/// assert!((update.spectral_norm() - 4.0).abs() < 1e-12);
/// assert_eq!(numerical_rank(&update.singular_values()?, 1e-6), 2);
/// # Ok::<(), razor_metrics::MetricsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WeightUpdate {
    /// ΔW or its transpose, whichever has no more columns than rows.
    tall: Mat<f64>,
}

impl WeightUpdate {
    /// The update `after` − `before` of a matrix in row-major order.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for a diverged weight.
    ///
    /// # Panics
    /// When a slice does not hold `n_rows` x `n_cols` values.
    pub fn between(
        before: &[f32],
        after: &[f32],
        n_rows: usize,
        n_cols: usize,
    ) -> Result<Self, MetricsError> {
        assert_eq!(before.len(), n_rows * n_cols, "{} weights for {n_rows}x{n_cols}", before.len());
        check_pair(before, after)?;
        let (row_stride, col_stride) = if n_rows >= n_cols { (n_cols, 1) } else { (1, n_cols) };
        let tall = Mat::from_fn(n_rows.max(n_cols), n_rows.min(n_cols), |row, col| {
            let idx = row * row_stride + col * col_stride;
            f64::from(after[idx]) - f64::from(before[idx])
        });
        Ok(Self { tall })
    }

    /// The largest singular value, to a relative 1e-6 or better; 0 for no change.
    ///
    /// Lanczos on ΔWᵀΔW with full reorthogonalization from a fixed pseudorandom start, so equal updates give equal
    /// bits. It stops when the residual bound of the largest Ritz value, min(r, r²/gap), is small enough, or when
    /// the Krylov space is exhausted, where the value is exact.
    pub fn spectral_norm(&self) -> f64 {
        let n = self.tall.ncols();
        let mut lanczos = Lanczos::new(self.tall.as_ref());
        for step in 1..=n {
            let exhausted = lanczos.step() || step == n;
            if exhausted || step % STEPS_PER_CHECK == 0 {
                let (largest, error) = lanczos.largest_ritz_value();
                if exhausted || error <= SQUARED_NORM_TOLERANCE * largest {
                    return largest.max(0.0).sqrt();
                }
            }
        }
        0.0 // a matrix without columns
    }

    /// All singular values, descending.
    ///
    /// # Errors
    /// [`MetricsError::NoConvergence`], which finite input has not been seen to cause.
    pub fn singular_values(&self) -> Result<Vec<f64>, MetricsError> {
        let (n_rows, n_cols) = self.tall.shape();
        let no_vectors = ComputeSvdVectors::No;
        let scratch =
            svd_scratch::<f64>(n_rows, n_cols, no_vectors, no_vectors, Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        let mut values = Diag::zeros(n_cols);
        svd(self.tall.as_ref(), values.as_mut(), None, None, Par::Seq, stack, Default::default())
            .map_err(|_| MetricsError::NoConvergence { n_rows, n_cols })?;
        Ok(values.column_vector().iter().copied().collect())
    }
}

/// Singular values above `relative_tolerance` times the largest; 0 for the zero matrix.
///
/// Paper: arXiv 2509.04259, section 6, finds updates of full rank for every algorithm; our gate uses 1e-6.
pub fn numerical_rank(singular_values: &[f64], relative_tolerance: f64) -> usize {
    let largest = singular_values.iter().copied().fold(0.0, f64::max);
    singular_values.iter().filter(|&&value| value > relative_tolerance * largest).count()
}

/// A Krylov basis of AᵀA and the tridiagonal matrix of AᵀA in it.
struct Lanczos<'a> {
    matrix: MatRef<'a, f64>,
    /// Orthonormal vectors, one after another; the last one is where the next step starts.
    basis: Vec<f64>,
    diagonal: Vec<f64>,
    off_diagonal: Vec<f64>,
    image: Vec<f64>,
}

impl<'a> Lanczos<'a> {
    fn new(matrix: MatRef<'a, f64>) -> Self {
        // A random start has a part along the leading singular vector, which no fixed pattern guarantees.
        let mut rng = Seed::new(0).derive("spectral norm", 0).rng();
        let mut basis: Vec<f64> = (0..matrix.ncols()).map(|_| rng.random::<f64>() - 0.5).collect();
        let norm = basis.iter().map(|value| value * value).sum::<f64>().sqrt();
        basis.iter_mut().for_each(|value| *value /= norm);
        let image = vec![0.0; matrix.nrows()];
        Self { matrix, basis, diagonal: Vec::new(), off_diagonal: Vec::new(), image }
    }

    /// One more basis vector; true when the space is exhausted, so that there is none.
    fn step(&mut self) -> bool {
        let (n_rows, n) = self.matrix.shape();
        let last = MatRef::from_column_major_slice(&self.basis[self.basis.len() - n..], n, 1);
        let mut image = MatMut::from_column_major_slice_mut(&mut self.image, n_rows, 1);
        matmul(image.as_mut(), Accum::Replace, self.matrix, last, 1.0, Par::Seq);
        self.diagonal.push(image.squared_norm_l2()); // vᵀAᵀAv
        let mut next = Mat::<f64>::zeros(n, 1);
        matmul(next.as_mut(), Accum::Replace, self.matrix.transpose(), image.as_ref(), 1.0, Par::Seq);

        let basis = MatRef::from_column_major_slice(&self.basis, n, self.diagonal.len());
        for _ in 0..2 {
            // Twice is enough: the second pass removes what rounding left of the first.
            let overlap = basis.transpose() * &next;
            matmul(next.as_mut(), Accum::Add, basis, overlap.as_ref(), -1.0, Par::Seq);
        }
        let norm = next.norm_l2();
        self.off_diagonal.push(norm);
        let size = self.diagonal.iter().copied().fold(0.0, f64::max);
        if norm <= 1e-14 * size {
            return true;
        }
        self.basis.extend(next.col(0).iter().map(|value| value / norm));
        false
    }

    /// The largest Ritz value and a bound on its distance to the largest eigenvalue of AᵀA.
    fn largest_ritz_value(&self) -> (f64, f64) {
        let k = self.diagonal.len();
        let tridiagonal = Mat::from_fn(k, k, |row, col| match row.abs_diff(col) {
            0 => self.diagonal[row],
            1 => self.off_diagonal[row.min(col)],
            _ => 0.0,
        });
        let scratch =
            self_adjoint_evd_scratch::<f64>(k, ComputeEigenvectors::Yes, Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        let (mut values, mut vectors) = (Diag::zeros(k), Mat::zeros(k, k));
        let (spectrum, ritz) = (values.as_mut(), Some(vectors.as_mut()));
        self_adjoint_evd(tridiagonal.as_ref(), spectrum, ritz, Par::Seq, stack, Default::default())
            .expect("the QR iteration converges on a finite tridiagonal matrix");

        let values = values.column_vector(); // ascending
        let residual = self.off_diagonal[k - 1] * vectors[(k - 1, k - 1)].abs();
        let gap = if k > 1 { values[k - 1] - values[k - 2] } else { 0.0 };
        let error = if gap > residual { residual * residual / gap } else { residual };
        (values[k - 1], error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(values: &[f32], n_rows: usize, n_cols: usize) -> WeightUpdate {
        WeightUpdate::between(&vec![0.0; values.len()], values, n_rows, n_cols).unwrap()
    }

    fn noise(n_rows: usize, n_cols: usize, scale: f32, seed: u64) -> Vec<f32> {
        let mut rng = Seed::new(seed).rng();
        (0..n_rows * n_cols).map(|_| scale * (rng.random::<f32>() - 0.5)).collect()
    }

    fn assert_norm_is_first_singular_value(update: &WeightUpdate, what: &str) {
        let (norm, first) = (update.spectral_norm(), update.singular_values().unwrap()[0]);
        assert!((norm - first).abs() <= 1e-6 * first, "{what}: {norm} against {first}");
    }

    #[test]
    fn the_iteration_agrees_with_the_full_decomposition() {
        // Noise is the hard case: its leading singular values crowd together.
        for (n_rows, n_cols) in [(1, 1), (1, 7), (7, 1), (5, 5), (40, 90), (90, 40), (300, 200)] {
            for seed in 0..3 {
                let update = update(&noise(n_rows, n_cols, 1.0, seed), n_rows, n_cols);
                assert_norm_is_first_singular_value(&update, &format!("{n_rows}x{n_cols} seed {seed}"));
            }
        }
    }

    #[test]
    fn equal_leading_values_do_not_stop_the_iteration_early() {
        let n = 60;
        let diagonal = |idx: usize| {
            if idx < 2 { 1.0 } else { 0.999_9 - 0.001 * idx as f32 }
        };
        let values: Vec<f32> =
            (0..n * n).map(|at| if at / n == at % n { diagonal(at / n) } else { 0.0 }).collect();
        assert_norm_is_first_singular_value(&update(&values, n, n), "two leading ones");
    }

    #[test]
    fn no_change_has_norm_and_rank_zero() {
        let weights = noise(30, 20, 1.0, 0);
        let same = WeightUpdate::between(&weights, &weights, 30, 20).unwrap();
        assert_eq!(same.spectral_norm(), 0.0);
        assert_eq!(numerical_rank(&same.singular_values().unwrap(), 1e-6), 0);
    }

    #[test]
    fn an_outer_product_has_rank_one_and_the_product_of_the_norms() {
        let (left, right) = (noise(50, 1, 1.0, 1), noise(1, 30, 1.0, 2));
        let values: Vec<f32> = left.iter().flat_map(|l| right.iter().map(move |r| l * r)).collect();
        let update = update(&values, 50, 30);
        let norm = |v: &[f32]| v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let expected = norm(&left) * norm(&right);
        assert!((update.spectral_norm() - expected).abs() < 1e-6 * expected); // f32 products round
        assert_eq!(numerical_rank(&update.singular_values().unwrap(), 1e-6), 1);
    }

    #[test]
    fn tiny_and_huge_updates_keep_their_digits() {
        let base = update(&noise(20, 10, 1.0, 3), 20, 10).spectral_norm();
        for scale in [1e-30_f32, 1e30] {
            let scaled = update(&noise(20, 10, scale, 3), 20, 10);
            assert!((scaled.spectral_norm() / (base * f64::from(scale)) - 1.0).abs() < 1e-6);
            assert_eq!(numerical_rank(&scaled.singular_values().unwrap(), 1e-6), 10);
        }
    }

    #[test]
    fn equal_updates_give_equal_bits() {
        let values = noise(70, 50, 1.0, 4);
        let norms = [0, 1].map(|_| update(&values, 70, 50).spectral_norm().to_bits());
        assert_eq!(norms[0], norms[1]);
    }
}
