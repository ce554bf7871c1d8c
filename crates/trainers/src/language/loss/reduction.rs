//! How the tokens of all sequences become one number.
//!
//! A reduction is a weight per sequence, the same for each of its tokens, made from the lengths of *all* sequences of an
//! optimizer step. TRL divides each micro-batch by its own count or, for DAPO, by that of the accumulation window; with
//! micro-batches of equal size its mean over sequences, DAPO and Dr. GRPO agree with ours (golden tests), and BNPO does
//! where `local_batch` is its micro-batch.
//!
//! Sources: GRPO, arXiv 2402.03300, equation 3; DAPO, arXiv 2503.14476, equation 8; Dr. GRPO, arXiv 2503.20783,
//! section 3; BNPO as the loss of that name in TRL 1.16.

use serde::{Deserialize, Serialize};

/// What the loss is a mean over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reduction {
    /// Mean over sequences of the mean over their tokens: GRPO, GSPO, RLOO.
    SequenceMean,
    /// Mean over all tokens: DAPO, CISPO, SFT.
    TokenMean,
    /// Mean over local batches of the mean over their tokens: BNPO. What a local batch is has to be said here because
    /// the loss depends on it; it need not be the micro-batch that fits into memory.
    LocalTokenMean {
        /// Sequences per local batch, taken in order; at least 1.
        local_batch: usize,
    },
    /// Sum over tokens divided by sequences times the longest completion allowed: Dr. GRPO.
    ConstantLength,
}

impl Reduction {
    /// Weight of each token of each sequence.
    ///
    /// A masked-out sequence is one of length 0: it weighs nothing, but still counts as a sequence, as in TRL.
    ///
    /// # Shapes
    /// - `lengths`: tokens that count, of every sequence of the optimizer step
    /// - `max_completion_tokens`: the longest completion allowed, for [`Reduction::ConstantLength`]
    /// - returns: one weight per sequence
    ///
    /// # Panics
    /// When a local batch or the longest completion is 0.
    pub fn weights(self, lengths: &[usize], max_completion_tokens: usize) -> Vec<f64> {
        let n_sequences = lengths.len() as f64;
        let weigh = |weight: &dyn Fn(usize) -> f64| {
            let of_length = |&length: &usize| if length == 0 { 0.0 } else { weight(length) };
            lengths.iter().map(of_length).collect()
        };
        match self {
            Self::SequenceMean => weigh(&|length| 1.0 / (n_sequences * length as f64)),
            Self::TokenMean => {
                let n_tokens = lengths.iter().sum::<usize>() as f64;
                weigh(&|_| 1.0 / n_tokens)
            }
            Self::LocalTokenMean { local_batch } => {
                let batches = lengths.chunks(local_batch);
                let n_batches = batches.len() as f64;
                let of_batch = |batch| Self::TokenMean.weights(batch, max_completion_tokens);
                batches.flat_map(of_batch).map(|weight| weight / n_batches).collect()
            }
            Self::ConstantLength => {
                assert!(max_completion_tokens > 0, "the longest completion allowed has no tokens");
                weigh(&|_| 1.0 / (n_sequences * max_completion_tokens as f64))
            }
        }
    }
}

/// Lengths for [`Reduction::weights`]: 0 for a truncated completion when those are masked out.
///
/// Source: overlong filtering, DAPO, arXiv 2503.14476, section 3.4; TRL's `mask_truncated_completions`.
///
/// # Shapes
/// - `lengths`: completion tokens of each sequence
/// - `is_truncated`: whether each sequence ended at the limit instead of by itself
pub fn active_lengths(lengths: &[usize], is_truncated: &[bool], mask_truncated: bool) -> Vec<usize> {
    assert_eq!(lengths.len(), is_truncated.len(), "expected one mark per sequence");
    let sequences = lengths.iter().zip(is_truncated);
    sequences.map(|(&length, &cut)| if mask_truncated && cut { 0 } else { length }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Reduction; 4] = [
        Reduction::SequenceMean,
        Reduction::TokenMean,
        Reduction::LocalTokenMean { local_batch: 2 },
        Reduction::ConstantLength,
    ];

    #[test]
    fn weights_are_those_of_the_formulas() {
        let lengths = [4, 1, 5, 0];
        let expected = [
            [1.0 / 16.0, 1.0 / 4.0, 1.0 / 20.0, 0.0],
            [0.1, 0.1, 0.1, 0.0],
            [0.1, 0.1, 0.1, 0.0],
            [1.0 / 32.0, 1.0 / 32.0, 1.0 / 32.0, 0.0],
        ];
        for (reduction, expected) in ALL.into_iter().zip(expected) {
            assert_eq!(reduction.weights(&lengths, 8), expected, "{reduction:?}");
        }
    }

    #[test]
    fn means_weigh_one_where_nothing_is_masked() {
        let lengths = [3, 9, 1, 7, 2];
        for reduction in &ALL[..3] {
            let weights = reduction.weights(&lengths, 9);
            let total: f64 = weights.iter().zip(lengths).map(|(weight, length)| weight * length as f64).sum();
            assert!((total - 1.0).abs() < 1e-12, "{reduction:?}: {total}");
        }
    }

    #[test]
    fn a_step_in_which_everything_is_masked_weighs_nothing() {
        let lengths = active_lengths(&[3, 4], &[true, true], true);
        for reduction in ALL {
            assert_eq!(reduction.weights(&lengths, 8), [0.0, 0.0]);
        }
        assert_eq!(active_lengths(&[3, 4], &[true, false], true), [0, 4]);
        assert_eq!(active_lengths(&[3, 4], &[true, false], false), [3, 4]);
    }
}
