//! Oracle SFT: supervised fine-tuning on the right answers that the reference itself would give.
//!
//! q*(y) = π₀(y)·1[y right] / π₀(right) is the closest distribution to π₀ that is always right, KL(q*‖π₀) being
//! −ln π₀(right). Paper: arXiv 2509.04259, section 4 and appendix B.3. The paper writes the objective as
//! KL(π₀‖q), which is infinite on the constraint set; both readings give this same q*. The paper trains on one label
//! sampled from q*; training on q* itself (soft) is our option.

/// The distribution q* of each row.
///
/// # Shapes
/// - `reference_log_probs`: `[B, n_labels]` row by row, in nats
/// - `correct`: from row index and label to whether the label is right
/// - returns: `[B, n_labels]` row by row, log-probabilities in nats; minus infinity for a wrong label
///
/// # Panics
/// When a row has no right label: q* is then undefined.
pub fn oracle_log_probs(
    reference_log_probs: &[f32],
    n_labels: usize,
    correct: impl Fn(usize, usize) -> bool,
) -> Vec<f32> {
    let mut oracle = Vec::with_capacity(reference_log_probs.len());
    for (row_idx, row) in reference_log_probs.chunks_exact(n_labels).enumerate() {
        let right = |label: usize| correct(row_idx, label);
        let largest = row.iter().enumerate().filter(|(y, _)| right(*y)).map(|(_, lp)| *lp);
        let largest = largest.reduce(f32::max).unwrap_or_else(|| panic!("row {row_idx} has no right label"));
        // Shifted by the largest term: π₀(right) itself may underflow.
        let mass: f32 =
            row.iter().enumerate().filter(|(y, _)| right(*y)).map(|(_, lp)| (lp - largest).exp()).sum();
        let log_mass = mass.ln(); // relative to the largest term
        let conditioned =
            |(y, lp): (usize, &f32)| if right(y) { (lp - largest) - log_mass } else { f32::NEG_INFINITY };
        oracle.extend(row.iter().enumerate().map(conditioned));
    }
    oracle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_labels_keep_their_proportions() {
        // The bandit of the theory study: π₀(right) = 0.37 and q* = (25/37, 12/37).
        let reference = [0.35_f32, 0.25, 0.20, 0.12, 0.08].map(f32::ln);
        let oracle = oracle_log_probs(&reference, 5, |_, label| label == 1 || label == 3);
        let probs: Vec<f32> = oracle.iter().map(|lp| lp.exp()).collect();
        for (found, expected) in probs.iter().zip([0.0, 25.0 / 37.0, 0.0, 12.0 / 37.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{probs:?}");
        }
    }

    #[test]
    fn hopeless_rows_are_still_a_distribution() {
        let reference = [0.0, -200.0, -201.0];
        let oracle = oracle_log_probs(&reference, 3, |_, label| label > 0);
        let mass: f32 = oracle.iter().map(|lp| lp.exp()).sum();
        assert!((mass - 1.0).abs() < 1e-6, "{oracle:?}");
    }
}
