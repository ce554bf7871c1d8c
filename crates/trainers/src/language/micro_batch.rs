//! The sequences of one optimizer step, a few at a time.

use std::ops::Range;

use razor_data::TokenExample;
use razor_models::PackedTokens;

/// Some sequences of a batch, joined for one pass through the network.
#[derive(Debug)]
pub(super) struct MicroBatch {
    /// Which sequences of the batch.
    pub(super) members: Range<usize>,
    /// Their tokens but the last of each, which is predicted and not read.
    pub(super) tokens: PackedTokens,
    /// Rows of the tokens that predict a completion token, `[M]`.
    pub(super) rows: Vec<usize>,
    /// What they predict, `[M]`.
    pub(super) targets: Vec<u32>,
    /// Where the completion of each member lies in `rows` and `targets`.
    pub(super) completions: Vec<Range<usize>>,
}

impl MicroBatch {
    /// Cuts a batch into micro-batches of at most `max_tokens` tokens and of about one size, in its order; a longer sequence
    /// is alone.
    pub(super) fn cut(batch: &[&TokenExample], max_tokens: usize) -> Vec<Self> {
        let (mut pieces, mut start, mut n_tokens) = (Vec::new(), 0, 0);
        let all: usize = batch.iter().map(|example| example.ids.len() - 1).sum();
        let share = all.div_ceil(all.div_ceil(max_tokens).max(1));
        for (idx, example) in batch.iter().enumerate() {
            let more = example.ids.len() - 1;
            if idx > start && (n_tokens >= share || n_tokens + more > max_tokens) {
                pieces.push(start..idx);
                (start, n_tokens) = (idx, 0);
            }
            n_tokens += more;
        }
        if start < batch.len() {
            pieces.push(start..batch.len());
        }
        pieces.into_iter().map(|members| Self::new(batch, members)).collect()
    }

    fn new(batch: &[&TokenExample], members: Range<usize>) -> Self {
        let (mut inputs, mut rows, mut targets, mut completions) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for example in &batch[members.clone()] {
            let TokenExample { ids, completion, .. } = example;
            let n_read = completion.end - 1;
            let first = rows.len();
            rows.extend(start + completion.start - 1..start + n_read);
            targets.extend_from_slice(example.completion_ids());
            completions.push(first..rows.len());
            inputs.push(&ids[..n_read]);
            start += n_read;
        }
        Self { members, tokens: PackedTokens::new(&inputs), rows, targets, completions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(ids: &[u32], prompt: usize) -> TokenExample {
        TokenExample { ids: ids.to_vec(), completion: prompt..ids.len(), boundary_differs: false }
    }

    #[test]
    fn a_row_predicts_the_token_after_it() {
        let batch = [example(&[5, 6, 7, 2], 2), example(&[8, 2], 1)];
        let pieces = MicroBatch::cut(&[&batch[0], &batch[1]], 100);
        let [piece] = pieces.as_slice() else { panic!("{pieces:?}") };
        assert_eq!((piece.tokens.ids(), piece.tokens.ends()), ([5, 6, 7, 8].as_slice(), [3, 4].as_slice()));
        assert_eq!(
            (piece.rows.as_slice(), piece.targets.as_slice()),
            ([1, 2, 3].as_slice(), [7, 2, 2].as_slice())
        );
        assert_eq!(piece.completions, [0..2, 2..3]);
    }

    #[test]
    fn every_sequence_is_in_one_micro_batch_and_a_long_one_is_alone() {
        let batch: Vec<TokenExample> = [3, 4, 30, 2, 2].map(|n| example(&vec![1; n], 1)).into();
        let batch: Vec<&TokenExample> = batch.iter().collect();
        let members: Vec<_> = MicroBatch::cut(&batch, 6).into_iter().map(|piece| piece.members).collect();
        assert_eq!(members, [0..2, 2..3, 3..5]);
        assert!(MicroBatch::cut(&[], 6).is_empty());
    }
}
