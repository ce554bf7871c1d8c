//! Averages of the weights before and after fine-tuning.
//!
//! (1 − α) θ₀ + α θ. Source: WiSE-FT, arXiv 2109.01903, equation 1, which averages all weights of the model.

/// Moves fine-tuned weights back towards their start: `tuned` becomes (1 − α) · `start` + α · `tuned`.
///
/// An α of 1 leaves them, one of 0 undoes the fine-tuning exactly.
///
/// # Shapes
/// - `start`, `tuned`: the same parameter
///
/// # Panics
/// When the lengths differ.
pub fn interpolate_weights(start: &[f32], tuned: &mut [f32], alpha: f32) {
    assert_eq!(start.len(), tuned.len(), "expected the start of every value");
    for (tuned, start) in tuned.iter_mut().zip(start) {
        *tuned = (1.0 - alpha) * start + alpha * *tuned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_the_two_models() {
        let start = [0.1, -3.0];
        for (alpha, expected) in [(0.0, [0.1, -3.0]), (1.0, [0.7, 5.0]), (0.25, [0.25, -1.0])] {
            let mut tuned = [0.7, 5.0];
            interpolate_weights(&start, &mut tuned, alpha);
            assert_eq!(tuned, expected);
        }
    }
}
