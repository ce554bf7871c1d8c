//! Does the tuned policy still arrange inputs as the reference did?

use std::cmp::Ordering;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, check_finite};

/// Rows of the kernel held at once: 64 rows of 2,000 f32 stay in a core's second-level cache.
const ROWS_PER_BLOCK: usize = 64;

/// Similarity of two representations of the same inputs; both are 1 for equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RepresentationSimilarity {
    /// Linear CKA over all pairs of inputs, in \[0, 1\].
    pub cka: f64,
    /// CKA restricted to mutual nearest neighbours, in \[-1, 1\].
    pub cknna: f64,
}

/// The reference's features of N probe inputs, with all that later comparisons need worked out once.
///
/// Paper: arXiv 2509.04259, appendices B.4 and C.1 (0.94 for RL, 0.56 for SFT at matched new-task score), after the
/// public description of CKNNA by Huh et al., arXiv 2405.07987. With features X and Y and H the centring matrix:
///
/// - kernels K̄ = HXXᵀH and L̄ = HYYᵀH (linear, centred; biased, that is, plain sums);
/// - ⟨K̄, L̄⟩_α = Σ K̄ᵢⱼ·L̄ᵢⱼ over ordered pairs i ≠ j where j is among the k nearest neighbours of i in *both*
///   spaces ("mutual" refers to the two spaces; i need not be a neighbour of j);
/// - CKNNA = ⟨K̄, L̄⟩_α / √(⟨K̄, K̄⟩_α·⟨L̄, L̄⟩_α), where each term has the α of its own two kernels, so ⟨K̄, K̄⟩_α runs over
///   all neighbours in X. Lost neighbours therefore lower the value, as they should.
/// - CKA is the same ratio with α = 1 for all pairs, i = j included.
///
/// Neighbours are the k inputs with the largest *centred* kernel value, the input itself excluded, the lower index
/// first among equals. Huh et al. rank by the raw inner product of features scaled to unit length and centre inside an
/// unbiased HSIC; we neither scale rows nor debias. So both figures ignore rotations, one common scale and a
/// constant offset of the features. A representation that is constant over the probe aligns with nothing: both
/// figures are 0.
///
/// Works in f32 (the values of CKA move by about 1e-6), single-threaded; N x N kernels are never held whole.
#[derive(Debug, Clone)]
pub struct RepresentationProbe {
    reference: Space,
    n_samples: usize,
    n_neighbors: usize,
}

/// One representation: centred features and what its own kernel says about them.
#[derive(Debug, Clone)]
struct Space {
    features: Mat<f32>,       // [D, N], centred, largest magnitude 1
    kernel_norm: f64,         // √⟨K̄, K̄⟩ over all pairs
    neighbors: Vec<Neighbor>, // [N, k], each row ascending in index
    neighborhood_norm: f64,   // √⟨K̄, K̄⟩_α
}

#[derive(Debug, Clone, Copy)]
struct Neighbor {
    idx: usize,
    kernel: f32,
}

impl RepresentationProbe {
    /// Prepares the reference side.
    ///
    /// # Shapes
    /// - `reference`: `[N, D]` row-major, N = `n_samples`
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for NaN or an infinity.
    ///
    /// # Panics
    /// When the features are not `n_samples` full rows, or `n_neighbors` is not in `1..n_samples`.
    pub fn new(reference: &[f32], n_samples: usize, n_neighbors: usize) -> Result<Self, MetricsError> {
        assert!(
            (1..n_samples).contains(&n_neighbors),
            "{n_neighbors} neighbours of {n_samples} samples: expected at least 1 and fewer than samples"
        );
        let reference = Space::new(reference, n_samples, n_neighbors)?;
        Ok(Self { reference, n_samples, n_neighbors })
    }

    /// Compares another representation of the same inputs, in the same order, with the reference.
    ///
    /// # Shapes
    /// - `features`: `[N, D']` row-major; D' may differ from the reference's D
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for NaN or an infinity.
    ///
    /// # Panics
    /// When the features are not N full rows.
    pub fn compare(&self, features: &[f32]) -> Result<RepresentationSimilarity, MetricsError> {
        let tuned = Space::new(features, self.n_samples, self.n_neighbors)?;
        let reference = &self.reference;
        let all_pairs = cross_norm(reference.features.as_ref(), tuned.features.as_ref()).powi(2);
        let rows = reference.neighbors.chunks(self.n_neighbors).zip(tuned.neighbors.chunks(self.n_neighbors));
        let shared: f64 = rows.map(|(left, right)| shared_products(left, right)).sum();
        Ok(RepresentationSimilarity {
            cka: ratio(all_pairs, reference.kernel_norm * tuned.kernel_norm),
            cknna: ratio(shared, reference.neighborhood_norm * tuned.neighborhood_norm),
        })
    }
}

