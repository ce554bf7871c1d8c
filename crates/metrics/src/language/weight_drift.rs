//! How far the weights of a language model moved, tensor by tensor.

use serde::Serialize;

use crate::error::MetricsError;
use crate::language::top_directions::BaseAndUpdate;
use crate::spectrum::{WeightUpdate, numerical_rank};
use crate::weight_change::{WeightChange, fisher_weighted_change};

/// Singular values of an update above this share of its largest count for its rank.
const RANK_TOLERANCE: f64 = 1e-6;

/// How much is computed of each matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftOptions {
    /// Leading singular directions of the base in which the energy of the update is looked for (k); at least 1.
    pub n_directions: usize,
    /// Matrices with more rows and more columns than this get neither rank nor energy; `None` leaves no matrix out.
    pub svd_limit: Option<usize>,
}

/// The change of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorDrift {
    /// Name in the checkpoint.
    pub name: String,
    /// Shape in the checkpoint.
    pub shape: Vec<usize>,
    /// L1 per weight and the shares of unchanged weights.
    #[serde(flatten)]
    pub change: WeightChange,
    /// ‖Δ‖₂ over all entries.
    pub l2: f64,
    /// ‖base‖₂ over all entries.
    pub base_l2: f64,
    /// Σ F Δθ², where a Fisher was given.
    pub fisher_weighted: Option<f64>,
    /// For a tensor of two dimensions.
    pub matrix: Option<MatrixDrift>,
}

/// What only a matrix has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MatrixDrift {
    /// σ_max(Δ), to a relative 1e-6 or better; see [`WeightUpdate::spectral_norm`].
    pub spectral_norm: f64,
    /// Singular values of Δ above 1e-6 of the largest; `None` above the size limit.
    pub rank: Option<usize>,
    /// The shorter side: the largest possible rank.
    pub full_rank: usize,
    /// ‖UₖᵀΔ‖²/‖Δ‖² with the k leading left singular vectors of the base (its outputs); `None` above the size limit, and
    /// where nothing changed.
    pub left_energy: Option<f64>,
    /// ‖ΔVₖ‖²/‖Δ‖² with the right ones (its inputs).
    pub right_energy: Option<f64>,
    /// Whether rank and energy were left out for the matrix's size.
    pub is_too_large: bool,
}

impl TensorDrift {
    /// Compares one tensor before and after, row-major; `fisher` has one value per weight.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for a diverged weight or Fisher value, [`MetricsError::TooFewDistinct`] for a tensor
    /// without weights, [`MetricsError::NoConvergence`] when a decomposition fails.
    ///
    /// # Panics
    /// When a slice does not hold as many values as the shape has places.
    pub fn between(
        name: &str,
        shape: &[usize],
        before: &[f32],
        after: &[f32],
        fisher: Option<&[f32]>,
        options: DriftOptions,
    ) -> Result<Self, MetricsError> {
        assert_eq!(before.len(), shape.iter().product::<usize>(), "{name}: {} weights", before.len());
        let change = WeightChange::between([(before, after)])?;
        let moved = before.iter().zip(after).map(|(&before, &after)| f64::from(after) - f64::from(before));
        let l2 = moved.map(|delta| delta * delta).sum::<f64>().sqrt();
        let fisher_weighted =
            fisher.map(|fisher| fisher_weighted_change(fisher, before, after)).transpose()?;
        let matrix = match *shape {
            [n_rows, n_cols] => Some(MatrixDrift::between(
                &BaseAndUpdate { base: before, tuned: after, n_rows, n_cols },
                options,
            )?),
            _ => None,
        };
        Ok(Self {
            name: name.to_owned(),
            shape: shape.to_vec(),
            change,
            l2,
            base_l2: before.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt(),
            fisher_weighted,
            matrix,
        })
    }
}

