//! Means over documents with their standard errors, as lm-evaluation-harness has them.

use serde::{Deserialize, Serialize};

/// A mean over documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The mean.
    pub value: f64,
    /// Its standard error; `None` for a single document, and for what has none.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
}

impl Score {
    /// Mean, and sample standard deviation by the root of n. `None` without values.
    pub fn mean(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let value = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|found| (found - value).powi(2)).sum();
        let stderr = (n > 1).then(|| (squares / (n - 1) as f64).sqrt() / (n as f64).sqrt());
        (n > 0).then_some(Self { value, stderr, n })
    }

    /// Several means as one, each weighted by its documents, with the pooled standard error. `None` without means.
    pub fn pooled(scores: &[Self]) -> Option<Self> {
        let n: usize = scores.iter().map(|score| score.n).sum();
        let value = scores.iter().map(|score| score.value * score.n as f64).sum::<f64>() / n as f64;
        let variance = |score: &Self| Some((score.n - 1) as f64 * score.n as f64 * score.stderr?.powi(2));
        let total: Option<f64> = scores.iter().map(variance).sum();
        let stderr = total.map(|total| (total / (n - scores.len()) as f64 / n as f64).sqrt());
        (n > 0).then_some(Self { value, stderr, n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_the_error_of_a_sample() {
        let score = Score::mean(&[1.0, 0.0, 1.0, 1.0]).unwrap();
        // deviations of 1/4, -3/4: squares sum to 3/4, by 3, by 4
        assert_eq!((score.value, score.stderr, score.n), (0.75, Some(0.25), 4));
        assert_eq!(Score::mean(&[1.0]).unwrap().stderr, None);
        assert_eq!(Score::mean(&[]), None);
    }

    #[test]
    fn pooling_weighs_by_documents() {
        let parts = [Score::mean(&[1.0, 0.0]).unwrap(), Score::mean(&[1.0, 1.0, 1.0, 0.0]).unwrap()];
        let pooled = Score::pooled(&parts).unwrap();
        assert!((pooled.value - 4.0 / 6.0).abs() < 1e-15);
        // (1*2*(1/4) + 3*4*(1/16)) / (6-2) / 6
        assert!((pooled.stderr.unwrap() - (1.25_f64 / 24.0).sqrt()).abs() < 1e-15);
        assert_eq!(Score::pooled(&[Score::mean(&[1.0]).unwrap(), parts[0]]).unwrap().stderr, None);
    }
}
