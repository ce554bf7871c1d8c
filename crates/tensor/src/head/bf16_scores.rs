//! Log-probabilities as a model has them whose logits are bf16.

use burn::tensor::{DType, Tensor};
use half::bf16;

use super::budget::{TileBudget, pieces};
use super::projection::Projection;
use super::scores::{assert_targets, numbers_of, row_sums};

/// Where a log-softmax of bf16 numbers rounds besides its result. All else is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bf16Softmax {
    /// Σ exp(logit − max) and its logarithm are rounded to bf16 too, as PyTorch does on a CPU (seen in 2.15). Each
    /// log-probability is then off by up to 2⁻⁹ of that logarithm.
    RoundedSum,
    /// Nothing else is rounded, as PyTorch does with CUDA.
    FullSum,
}

/// What a policy with bf16 logits thinks of one token per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Bf16TokenScores {
    /// log π(target) in nats, a bf16 number, `[N]`.
    pub log_probs: Vec<f32>,
    /// Whether no word has a larger log-probability, `[N]`; of those that bf16 cannot tell apart the first counts.
    pub is_greedy: Vec<bool>,
}

/// Scores one token per row as a model does that keeps logits and log-probabilities in bf16: each logit is computed in f32
/// and rounded, and so is its log-probability. [`crate::token_scores`] loses neither.
///
/// A tile holds whole rows, so that one row of the vocabulary is taken even where the budget is smaller.
///
/// # Shapes
/// - `hidden`: `[N, D]`
/// - `head`: `[V, D]`
/// - `targets`: `[N]`, each in `0..V`
///
/// # Panics
/// On shapes that do not fit, a target outside the vocabulary, under autodiff.
pub fn bf16_token_scores(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: &[u32],
    softmax: Bf16Softmax,
    budget: TileBudget,
) -> Bf16TokenScores {
    let projection = Projection::new(hidden, head);
    assert_targets(&projection, targets);
    let n_words = projection.n_words();
    let n_rows = (budget.bytes / (size_of::<f32>() * n_words)).max(1);
    let mut scores = Bf16TokenScores { log_probs: Vec::new(), is_greedy: Vec::new() };
    for rows in pieces(projection.n_rows(), n_rows) {
        let logits = projection.logits(rows.clone(), 0..n_words).cast(DType::BF16).cast(DType::F32);
        let targets = &targets[rows];
        let sums = row_sums(&logits, targets, 0, 1.0);
        let logits = numbers_of(logits);
        for ((row, sums), &target) in logits.chunks_exact(n_words).zip(sums).zip(targets) {
            let log_sum = match softmax {
                Bf16Softmax::RoundedSum => rounded(rounded(sums.sum as f32).ln()),
                Bf16Softmax::FullSum => sums.sum.ln() as f32,
            };
            let log_prob = |logit: f32| rounded(logit - sums.max - log_sum);
            let target = target as usize;
            let (own, best) = (log_prob(row[target]), log_prob(sums.max));
            scores.log_probs.push(own);
            // NaN is equal to nothing.
            scores.is_greedy.push(own == best && row[..target].iter().all(|&logit| log_prob(logit) < best));
        }
    }
    scores
}

fn rounded(number: f32) -> f32 {
    bf16::from_f32(number).to_f32()
}

#[cfg(test)]
mod tests {
    use super::super::test_inputs::{exact, matrix, noise};
    use super::*;

    const AMPLE: TileBudget = TileBudget { bytes: 1 << 20 };

    #[test]
    fn tiles_change_no_score() {
        // Eighths: products and sums are exact, or f32 rounding could decide where bf16 rounds.
        let eighths = |n, seed| noise(n, seed).into_iter().map(|x| (x * 16.0).round() / 8.0).collect();
        let score = |bytes| {
            let (hidden, head) = (matrix(eighths(7 * 8, 1), 7), matrix(eighths(67 * 8, 2), 67));
            let targets = [5, 66, 13, 14, 30, 0, 1];
            bf16_token_scores(hidden, head, &targets, Bf16Softmax::FullSum, TileBudget { bytes })
        };
        assert_eq!(score(0), score(AMPLE.bytes));
        assert_eq!(score(700), score(AMPLE.bytes));
    }

    #[test]
    fn of_words_that_bf16_cannot_tell_apart_the_first_is_greedy() {
        // 0.5 and 0.503 are two numbers in bf16, but 5.4 nats below the sum both log-probabilities are -5.40625.
        let mut logits = vec![-0.5; 600];
        (logits[3], logits[8]) = (0.5, 0.503);
        let is_greedy = |target| {
            let (hidden, head) = exact(&logits);
            bf16_token_scores(hidden, head, &[target], Bf16Softmax::FullSum, AMPLE).is_greedy[0]
        };
        assert_eq!([0, 3, 8].map(is_greedy), [false, true, false]);
        let (hidden, head) = exact(&logits);
        assert!(crate::token_scores(hidden, head, &[8], 1.0, AMPLE).is_greedy[0], "f32 tells them apart");
    }

    #[test]
    fn a_logit_that_is_not_a_number_makes_no_token_greedy() {
        let (hidden, head) = exact(&[1.0, f32::NAN, 2.0]);
        let found = bf16_token_scores(hidden, head, &[2], Bf16Softmax::RoundedSum, AMPLE);
        assert!(found.log_probs[0].is_nan() && !found.is_greedy[0], "{found:?}");
    }
}
