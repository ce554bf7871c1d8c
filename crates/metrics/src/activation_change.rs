//! How far hidden activations have moved.

use serde::{Deserialize, Serialize};

/// Mean change of hidden activations, averaged over samples and then over layers.
///
/// Table 1 of arXiv 2509.04259 has "activation change" without saying where it is measured or how it is normalized;
/// we take the output of every ReLU and divide by its width, so that layers of different width count the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActivationChange {
    /// Mean over samples of mean |Δh|.
    pub l1: f64,
    /// Mean over samples of the root mean square of Δh.
    pub l2: f64,
}

/// Running sums of one layer.
#[derive(Debug, Clone, Default)]
pub struct ActivationChangeSums {
    l1: f64,
    l2: f64,
    n_samples: usize,
}

impl ActivationChangeSums {
    /// Adds samples.
    ///
    /// # Shapes
    /// - `reference`, `policy`: `[B, width]` row by row, the same samples
    ///
    /// # Panics
    /// When the lengths differ or are not made of whole rows.
    pub fn add(&mut self, reference: &[f32], policy: &[f32], width: usize) {
        assert_eq!(reference.len(), policy.len(), "reference and policy saw the same samples");
        assert_eq!(policy.len() % width, 0, "{} values are no rows of {width}", policy.len());
        for (before, after) in reference.chunks_exact(width).zip(policy.chunks_exact(width)) {
            let (absolute, squared) = sums(before, after);
            self.l1 += absolute / width as f64;
            self.l2 += (squared / width as f64).sqrt();
            self.n_samples += 1;
        }
    }

    /// Mean over samples and layers.
    ///
    /// # Panics
    /// When there is no layer, or a layer without samples.
    pub fn mean(layers: &[Self]) -> ActivationChange {
        assert!(layers.iter().all(|layer| layer.n_samples > 0) && !layers.is_empty(), "nothing was measured");
        let mean = |sum: fn(&Self) -> f64| {
            layers.iter().map(|layer| sum(layer) / layer.n_samples as f64).sum::<f64>() / layers.len() as f64
        };
        ActivationChange { l1: mean(|layer| layer.l1), l2: mean(|layer| layer.l2) }
    }
}

/// Σ|Δ| and Σ Δ² of one row, in eight running sums each so that the compiler can use vector registers.
fn sums(before: &[f32], after: &[f32]) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut absolute, mut squared) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for (before, after) in before.chunks(LANES).zip(after.chunks(LANES)) {
        for (lane, (before, after)) in before.iter().zip(after).enumerate() {
            let change = after - before;
            absolute[lane] += change.abs();
            squared[lane] += change * change;
        }
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
    (total(absolute), total(squared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_different_width_count_the_same() {
        let mut wide = ActivationChangeSums::default();
        wide.add(&[0.0; 20], &[3.0; 20], 10); // two samples, every unit moved by 3
        let mut narrow = ActivationChangeSums::default();
        narrow.add(&[1.0, 1.0], &[1.0, 0.0], 2); // one sample, one of two units moved by 1
        let change = ActivationChangeSums::mean(&[wide, narrow]);
        assert!((change.l1 - (3.0 + 0.5) / 2.0).abs() < 1e-12, "{change:?}");
        assert!((change.l2 - (3.0 + 0.5_f64.sqrt()) / 2.0).abs() < 1e-12, "{change:?}");
    }
}
