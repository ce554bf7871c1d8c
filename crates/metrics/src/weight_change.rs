//! How far the weights moved, and how many of them did.

use half::bf16;
use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, check_finite};

/// Changes up to this size count as none in [`WeightChange::within_tolerance`], as in arXiv 2505.11711.
pub const UNCHANGED_TOLERANCE: f64 = 1e-5;

/// The change of all weights between two checkpoints.
///
/// Paper: arXiv 2509.04259, Table 1 ("weight change L1", "sparsity of update"). The paper's claim about sparsity is
/// that RL's small updates vanish when weights are *stored* in bf16 and that the same training in f32 changes
/// all weights, so the unchanged share is taken both ways from the same pair of f32 checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightChange {
    /// Mean of |Δθ| over all weights (L1 per weight: our choice of form, the paper gives none).
    pub mean_abs: f64,
    /// Share of weights, in \[0, 1\], whose f32 value is the same; 0 and −0 are the same.
    pub unchanged_f32: f64,
    /// Share whose value is the same after both are rounded to bf16, to nearest with ties to even.
    pub unchanged_bf16: f64,
    /// Share with |Δθ| ≤ [`UNCHANGED_TOLERANCE`].
    pub within_tolerance: f64,
    /// Number of weights.
    pub n_weights: usize,
}

impl WeightChange {
    /// Compares tensors pairwise, `(before, after)`; all weights count alike, whatever tensor they are in.
    ///
    /// # Errors
    /// [`MetricsError::NotFinite`] for a diverged weight, [`MetricsError::TooFewDistinct`] when there is none.
    ///
    /// # Panics
    /// When the two tensors of a pair differ in length.
    pub fn between<'a>(
        pairs: impl IntoIterator<Item = (&'a [f32], &'a [f32])>,
    ) -> Result<Self, MetricsError> {
        let (mut sum, mut same_f32, mut same_bf16, mut close, mut n_weights) = (0.0, 0, 0, 0, 0);
        for (before, after) in pairs {
            check_pair(before, after)?;
            n_weights += before.len();
            for (&before, &after) in before.iter().zip(after) {
                // f64: the difference of two f32 is exact, or nearly.
                let change = (f64::from(after) - f64::from(before)).abs();
                sum += change;
                same_f32 += usize::from(before == after);
                same_bf16 += usize::from(bf16::from_f32(before) == bf16::from_f32(after));
                close += usize::from(change <= UNCHANGED_TOLERANCE);
            }
        }
        if n_weights == 0 {
            return Err(MetricsError::TooFewDistinct { what: "weight", needed: 1, found: 0 });
        }
        let share = |count: usize| count as f64 / n_weights as f64;
        Ok(Self {
            mean_abs: sum / n_weights as f64,
            unchanged_f32: share(same_f32),
            unchanged_bf16: share(same_bf16),
            within_tolerance: share(close),
            n_weights,
        })
    }
}

/// Σ F·Δθ² over one tensor; add it up over tensors.
///
/// Paper: arXiv 2509.04259, Table 1 ("Fisher-weighted L2"): F is the diagonal Fisher of the base policy with the
/// expectation over *previous-task* inputs. The sum without a root is our choice of form.
///
/// # Errors
/// [`MetricsError::NotFinite`] for a diverged weight or Fisher value.
///
/// # Panics
/// When the three slices differ in length.
pub fn fisher_weighted_change(fisher: &[f32], before: &[f32], after: &[f32]) -> Result<f64, MetricsError> {
    assert_eq!(fisher.len(), before.len(), "{} Fisher values for {} weights", fisher.len(), before.len());
    check_pair(before, after)?;
    check_finite("fisher", fisher)?;
    let terms = fisher.iter().zip(before.iter().zip(after)).map(|(&fisher, (&before, &after))| {
        f64::from(fisher) * (f64::from(after) - f64::from(before)).powi(2)
    });
    Ok(terms.sum())
}

pub(crate) fn check_pair(before: &[f32], after: &[f32]) -> Result<(), MetricsError> {
    assert_eq!(before.len(), after.len(), "{} weights before, {} after", before.len(), after.len());
    check_finite("weight before", before)?;
    check_finite("weight after", after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_vanish_in_bf16_and_not_in_f32() {
        // bf16 keeps 8 bits: next to 1 its step is 2^-7, and half of it rounds away.
        let (before, after) = ([1.0, 1.0, 1.0, 0.0], [1.0 + 1e-6, 1.003, 1.005, -0.0]);
        let change = WeightChange::between([(&before[..], &after[..])]).unwrap();
        assert_eq!(change.unchanged_f32, 0.25, "only the zero");
        assert_eq!(change.unchanged_bf16, 0.75, "1.005 rounds up to 1 + 2^-7");
        assert_eq!(change.within_tolerance, 0.5);
        assert!((change.mean_abs - (1e-6 + 0.003 + 0.005) / 4.0).abs() < 1e-7); // f32 spacing at 1
    }

    #[test]
    fn every_weight_counts_alike_in_any_split() {
        let (before, after) = ([0.0_f32; 6], [1.0, 2.0, 3.0, 4.0, 0.0, 0.0]);
        let whole = WeightChange::between([(&before[..], &after[..])]).unwrap();
        let (left, right) = after.split_at(1);
        let parts = WeightChange::between([(&before[..1], left), (&before[1..], right)]).unwrap();
        assert_eq!(whole, parts);
        assert_eq!((whole.mean_abs, whole.n_weights), (10.0 / 6.0, 6));
    }

    #[test]
    fn fisher_weighs_squared_changes() {
        let sum = fisher_weighted_change(&[2.0, 0.5, 7.0], &[1.0, 1.0, 1.0], &[2.0, -1.0, 1.0]).unwrap();
        assert_eq!(sum, 2.0 + 0.5 * 4.0);
    }

    #[test]
    fn a_diverged_weight_is_named() {
        let error = WeightChange::between([(&[0.0, 1.0][..], &[0.0, f32::NAN][..])]).unwrap_err();
        assert_eq!(error.to_string(), "weight after[1] is NaN, expected a finite number");
        assert!(fisher_weighted_change(&[f32::INFINITY], &[0.0], &[0.0]).is_err());
    }
}
