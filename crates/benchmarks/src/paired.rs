//! Two models on the same documents.

use serde::{Deserialize, Serialize};

/// Documents that one of two models has right and the other has not, and what that says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Right before, wrong after.
    pub n_lost: usize,
    /// Wrong before, right after.
    pub n_gained: usize,
    /// Probability of a split at least this uneven if both were equally likely: the exact test, two-sided.
    pub p_value: f64,
}

impl McNemar {
    /// From values of the same documents, 1 for right and 0 for wrong. `None` where a value is neither.
    pub fn new(before: &[f64], after: &[f64]) -> Option<Self> {
        let is_verdict = |value: &f64| *value == 0.0 || *value == 1.0;
        if !before.iter().chain(after).all(is_verdict) {
            return None;
        }
        let count =
            |lost: bool| before.iter().zip(after).filter(|(a, b)| if lost { a > b } else { b > a }).count();
        let (n_lost, n_gained) = (count(true), count(false));
        Some(Self { n_lost, n_gained, p_value: two_sided(n_lost.min(n_gained), n_lost + n_gained) })
    }
}

/// Probability that a fair coin thrown `n` times shows its rarer side at most `k` times, doubled; at most 1.
fn two_sided(k: usize, n: usize) -> f64 {
    // The logarithm of each binomial term from the one before: factorials overflow.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = log_term.exp();
    for i in 0..k {
        log_term += ((n - i) as f64 / (i + 1) as f64).ln();
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// What is left of prior abilities after one stage of tuning, averaged over benchmarks.
///
/// With R the score of benchmark i after stage t and the base as stage 0: backward transfer is the mean of
/// R(1, i) - R(0, i). The forgetting measure, the mean of the best earlier score less the last, is its negative here, as the
/// base is the only earlier stage. Retention is the mean of R(1, i) / R(0, i) over benchmarks where the base is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retained {
    /// Below 0 where abilities were lost.
    pub backward_transfer: f64,
    /// Above 0 where abilities were lost.
    pub forgetting: f64,
    /// 1 where nothing changed; `None` where the base scores nothing at all.
    pub retention: Option<f64>,
}

impl Retained {
    /// From one score a benchmark, of the base and of the tuned model. `None` without benchmarks.
    pub fn new(base: &[f64], tuned: &[f64]) -> Option<Self> {
        let mean =
            |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let changes: Vec<f64> = base.iter().zip(tuned).map(|(base, tuned)| tuned - base).collect();
        let ratios =
            base.iter().zip(tuned).filter(|(base, _)| **base > 0.0).map(|(base, tuned)| tuned / base);
        let backward_transfer = mean(&changes)?;
        let retention = mean(&ratios.collect::<Vec<f64>>());
        Some(Self { backward_transfer, forgetting: -backward_transfer, retention })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_that_changed_count() {
        let before = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        let after = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let found = McNemar::new(&before, &after).unwrap();
        // 4 lost, 1 gained: 2 (C(5,0) + C(5,1)) / 32
        assert_eq!((found.n_lost, found.n_gained), (4, 1));
        assert!((found.p_value - 12.0 / 32.0).abs() < 1e-15);
        assert_eq!(McNemar::new(&[1.0, 0.0], &[1.0, 0.0]).unwrap().p_value, 1.0);
        assert_eq!(McNemar::new(&[0.5], &[1.0]), None);
    }

    #[test]
    fn large_counts_neither_overflow_nor_vanish() {
        let p_value = two_sided(4_900, 10_000);
        // Normal approximation with continuity correction: 2 Phi(-1.99)
        assert!((p_value - 0.0466).abs() < 2e-4, "{p_value}");
        assert!(two_sided(0, 3_000) >= 0.0);
    }

    #[test]
    fn retention_is_a_mean_of_ratios() {
        let found = Retained::new(&[0.5, 0.25, 0.0], &[0.25, 0.25, 0.1]).unwrap();
        assert!((found.backward_transfer + 0.05).abs() < 1e-15 && (found.forgetting - 0.05).abs() < 1e-15);
        assert_eq!(found.retention, Some(0.75));
        assert_eq!(Retained::new(&[], &[]), None);
    }
}
