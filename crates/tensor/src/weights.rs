//! Probabilities before they are divided by their sum.

use crate::simd_exp::exp_f32;
use crate::vectorized::vectorized;

/// exp((logit - max) / temperature) for each logit of one row, on the host.
///
/// A row of 150,000 words is exponentiated once for every drawn token; this is that loop, vectorized. The relative error
/// is below 2e-7, and powers below exp(-87) are 0.
///
/// # Shapes
/// - `logits`: `[V]`, `max` the largest of them
/// - returns: `[V]`, 1 for the largest
pub fn unnormalized_probs(logits: &[f32], max: f32, temperature: f32) -> Vec<f32> {
    let mut probs = logits.to_vec();
    let scale = 1.0 / temperature;
    vectorized(
        #[inline(always)]
        || {
            for prob in &mut probs {
                *prob = exp_f32((*prob - max) * scale);
            }
        },
    );
    probs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_equal_the_exponential_in_f64() {
        let logits = [3.0, -1.5, 2.999, -80.0, f32::NEG_INFINITY];
        for (prob, logit) in unnormalized_probs(&logits, 3.0, 0.7).iter().zip(logits) {
            let truth = ((f64::from(logit) - 3.0) / 0.7).exp();
            // the quotient itself is rounded to f32: up to 6e-8 of at most 87
            assert!((f64::from(*prob) - truth).abs() <= 6e-6 * truth + 1e-37, "{prob} instead of {truth}");
        }
    }
}
