//! Token sequences one after the other, without padding.

use std::ops::Range;

/// Rows of token ids, joined. Attention never crosses from one sequence to another, and positions start anew in each, so
/// packing changes no number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedTokens {
    /// `[N]`
    ids: Vec<u32>,
    /// Where each sequence ends; the last one at N.
    ends: Vec<usize>,
}

impl PackedTokens {
    /// Joins sequences.
    ///
    /// # Panics
    /// When there is none, or an empty one.
    pub fn new<R: AsRef<[u32]>>(sequences: &[R]) -> Self {
        let mut packed = Self::default();
        for sequence in sequences {
            let sequence = sequence.as_ref();
            assert!(!sequence.is_empty(), "a sequence has tokens");
            packed.ids.extend_from_slice(sequence);
            packed.ends.push(packed.ids.len());
        }
        assert!(!packed.ends.is_empty(), "there is a sequence");
        packed
    }

    /// `[N]`
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Where each sequence ends; the last one at N.
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Where each sequence lies in [`ids`](Self::ids).
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start..end)
    }

    /// Position of each token in its sequence, `[N]`.
    pub(crate) fn positions(&self) -> Vec<usize> {
        self.ranges().flat_map(|range| 0..range.len()).collect()
    }
}