impl MatrixDrift {
    fn between(pair: &BaseAndUpdate<'_>, options: DriftOptions) -> Result<Self, MetricsError> {
        let full_rank = pair.n_rows.min(pair.n_cols);
        let is_too_large = options.svd_limit.is_some_and(|limit| full_rank > limit);
        let unchanged = Self {
            spectral_norm: 0.0,
            rank: (!is_too_large).then_some(0),
            full_rank,
            left_energy: None,
            right_energy: None,
            is_too_large,
        };
        if pair.base == pair.tuned {
            return Ok(unchanged);
        }
        let update = WeightUpdate::between(pair.base, pair.tuned, pair.n_rows, pair.n_cols)?;
        let spectral_norm = update.spectral_norm();
        if is_too_large {
            return Ok(Self { spectral_norm, ..unchanged });
        }
        let rank = numerical_rank(&update.singular_values()?, RANK_TOLERANCE);
        drop(update); // an f64 copy
        let energy = pair.energy_in_top(options.n_directions);
        Ok(Self {
            spectral_norm,
            rank: Some(rank),
            left_energy: energy.map(|[left, _]| left),
            right_energy: energy.map(|[_, right]| right),
            ..unchanged
        })
    }
}

/// The change of a whole model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightDrift {
    /// L1 per weight and the shares of unchanged weights, every weight counting alike.
    #[serde(flatten)]
    pub change: WeightChange,
    /// ‖Δθ‖₂.
    pub l2: f64,
    /// ‖Δθ‖₂ / ‖θ₀‖₂; `None` when every weight of the base is 0.
    pub relative_l2: Option<f64>,
    /// Σ F Δθ²; `None` without a Fisher.
    pub fisher_weighted: Option<f64>,
    /// Σ σ_max(ΔW) over the weight matrices, embeddings included (as the study of the toy task has it).
    pub spectral_norm_sum: f64,
    /// Σ rank over Σ full rank, over the matrices whose rank was computed and that changed; `None` where there is none.
    pub rank_share: Option<f64>,
    /// Share of the energy ‖Δ‖² of the changed matrices that lies in the leading left singular directions of each base
    /// matrix; over those where it was computed.
    pub left_energy: Option<f64>,
    /// The same for the right directions.
    pub right_energy: Option<f64>,
    /// k
    pub n_directions: usize,
    /// Matrices without rank and energy, for their size.
    pub too_large: Vec<String>,
}

