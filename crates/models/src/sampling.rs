//! Draws from a categorical policy.

use rand::Rng;

/// Draws one label with the probabilities exp(`log_probs`).
///
/// By inversion of the cumulative distribution, with one uniform number per draw.
///
/// # Panics
/// When `log_probs` is empty.
pub fn sample_label(log_probs: &[f32], rng: &mut impl Rng) -> usize {
    // f64: the sum of ten f32 probabilities can miss 1 by more than the rarest of them
    let mut remaining = rng.random::<f64>() * log_probs.iter().map(|&lp| f64::from(lp).exp()).sum::<f64>();
    let last = log_probs.len().checked_sub(1).expect("a distribution has at least one label");
    for (label, &log_prob) in log_probs[..last].iter().enumerate() {
        remaining -= f64::from(log_prob).exp();
        if remaining < 0.0 {
            return label;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    #[test]
    fn labels_come_as_often_as_they_should() {
        let probs = [0.5_f32, 0.0, 0.2, 0.3];
        let log_probs = probs.map(f32::ln); // one of them is minus infinity
        let mut rng = Seed::new(0).rng();
        let mut counts = [0_u32; 4];
        for _ in 0..100_000 {
            counts[sample_label(&log_probs, &mut rng)] += 1;
        }
        assert_eq!(counts[1], 0, "a label without mass is never drawn");
        for (count, prob) in counts.iter().zip(probs) {
            // five standard errors of a binomial share
            let bound = 5.0 * (f64::from(prob) * (1.0 - f64::from(prob)) / 1e5).sqrt();
            assert!((f64::from(*count) / 1e5 - f64::from(prob)).abs() <= bound, "{counts:?}");
        }
    }
}
