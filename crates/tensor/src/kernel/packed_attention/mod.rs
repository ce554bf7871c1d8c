//! Causal attention over sequences that lie one after the other, forward and backward.
//!
//! One job is up to [`JOB_TOKENS`] tokens of one sequence with one key head. Its rows are pairs of token and query head, in
//! the order of tokens, and scores are formed in tiles of [`TILE`] rows by [`TILE`] keys. What a job computes depends on
//! its own sequence alone, and jobs are cut the same way however many threads there are.

mod backward;
mod forward;
mod tile_product;

use std::ops::{Deref, DerefMut, Range};

use rayon::prelude::*;

use self::tile_product::{Left, Part, RightAndResult, STRIP, product};

pub(crate) use self::backward::attend_packed_backward;
pub(crate) use self::forward::attend_packed;

/// Rows, and keys, of a tile of scores.
const TILE: usize = 64;
/// Tokens that ask in one job.
const JOB_TOKENS: usize = 256;
/// Widths are whole multiples of this: at least a vector of any CPU.
const LANES: usize = 16;
/// Multiplications below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 19;

/// What the slices of packed attention hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedShape<'a> {
    /// Where each sequence ends, in tokens.
    pub(crate) sequence_ends: &'a [usize],
    /// H
    pub(crate) n_heads: usize,
    /// K
    pub(crate) n_kv_heads: usize,
    /// C
    pub(crate) head_dim: usize,
}

impl PackedShape<'_> {
    /// Query heads per key head.
    fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Channels with room for whole vectors.
    fn padded(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn sequences(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.sequence_ends.iter().copied());
        starts.zip(self.sequence_ends).map(|(start, &end)| start..end)
    }

    /// The jobs in the order of sequences, then key heads, then tokens.
    fn places(&self) -> Vec<Place> {
        let of_sequence = |sequence: Range<usize>| {
            (0..self.n_kv_heads).flat_map(move |kv_head| {
                let sequence = sequence.clone();
                (sequence.clone()).step_by(JOB_TOKENS).map(move |from| {
                    let tokens =
                        from - sequence.start..sequence.len().min(from - sequence.start + JOB_TOKENS);
                    Place { sequence: sequence.clone(), kv_head, tokens }
                })
            })
        };
        self.sequences().flat_map(of_sequence).collect()
    }

    /// Tiles of keys of the longest sequence.
    fn most_tiles(&self) -> usize {
        self.sequences().map(|sequence| sequence.len().div_ceil(TILE)).max().unwrap_or(0)
    }

    fn is_worth_threads(&self) -> bool {
        let pairs: usize = self.sequences().map(|sequence| sequence.len() * sequence.len()).sum();
        pairs * self.n_heads * self.head_dim >= WORTH_THREADS
    }

    /// For each key head, what belongs to it of every token.
    ///
    /// # Shapes
    /// - `numbers`: `[N, K, width]`
    fn by_kv_head<'a>(&self, numbers: &'a mut [f32], width: usize) -> Vec<Vec<&'a mut [f32]>> {
        let n_tokens = numbers.len() / (self.n_kv_heads * width);
        let mut heads: Vec<_> = (0..self.n_kv_heads).map(|_| Vec::with_capacity(n_tokens)).collect();
        for token in numbers.chunks_mut(self.n_kv_heads * width) {
            for (head, numbers) in heads.iter_mut().zip(token.chunks_mut(width)) {
                head.push(numbers);
            }
        }
        heads
    }
}

/// What one job is about.
#[derive(Debug, Clone)]
struct Place {
    /// In N.
    sequence: Range<usize>,
    kv_head: usize,
    /// Those that ask, in the sequence; keys are all up to the last of them.
    tokens: Range<usize>,
}

/// Rows of a job that are worked on together.
struct RowBlock {
    /// The first, in (token, query head) pairs of the sequence.
    first: usize,
    n: usize,
    group: usize,
    /// Token of each row, kept: divisions would take as long as the products of a short sequence.
    tokens: [usize; TILE],
}

impl RowBlock {
    /// The blocks of some tokens.
    fn of(tokens: &Range<usize>, group: usize) -> impl Iterator<Item = Self> + use<> {
        let rows = tokens.start * group..tokens.end * group;
        rows.clone().step_by(TILE).map(move |first| {
            let n = TILE.min(rows.end - first);
            let (mut token, mut head) = (first / group, first % group);
            let mut tokens = [0; TILE];
            for place in &mut tokens[..n] {
                *place = token;
                head += 1;
                if head == group {
                    (token, head) = (token + 1, 0);
                }
            }
            Self { first, n, group, tokens }
        })
    }

    /// Token and head in the group of a row.
    fn token_and_head(&self, row: usize) -> (usize, usize) {
        let token = self.tokens[row];
        (token, self.first + row - token * self.group)
    }

    /// Keys that the last row sees, by tiles.
    fn n_tiles(&self) -> usize {
        (self.tokens[self.n - 1] + 1).div_ceil(TILE)
    }

    /// Keys of a tile that a row sees.
    #[inline(always)]
    fn seen(&self, row: usize, tile: usize) -> usize {
        (self.tokens[row] + 1).saturating_sub(tile * TILE).min(TILE)
    }

    /// The first row that sees a key of a tile.
    fn first_to_see(&self, key: usize, tile: usize) -> usize {
        ((tile * TILE + key) * self.group).saturating_sub(self.first).min(self.n)
    }

