//! The gradient of a tile of logits.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::divergences::Normalizer;

/// coefficient · (π − \[is target\]) plus the gradient of a KL, for a tile `[rows, words]`.
pub(super) struct LogitGradient<'a> {
    /// Of the policy, `[rows, words]`; the gradient takes their place.
    pub(super) logits: Tensor<2>,
    /// Where the targets are, if in this tile.
    pub(super) places: &'a [Option<usize>],
    /// Of the policy, per row.
    pub(super) normalizers: &'a [Normalizer],
    /// Per row.
    pub(super) coefficients: &'a [f32],
    pub(super) kl: Option<KlGradient<'a>>,
    pub(super) temperature: f32,
}

/// weight / T · (π − π₀), or weight / T · π (log π − log π₀ − KL) where the KL is given.
pub(super) struct KlGradient<'a> {
    /// Of the reference, `[rows, words]`.
    pub(super) logits: Tensor<2>,
    /// Of reference and policy, per row.
    pub(super) normalizers: &'a [(Normalizer, Normalizer)],
    /// Per row.
    pub(super) weights: &'a [f32],
    /// KL(π‖π₀) per row, for the gradient in that direction.
    pub(super) kl: Option<&'a [f64]>,
}

/// Gradient of the logits, `[rows, words]`.
pub(super) fn logit_gradient(tile: LogitGradient<'_>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::sweep::is_here(&tile.logits) {
        return super::sweep::logit_gradient(tile);
    }
    logit_gradient_by_burn(tile)
}

/// [`logit_gradient`] by operations that every backend has.
fn logit_gradient_by_burn(tile: LogitGradient<'_>) -> Tensor<2> {
    let (n_rows, device) = (tile.places.len(), tile.logits.device());
    let column = |numbers: Vec<f32>| Tensor::<2>::from_data(TensorData::new(numbers, [n_rows, 1]), &device);
    let softmax = |logits: Tensor<2>, normalizers: &[Normalizer]| {
        let max = column(normalizers.iter().map(|normalizer| normalizer.max).collect());
        let log_sum = column(normalizers.iter().map(|normalizer| normalizer.log_sum).collect());
        ((logits - max) * (1.0 / tile.temperature) - log_sum).exp() // [rows, words]
    };
    let policy = softmax(tile.logits.clone(), tile.normalizers);
    let mut gradient = policy.clone() * column(tile.coefficients.to_vec());
    if let Some(kl) = tile.kl {
        let weights = column(kl.weights.iter().map(|weight| weight / tile.temperature).collect());
        let direction = if let Some(values) = kl.kl {
            let shifts = kl.normalizers.iter().zip(values);
            let shifts =
                shifts.map(|((of_reference, of_policy), kl)| of_policy.minus(of_reference) + *kl as f32);
            let log_ratio = (tile.logits - kl.logits) * (1.0 / tile.temperature);
            policy * (log_ratio - column(shifts.collect()))
        } else {
            let of_reference: Vec<_> = kl.normalizers.iter().map(|(reference, _)| *reference).collect();
            policy - softmax(kl.logits, &of_reference)
        };
        gradient = gradient + direction * weights;
    }
    let here = tile.places.iter().zip(tile.coefficients);
    let here = here.map(|(place, coefficient)| if place.is_some() { -coefficient } else { 0.0 });
    let indices: Vec<i32> = tile.places.iter().map(|place| place.unwrap_or(0) as i32).collect();
    let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [n_rows, 1]), &device);
    gradient.scatter(1, indices, column(here.collect()), IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use super::super::scores::row_sums;
    use super::super::test_inputs::{assert_close, matrix, noise, widened};
    use super::*;

    const COEFFICIENTS: [f32; 5] = [0.2, 0.3, 0.0, 0.4, -0.1];
    const WEIGHTS: [f32; 5] = [0.5, 0.0, -0.2, 0.1, 1.0];
    const PLACES: [Option<usize>; 5] = [None, Some(0), Some(39), None, Some(7)];
    const TEMPERATURE: f32 = 0.5;

    fn host(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn normalizers(logits: &Tensor<2>) -> Vec<Normalizer> {
        row_sums(logits, &[], 0, TEMPERATURE).iter().map(Normalizer::of).collect()
    }

    /// A tile with one of three KLs: none, KL(π₀‖π), KL(π‖π₀).
    fn with_tile<T>(kind: usize, logits: &Tensor<2>, then: impl FnOnce(LogitGradient<'_>) -> T) -> T {
        let reference = logits.clone() + matrix(noise(5 * 40, 4), 5);
        let of_policy = normalizers(logits);
        let pairs: Vec<_> = normalizers(&reference).into_iter().zip(of_policy.iter().copied()).collect();
        let kl = KlGradient {
            logits: reference,
            normalizers: &pairs,
            weights: &WEIGHTS,
            kl: (kind == 2).then_some(&[0.3, 0.1, 0.0, 0.2, 0.7]),
        };
        then(LogitGradient {
            logits: logits.clone(),
            places: &PLACES,
            normalizers: &of_policy,
            coefficients: &COEFFICIENTS,
            kl: (kind > 0).then_some(kl),
            temperature: TEMPERATURE,
        })
    }

    #[test]
    fn operations_of_any_backend_give_the_same_gradient() {
        let logits = matrix(noise(5 * 40, 3), 5) * 9.0;
        for kind in [0, 1, 2] {
            let found = host(with_tile(kind, &logits, logit_gradient));
            let plain = host(with_tile(kind, &logits, logit_gradient_by_burn));
            // Two exponentials that differ by a rounding of f32, times numbers up to 2 / 0.5.
            assert_close(&found, &widened(&plain), 5e-7);
        }
    }

    #[test]
    fn a_tile_that_others_hold_is_left_as_it_is() {
        let logits = matrix(noise(5 * 40, 3), 5);
        let before = host(logits.clone());
        for kind in [0, 1, 2] {
            with_tile(kind, &logits, logit_gradient);
            assert_eq!(host(logits.clone()), before);
        }
    }
}