impl Space {
    fn new(features: &[f32], n_samples: usize, n_neighbors: usize) -> Result<Self, MetricsError> {
        assert!(
            features.len().is_multiple_of(n_samples),
            "{} features for {n_samples} samples: expected full rows",
            features.len()
        );
        check_finite("feature", features)?;
        let features = center(features, n_samples);
        let neighbors = nearest_neighbors(features.as_ref(), n_neighbors);
        let squares: f64 = neighbors.iter().map(|neighbor| f64::from(neighbor.kernel).powi(2)).sum();
        Ok(Self {
            kernel_norm: cross_norm(features.as_ref(), features.as_ref()),
            neighborhood_norm: squares.sqrt(),
            neighbors,
            features,
        })
    }
}

/// `[N, D]` row-major to `[D, N]` with mean 0 over N, divided by the largest magnitude (both figures ignore scale,
/// and f32 kernels then neither overflow nor vanish).
fn center(features: &[f32], n_samples: usize) -> Mat<f32> {
    let d = features.len() / n_samples;
    // Relative to the first row a constant feature is exactly 0, not the rounding noise of its mean.
    let first = &features[..d];
    let shifted = |sample: usize, dim: usize| f64::from(features[sample * d + dim]) - f64::from(first[dim]);
    let mut means = vec![0.0; d];
    for sample in 0..n_samples {
        for (dim, mean) in means.iter_mut().enumerate() {
            *mean += shifted(sample, dim) / n_samples as f64;
        }
    }
    let mut largest = 0.0_f64;
    for sample in 0..n_samples {
        for (dim, mean) in means.iter().enumerate() {
            largest = largest.max((shifted(sample, dim) - mean).abs());
        }
    }
    let scale = if largest > 0.0 { largest.recip() } else { 0.0 };
    Mat::from_fn(d, n_samples, |dim, sample| ((shifted(sample, dim) - means[dim]) * scale) as f32)
}

