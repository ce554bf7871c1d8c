//! How much of the logits exists at a time.

use std::ops::Range;

const BYTES: usize = size_of::<f32>();
/// More rows are not worth narrower tiles than this: a matrix product needs both.
const WIDE: usize = 4096;
/// Wider tiles leave the caches of a CPU and gain nothing on a GPU.
const WIDEST: usize = 16_384;
/// The head is read once per tile of rows; with fewer rows than this, reading it costs more than a second product.
const FEW: usize = 64;

/// Bytes that logits, and what is made of them, may take at a time, besides inputs and results.
///
/// 64 MiB are plenty on a CPU to score with; a trained head is read and its gradient written once per tile of rows, so
/// training gains from more. The functions with two sweeps over the vocabulary make no product twice where half of
/// the budget holds the logits of 64 rows (39 MB for 151,936 words; twice that for two models). Never less than one row
/// and one word is taken, so a budget below that is exceeded. Where Burn's own operations do the work (any device but
/// the CPU backend), they hold a few copies of a tile besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileBudget {
    /// Bytes, shared by everything that grows with a tile.
    pub bytes: usize,
}

/// What a tile is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) n_rows: usize,
    pub(super) n_words: usize,
    /// f32 numbers that exist per row and word: the logits of one or of two models.
    pub(super) per_cell: usize,
    /// f32 numbers that exist per word besides: a converted head, the gradient of a tile of the head.
    pub(super) per_word: usize,
}

/// How a job is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    pub(super) rows: usize,
    pub(super) words: usize,
    /// Whether all words of a tile of rows stay until its second sweep; otherwise they are computed again.
    pub(super) is_kept: bool,
}

impl TileBudget {
    /// Tiles that are looked at once.
    pub(super) fn one_sweep(self, demand: Demand) -> Tiles {
        let numbers = self.bytes / BYTES;
        let wide = WIDE.min(demand.n_words).max(1);
        let per_column = (numbers / wide).saturating_sub(demand.per_word);
        let rows = (per_column / demand.per_cell).clamp(1, demand.n_rows.max(1));
        let words = numbers / (rows * demand.per_cell + demand.per_word);
        Tiles { rows, words: words.min(WIDEST).clamp(1, demand.n_words.max(1)), is_kept: false }
    }

    /// Tiles that are looked at twice: first for the normalizer, then with it.
    pub(super) fn two_sweeps(self, demand: Demand) -> Tiles {
        let half = self.bytes / BYTES / 2;
        let kept_rows = half / (demand.per_cell * demand.n_words.max(1));
        if kept_rows < FEW.min(demand.n_rows) || half < demand.per_word {
            return self.one_sweep(demand);
        }
        let words = half / demand.per_word.max(1);
        let n_rows = demand.n_rows.max(1);
        // As many tiles as there must be, of one size: the head is read for a last one of a few rows too.
        let rows = n_rows.div_ceil(n_rows.div_ceil(kept_rows.max(1)));
        Tiles { rows, words: words.min(WIDEST).clamp(1, demand.n_words.max(1)), is_kept: true }
    }
}

/// `0..n` cut into pieces of `size`, the last one shorter.
pub(super) fn pieces(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(size).map(move |start| start..n.min(start + size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that exist at a time.
    fn peak(tiles: Tiles, demand: Demand) -> usize {
        let width = if tiles.is_kept { demand.n_words } else { tiles.words };
        BYTES * (tiles.rows * width * demand.per_cell + tiles.words * demand.per_word)
    }

    #[test]
    fn no_tile_is_larger_than_its_budget() {
        let vocabularies = [1, 37, 4097, 151_936];
        for (n_words, n_rows) in
            vocabularies.into_iter().flat_map(|words| [1, 7, 256, 9000].map(|rows| (words, rows)))
        {
            for (per_cell, per_word) in [(1, 0), (1, 896), (2, 0), (2, 2 * 896), (1, 4096)] {
                let demand = Demand { n_rows, n_words, per_cell, per_word };
                for bytes in [40_000, 1 << 20, 50_000_000, 1 << 30] {
                    let budget = TileBudget { bytes };
                    for tiles in [budget.one_sweep(demand), budget.two_sweeps(demand)] {
                        let found = peak(tiles, demand);
                        assert!(found <= bytes, "{tiles:?} of {demand:?}: {found} bytes, allowed {bytes}");
                        assert!(tiles.rows <= n_rows && tiles.words <= n_words, "{tiles:?} of {demand:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_budget_of_nothing_is_one_row_and_one_word() {
        let demand = Demand { n_rows: 5, n_words: 9, per_cell: 2, per_word: 3 };
        let least = Tiles { rows: 1, words: 1, is_kept: false };
        assert_eq!(TileBudget { bytes: 0 }.one_sweep(demand), least);
        assert_eq!(TileBudget { bytes: 0 }.two_sweeps(demand), least);
    }

    #[test]
    fn logits_are_kept_where_they_fit() {
        let demand = Demand { n_rows: 256, n_words: 151_936, per_cell: 1, per_word: 896 };
        assert!(TileBudget { bytes: 256 << 20 }.two_sweeps(demand).is_kept);
        assert!(!TileBudget { bytes: 16 << 20 }.two_sweeps(demand).is_kept);
    }

    #[test]
    fn pieces_cover_everything_once() {
        let found: Vec<_> = pieces(7, 3).collect();
        assert_eq!(found, [0..3, 3..6, 6..7]);
        assert_eq!(pieces(0, 3).count(), 0);
    }
}