    /// Scores of a tile: `rows · keysᵀ`.
    ///
    /// # Shapes
    /// - `rows`: `[n, padded C]`
    /// - `keys`: `[C, TILE]`
    /// - `scores`: `[n, TILE]`, what a row does not see is left to chance
    fn score(&self, tile: usize, rows: &[f32], padded: usize, keys: &[f32], scores: &mut [f32]) {
        let others = RightAndResult {
            right: keys,
            right_stride: TILE,
            result: scores,
            result_stride: TILE,
            is_added: false,
        };
        let channels = keys.len() / TILE;
        let part = |rows: Range<usize>| Part { width: self.seen(rows.end - 1, tile), depth: 0..channels };
        product(Left::Rows(rows, padded), others, self.n, part);
    }

    /// `mixed = weights · values` with the first tile, `+=` with those after it.
    ///
    /// # Shapes
    /// - `weights`: `[n, TILE]`, see [`RowBlock::zeroed`]
    /// - `values`: `[keys of the tile, padded C]`
    /// - `mixed`: `[n, padded C]`
    fn mix(&self, tile: usize, weights: &[f32], values: &[f32], padded: usize, mixed: &mut [f32]) {
        let others = RightAndResult {
            right: values,
            right_stride: padded,
            result: mixed,
            result_stride: padded,
            is_added: tile > 0,
        };
        let part = |rows: Range<usize>| Part { width: padded, depth: 0..self.seen(rows.end - 1, tile) };
        product(Left::Rows(weights, TILE), others, self.n, part);
    }

    /// `sums += weightsᵀ · rows`.
    ///
    /// # Shapes
    /// - `weights`: `[n, TILE]`, see [`RowBlock::zeroed`]
    /// - `rows`: `[n, padded C]`
    /// - `sums`: `[keys of the tile, padded C]`
    fn add_to_keys(&self, tile: usize, weights: &[f32], rows: &[f32], padded: usize, sums: &mut [f32]) {
        let others = RightAndResult {
            right: rows,
            right_stride: padded,
            result: sums,
            result_stride: padded,
            is_added: true,
        };
        let n_keys = self.seen(self.n - 1, tile);
        let part =
            |keys: Range<usize>| Part { width: padded, depth: self.first_to_see(keys.start, tile)..self.n };
        product(Left::Columns(weights, TILE), others, n_keys, part);
    }

    /// The keys that a row of weights has not seen but that its strip multiplies.
    #[inline(always)]
    fn zeroed(seen: usize) -> Range<usize> {
        seen..(seen + STRIP).next_multiple_of(LANES).min(TILE)
    }
}

/// Keys `[n, stride]` in tiles of `[C, TILE]`.
fn transpose_in_tiles(keys: &[f32], stride: usize, n: usize, channels: usize, tiles: &mut [f32]) {
    for (tile, keys) in
        tiles.chunks_mut(channels * TILE).zip(keys.chunks(stride * TILE)).take(n.div_ceil(TILE))
    {
        for (idx, key) in keys.chunks(stride).enumerate() {
            for (place, channel) in tile[idx..].iter_mut().step_by(TILE).zip(&key[..channels]) {
                *place = *channel;
            }
        }
    }
}

/// Rows of C numbers into rows of `padded`, times `scale`.
fn copy_scaled<'a>(rows: impl Iterator<Item = &'a [f32]>, scale: f32, padded: usize, copies: &mut [f32]) {
    for (copy, row) in copies.chunks_mut(padded).zip(rows) {
        for (copy, number) in copy.iter_mut().zip(row) {
            *copy = number * scale;
        }
    }
}

/// All lanes in one, in one order on every CPU.
#[inline(always)]
fn fold_lanes(mut lanes: [f32; LANES], of_two: impl Fn(f32, f32) -> f32) -> f32 {
    // Four loops of known lengths: one loop over the halves is left as it is, a number at a time.
    for lane in 0..8 {
        lanes[lane] = of_two(lanes[lane], lanes[lane + 8]);
    }
    for lane in 0..4 {
        lanes[lane] = of_two(lanes[lane], lanes[lane + 4]);
    }
    for lane in 0..2 {
        lanes[lane] = of_two(lanes[lane], lanes[lane + 2]);
    }
    of_two(lanes[0], lanes[1])
}

/// Numbers that start at a cache line, so that no vector lies in two.
struct Lines {
    memory: Vec<f32>,
    start: usize,
    n: usize,
}

impl Lines {
    const LINE_BYTES: usize = 64;

    fn zeroed(n: usize) -> Self {
        let memory = vec![0.0_f32; n + Self::LINE_BYTES / 4];
        let start = memory.as_ptr().align_offset(Self::LINE_BYTES).min(Self::LINE_BYTES / 4);
        Self { memory, start, n }
    }
}

impl Deref for Lines {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.n]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.n]
    }
}

/// The results of all jobs, in their order.
fn run_all<J: Send, S: Send, R: Send>(
    jobs: Vec<J>,
    is_worth_threads: bool,
    scratch: impl Fn() -> S + Sync + Send,
    run: impl Fn(&mut S, J) -> R + Sync + Send,
) -> Vec<R> {
    if is_worth_threads {
        jobs.into_par_iter().map_init(scratch, run).collect()
    } else {
        let mut scratch = scratch();
        jobs.into_iter().map(|job| run(&mut scratch, job)).collect()
    }
}