/// ‖XYᵀ‖_F for `[D, N]` and `[D', N]`: √⟨K̄, L̄⟩ over all pairs, without an N x N matrix.
fn cross_norm(left: MatRef<'_, f32>, right: MatRef<'_, f32>) -> f64 {
    let mut product = Mat::<f32>::zeros(left.nrows(), right.nrows());
    matmul(product.as_mut(), Accum::Replace, left, right.transpose(), 1.0, Par::Seq);
    let entries = (0..product.ncols()).flat_map(|col| product.col_as_slice(col));
    entries.map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// The `k` largest kernel values of each row but its diagonal, `[N, k]`, each row ascending in index.
fn nearest_neighbors(features: MatRef<'_, f32>, k: usize) -> Vec<Neighbor> {
    let n = features.ncols();
    let mut neighbors = Vec::with_capacity(n * k);
    let mut block = vec![0.0; ROWS_PER_BLOCK.min(n) * n];
    for start in (0..n).step_by(ROWS_PER_BLOCK) {
        let n_rows = ROWS_PER_BLOCK.min(n - start);
        let rows = features.subcols(start, n_rows);
        let kernel = MatMut::from_row_major_slice_mut(&mut block[..n_rows * n], n_rows, n);
        matmul(kernel, Accum::Replace, rows.transpose(), features, 1.0, Par::Seq);
        for (row, kernel) in block[..n_rows * n].chunks(n).enumerate() {
            let first = neighbors.len();
            neighbors.extend(largest(kernel, start + row, k));
            neighbors[first..].sort_unstable_by_key(|neighbor| neighbor.idx);
        }
    }
    neighbors
}

/// The `k` largest entries of `row` without `excluded`, descending, the lower index first among equals.
fn largest(row: &[f32], excluded: usize, k: usize) -> Vec<Neighbor> {
    let mut top: Vec<Neighbor> = Vec::with_capacity(k + 1);
    let mut smallest = f32::NEG_INFINITY;
    for (idx, &kernel) in row.iter().enumerate() {
        if kernel <= smallest || idx == excluded {
            continue;
        }
        let position = top.partition_point(|neighbor| neighbor.kernel >= kernel);
        top.insert(position, Neighbor { idx, kernel });
        top.truncate(k);
        if top.len() == k {
            smallest = top[k - 1].kernel;
        }
    }
    top
}

/// Σ K̄ᵢⱼ·L̄ᵢⱼ over the indices in both rows, which ascend.
fn shared_products(mut left: &[Neighbor], mut right: &[Neighbor]) -> f64 {
    let mut sum = 0.0;
    while let (Some((l, l_rest)), Some((r, r_rest))) = (left.split_first(), right.split_first()) {
        match l.idx.cmp(&r.idx) {
            Ordering::Less => left = l_rest,
            Ordering::Greater => right = r_rest,
            Ordering::Equal => {
                sum += f64::from(l.kernel) * f64::from(r.kernel);
                (left, right) = (l_rest, r_rest);
            }
        }
    }
    sum
}

fn ratio(shared: f64, norms: f64) -> f64 {
    // A constant representation has norm 0.
    if norms > 0.0 { (shared / norms).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use razor_core::Seed;

    use super::*;

    fn noise(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut rng = Seed::new(seed).rng();
        (0..n * d).map(|_| rng.random::<f32>() - 0.3).collect()
    }

    fn compare(left: &[f32], right: &[f32], n: usize, k: usize) -> RepresentationSimilarity {
        RepresentationProbe::new(left, n, k).unwrap().compare(right).unwrap()
    }

    #[test]
    fn equal_representations_have_similarity_one() {
        let features = noise(150, 12, 0); // more than two blocks of rows
        let same = compare(&features, &features, 150, 10);
        assert!((same.cka - 1.0).abs() < 1e-6 && (same.cknna - 1.0).abs() < 1e-6, "{same:?}");
    }

    #[test]
    fn rotation_scale_and_offset_change_nothing() {
        let (n, d) = (80, 6);
        let (features, other) = (noise(n, d, 1), noise(n, d, 2));
        // A product of plane rotations through different angles.
        let mut moved = features.clone();
        for row in moved.chunks_mut(d) {
            for (a, b) in [(0, 1), (2, 5), (1, 4), (0, 3), (3, 5)] {
                let (sin, cos) = (0.7 + 0.3 * a as f32).sin_cos();
                (row[a], row[b]) = (cos * row[a] - sin * row[b], sin * row[a] + cos * row[b]);
            }
            row.iter_mut().enumerate().for_each(|(dim, value)| *value = 37.0 * *value + dim as f32);
        }
        let (before, after) = (compare(&other, &features, n, 10), compare(&other, &moved, n, 10));
        // f32 rotations and an offset of up to 5 on values of 1 cost about 1e-6.
        assert!((before.cka - after.cka).abs() < 1e-5, "{before:?} {after:?}");
        assert!((before.cknna - after.cknna).abs() < 1e-5, "{before:?} {after:?}");
    }

    #[test]
    fn unrelated_representations_are_far_apart() {
        let unrelated = compare(&noise(200, 8, 3), &noise(200, 8, 4), 200, 10);
        // For independent features CKA is near D/N = 0.04, and 10 of 199 neighbours are shared by chance.
        assert!(unrelated.cka < 0.1, "{unrelated:?}");
        assert!(unrelated.cknna.abs() < 0.15, "{unrelated:?}");
    }

    #[test]
    fn shuffled_neighbourhoods_lower_cknna_more_than_cka() {
        // Two distant clusters keep CKA high; inside each, the neighbours are new.
        let (n, d) = (100, 4);
        let cluster = |seed| {
            let mut features = noise(n, d, seed);
            features
                .chunks_mut(d)
                .enumerate()
                .for_each(|(i, row)| row[0] += if i < n / 2 { 8.0 } else { -8.0 });
            features
        };
        let moved = compare(&cluster(5), &cluster(6), n, 10);
        assert!(moved.cka > 0.98 && moved.cknna < 0.5, "{moved:?}");
    }

    #[test]
    fn a_constant_representation_aligns_with_nothing() {
        let features = noise(20, 3, 7);
        let constant = [0.1, 1e7, -3.3].repeat(20);
        for (left, right) in [(&features, &constant), (&constant, &features), (&constant, &constant)] {
            let dead = compare(left, right, 20, 5);
            assert_eq!((dead.cka, dead.cknna), (0.0, 0.0));
        }
    }

    #[test]
    fn a_dead_unit_changes_nothing() {
        let (n, features) = (40, noise(40, 3, 8));
        let widened: Vec<f32> = features.chunks(3).flat_map(|row| [row[0], 0.1, row[1], row[2]]).collect();
        let other = noise(n, 5, 9);
        let (plain, dead) = (compare(&other, &features, n, 5), compare(&other, &widened, n, 5));
        assert!((plain.cka - dead.cka).abs() < 1e-6 && (plain.cknna - dead.cknna).abs() < 1e-6);
    }

    #[test]
    fn units_do_not_matter_up_to_the_range_of_f32() {
        let features = noise(30, 4, 10);
        for scale in [1e-30_f32, 1e36] {
            let scaled: Vec<f32> = features.iter().map(|value| value * scale).collect();
            let same = compare(&features, &scaled, 30, 5);
            assert!((same.cka - 1.0).abs() < 1e-6 && (same.cknna - 1.0).abs() < 1e-6, "{same:?}");
        }
    }
}
