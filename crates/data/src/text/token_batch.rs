//! Examples of different lengths as one rectangle of ids.

use crate::text::token_example::TokenExample;

/// Rows of token ids, padded on the right to one width.
///
/// Arrays are row-major `[B, T]`. A 1 in [`completion_mask`](Self::completion_mask) says that the token at that very
/// position is trained; the shift to "position t predicts token t + 1" is made here once, by
/// [`targets`](Self::targets) and [`prediction_mask`](Self::prediction_mask).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    completion_mask: Vec<u8>,
    lengths: Vec<usize>,
    width: usize,
}

impl TokenBatch {
    /// Pads with `pad` to the longest example, and on to a multiple of `width_multiple` (1 for none).
    ///
    /// # Panics
    /// Without examples, if `width_multiple` is 0, or if a completion reaches over the end of its ids.
    pub fn right_padded(examples: &[TokenExample], pad: u32, width_multiple: usize) -> Self {
        assert!(!examples.is_empty(), "a batch has at least one example");
        assert!(width_multiple > 0, "the width is a multiple of at least 1");
        let longest = examples.iter().map(|example| example.ids.len()).max().unwrap_or(0);
        let width = longest.next_multiple_of(width_multiple);
        let mut ids = Vec::with_capacity(examples.len() * width);
        let mut completion_mask = Vec::with_capacity(examples.len() * width);
        for example in examples {
            let (span, n_tokens) = (&example.completion, example.ids.len());
            assert!(span.end <= n_tokens, "completion {span:?} of a row of {n_tokens} tokens");
            ids.extend_from_slice(&example.ids);
            completion_mask.extend_from_slice(&example.mask());
            let n_padding = width - n_tokens;
            ids.extend(std::iter::repeat_n(pad, n_padding));
            completion_mask.extend(std::iter::repeat_n(0, n_padding));
        }
        let lengths = examples.iter().map(|example| example.ids.len()).collect();
        Self { ids, completion_mask, lengths, width }
    }

    /// Rows, B.
    pub fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    /// Columns with padding, T.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[B, T]` token ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `[B, T]`, 1 where the token at that position is a completion token; 0 on prompt and padding.
    pub fn completion_mask(&self) -> &[u8] {
        &self.completion_mask
    }

    /// `[B]` tokens of each row without padding.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// `[B, T - 1]`: entry t is the token at t + 1, which the logits at t predict. Logits of the last column predict
    /// nothing and are left out.
    pub fn targets(&self) -> Vec<u32> {
        shifted(&self.ids, self.width)
    }

    /// `[B, T - 1]`, 1 where the entry of [`targets`](Self::targets) is a completion token. It sums to as much as the
    /// mask of tokens, because a row begins with its prompt.
    pub fn prediction_mask(&self) -> Vec<u8> {
        shifted(&self.completion_mask, self.width)
    }
}

fn shifted<T: Copy>(values: &[T], width: usize) -> Vec<T> {
    if width == 0 {
        return Vec::new();
    }
    values.chunks_exact(width).flat_map(|row| row[1..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn examples() -> impl Strategy<Value = Vec<TokenExample>> {
        let row = (proptest::collection::vec(0_u32..50, 1..12), proptest::collection::vec(0_u32..50, 1..9));
        let example = row.prop_map(|(prompt, completion)| TokenExample {
            completion: prompt.len()..prompt.len() + completion.len(),
            ids: [prompt, completion].concat(),
            boundary_differs: false,
        });
        proptest::collection::vec(example, 1..6)
    }

    #[test]
    fn a_batch_by_hand_is_shifted_by_one() {
        let rows = [
            TokenExample { ids: vec![5, 6, 7, 2], completion: 2..4, boundary_differs: false },
            TokenExample { ids: vec![8, 2], completion: 1..2, boundary_differs: false },
        ];
        let batch = TokenBatch::right_padded(&rows, 0, 1);
        assert_eq!((batch.n_rows(), batch.width(), batch.lengths()), (2, 4, &[4, 2][..]));
        assert_eq!(batch.ids(), [5, 6, 7, 2, 8, 2, 0, 0]);
        assert_eq!(batch.completion_mask(), [0, 0, 1, 1, 0, 1, 0, 0]);
        assert_eq!(batch.targets(), [6, 7, 2, 2, 0, 0]);
        assert_eq!(batch.prediction_mask(), [0, 1, 1, 1, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "completion 1..3 of a row of 2 tokens")]
    fn a_completion_over_the_end_is_a_bug() {
        let row = TokenExample { ids: vec![1, 2], completion: 1..3, boundary_differs: false };
        TokenBatch::right_padded(&[row], 0, 1);
    }

    proptest! {
        // The pad id also occurs inside rows, as it does where padding and end token are one.
        #[test]
        fn padding_does_not_change_the_spans(rows in examples(), pad in 0_u32..50, multiple in 1_usize..9) {
            let batch = TokenBatch::right_padded(&rows, pad, multiple);
            let width = batch.width();
            prop_assert_eq!(width % multiple, 0);
            for (row_idx, row) in rows.iter().enumerate() {
                let ids = &batch.ids()[row_idx * width..(row_idx + 1) * width];
                let mask = &batch.completion_mask()[row_idx * width..(row_idx + 1) * width];
                let trained: Vec<u32> = ids.iter().zip(mask).filter(|(_, m)| **m == 1).map(|(id, _)| *id).collect();
                prop_assert_eq!(trained, row.completion_ids());
                prop_assert_eq!(&ids[..batch.lengths()[row_idx]], &row.ids[..]);
                prop_assert!(ids[row.ids.len()..].iter().all(|&id| id == pad));
            }
        }

        #[test]
        fn masks_sum_to_the_completion_lengths(rows in examples(), pad in 0_u32..50, multiple in 1_usize..9) {
            let batch = TokenBatch::right_padded(&rows, pad, multiple);
            let expected: usize = rows.iter().map(|row| row.completion.len()).sum();
            let sum = |mask: &[u8]| mask.iter().map(|&m| usize::from(m)).sum::<usize>();
            prop_assert_eq!(sum(batch.completion_mask()), expected);
            prop_assert_eq!(sum(&batch.prediction_mask()), expected);
            let trained: Vec<u32> = batch.targets().into_iter().zip(batch.prediction_mask())
                .filter(|(_, m)| *m == 1).map(|(id, _)| id).collect();
            let completions: Vec<u32> = rows.iter().flat_map(|row| row.completion_ids().to_vec()).collect();
            prop_assert_eq!(trained, completions);
        }
    }
}