impl WeightDrift {
    /// Adds up tensors.
    ///
    /// # Errors
    /// [`MetricsError::TooFewDistinct`] when there is no tensor.
    pub fn over(tensors: &[TensorDrift], options: DriftOptions) -> Result<Self, MetricsError> {
        if tensors.is_empty() {
            return Err(MetricsError::TooFewDistinct { what: "tensor", needed: 1, found: 0 });
        }
        let n_weights: usize = tensors.iter().map(|tensor| tensor.change.n_weights).sum();
        let mean = |of: fn(&WeightChange) -> f64| {
            let sum = tensors.iter().map(|tensor| of(&tensor.change) * tensor.change.n_weights as f64);
            sum.sum::<f64>() / n_weights as f64
        };
        let norm =
            |of: fn(&TensorDrift) -> f64| tensors.iter().map(|tensor| of(tensor).powi(2)).sum::<f64>().sqrt();
        let (l2, base_l2) = (norm(|tensor| tensor.l2), norm(|tensor| tensor.base_l2));
        let matrices = || tensors.iter().filter_map(|tensor| Some((tensor, tensor.matrix?)));
        let ranked =
            || matrices().filter_map(|(tensor, matrix)| (tensor.l2 > 0.0).then_some((matrix.rank?, matrix)));
        let (rank, full_rank) =
            ranked().fold((0, 0), |(rank, full), (own, matrix)| (rank + own, full + matrix.full_rank));
        let energy = |of: fn(&MatrixDrift) -> Option<f64>| {
            let known = matrices().filter_map(|(tensor, matrix)| Some((of(&matrix)?, tensor.l2.powi(2))));
            let (inside, all) = known
                .fold((0.0, 0.0), |(inside, all), (share, energy)| (inside + share * energy, all + energy));
            (all > 0.0).then(|| inside / all)
        };
        Ok(Self {
            change: WeightChange {
                mean_abs: mean(|change| change.mean_abs),
                unchanged_f32: mean(|change| change.unchanged_f32),
                unchanged_bf16: mean(|change| change.unchanged_bf16),
                within_tolerance: mean(|change| change.within_tolerance),
                n_weights,
            },
            l2,
            relative_l2: (base_l2 > 0.0).then(|| l2 / base_l2),
            fisher_weighted: tensors.iter().map(|tensor| tensor.fisher_weighted).sum(),
            spectral_norm_sum: matrices().map(|(_, matrix)| matrix.spectral_norm).sum(),
            rank_share: (full_rank > 0).then(|| rank as f64 / full_rank as f64),
            left_energy: energy(|matrix| matrix.left_energy),
            right_energy: energy(|matrix| matrix.right_energy),
            n_directions: options.n_directions,
            too_large: matrices()
                .filter(|(_, matrix)| matrix.is_too_large)
                .map(|(tensor, _)| tensor.name.clone())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: DriftOptions = DriftOptions { n_directions: 2, svd_limit: Some(8) };

    fn drift(name: &str, shape: &[usize], before: &[f32], after: &[f32]) -> TensorDrift {
        TensorDrift::between(name, shape, before, after, None, OPTIONS).unwrap()
    }

    #[test]
    fn a_model_has_not_moved_from_itself() {
        let weights: Vec<f32> = (0..12).map(|idx| idx as f32 - 5.5).collect();
        let tensors = [drift("w", &[3, 4], &weights, &weights), drift("b", &[12], &weights, &weights)];
        let whole = WeightDrift::over(&tensors, OPTIONS).unwrap();
        let zero = [whole.change.mean_abs, whole.l2, whole.relative_l2.unwrap(), whole.spectral_norm_sum];
        assert_eq!(zero, [0.0; 4]);
        let same = [whole.change.unchanged_f32, whole.change.unchanged_bf16, whole.change.within_tolerance];
        assert_eq!(same, [1.0; 3]);
        assert_eq!(tensors[0].matrix.unwrap().rank, Some(0));
        assert_eq!((whole.left_energy, whole.rank_share, whole.fisher_weighted), (None, None, None));
    }

    #[test]
    fn every_weight_counts_alike_whatever_tensor_it_is_in() {
        let tensors = [drift("a", &[1], &[3.0], &[4.0]), drift("b", &[3], &[0.0; 3], &[0.0; 3])];
        let whole = WeightDrift::over(&tensors, OPTIONS).unwrap();
        assert_eq!((whole.change.mean_abs, whole.change.unchanged_f32), (0.25, 0.75));
        assert_eq!((whole.l2, whole.relative_l2), (1.0, Some(1.0 / 3.0)));
    }

    #[test]
    fn a_matrix_above_the_limit_is_named_and_keeps_its_norm() {
        let before = vec![0.5; 90];
        let mut after = before.clone();
        after[7] = 2.5;
        let tensors =
            [drift("big", &[9, 10], &before, &after), drift("flat", &[8, 10], &[0.0; 80], &[0.0; 80])];
        let whole = WeightDrift::over(&tensors, OPTIONS).unwrap();
        assert_eq!(whole.too_large, ["big"]);
        assert!((whole.spectral_norm_sum - 2.0).abs() < 1e-9);
        assert_eq!((whole.rank_share, whole.left_energy), (None, None));
        let all = DriftOptions { svd_limit: None, ..OPTIONS };
        let full = TensorDrift::between("big", &[9, 10], &before, &after, None, all).unwrap();
        assert_eq!(full.matrix.unwrap().rank, Some(1));
    }

    #[test]
    fn a_fisher_weighs_squared_changes() {
        let weighted =
            TensorDrift::between("w", &[2], &[1.0, 1.0], &[2.0, -1.0], Some(&[2.0, 0.5]), OPTIONS).unwrap();
        let whole = WeightDrift::over(&[weighted], OPTIONS).unwrap();
        assert_eq!(whole.fisher_weighted, Some(4.0));
    }
}
