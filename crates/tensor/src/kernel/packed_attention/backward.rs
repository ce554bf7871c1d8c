//! Gradients of queries, keys and values.
//!
//! With probabilities P = exp(score − log-sum-exp), D = d_out · vᵀ and δ the sum of d_out · out over the channels of a
//! row: dS = P (D − δ), dv = Pᵀ d_out, dq = dS k / √C, dk = dSᵀ q / √C.

use rayon::prelude::*;

use super::{
    LANES, Lines, PackedShape, Place, RowBlock, TILE, copy_scaled, fold_lanes, run_all, transpose_in_tiles,
};
use crate::simd_exp::exp_f32;
use crate::vectorized::vectorized;

/// Gradients of keys and values; that of the queries takes the place of `d_out`.
///
/// # Shapes
/// - `queries`, `out`, `d_out`: `[N, H, C]`
/// - `keys`, `values`: `[N, K, C]`, as the gradients
/// - `sums`: `[N, H]`
pub(crate) fn attend_packed_backward(
    [queries, keys, values]: [&[f32]; 3],
    out: &[f32],
    sums: &[f32],
    d_out: &mut [f32],
    shape: PackedShape<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let (mut d_keys, mut d_values) = (vec![0.0_f32; keys.len()], vec![0.0_f32; keys.len()]);
    let mut of_rows = shape.by_kv_head(d_out, shape.group() * shape.head_dim);
    let mut of_keys = shape.by_kv_head(&mut d_keys, shape.head_dim);
    let mut of_values = shape.by_kv_head(&mut d_values, shape.head_dim);
    let mut rows_left: Vec<_> = of_rows.iter_mut().map(Vec::as_mut_slice).collect();
    let mut keys_left: Vec<_> = of_keys.iter_mut().map(Vec::as_mut_slice).collect();
    let mut values_left: Vec<_> = of_values.iter_mut().map(Vec::as_mut_slice).collect();
    let (mut jobs, mut split) = (Vec::new(), Vec::new());
    for place in shape.places() {
        let (head, n) = (place.kv_head, place.sequence.len());
        let rows = rows_left[head].split_off_mut(..place.tokens.len()).expect("one row per token");
        let mut of_sequence = || KeyGradients {
            keys: keys_left[head].split_off_mut(..n).expect("one row per token"),
            values: values_left[head].split_off_mut(..n).expect("one row per token"),
        };
        let is_whole = place.tokens.len() == n;
        if !is_whole && place.tokens.start == 0 {
            split.push(of_sequence());
        }
        jobs.push(Job { rows, whole: is_whole.then(of_sequence), place });
    }
    let inputs = Inputs { queries, keys, values, out, sums, shape };
    let run = |scratch: &mut Scratch, job: Job<'_, '_>| job.run(&inputs, scratch);
    let parts = run_all(jobs, shape.is_worth_threads(), || Scratch::new(shape), run);
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let of_sequences = parts.chunk_by(|_, next| !next.is_first);
    split
        .into_par_iter()
        .zip(of_sequences.collect::<Vec<_>>())
        .for_each(|(sums, parts)| sums.fill(parts, shape));
    (d_keys, d_values)
}

struct Inputs<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    out: &'a [f32],
    sums: &'a [f32],
    shape: PackedShape<'a>,
}

/// Where the gradients of the keys and values of one sequence and key head go; per token, `[C]`.
struct KeyGradients<'a, 'b> {
    keys: &'a mut [&'b mut [f32]],
    values: &'a mut [&'b mut [f32]],
}

/// What one of several jobs of a sequence adds to the gradients of keys and values, `[keys, padded C]`.
struct PartOfKeys {
    is_first: bool,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KeyGradients<'_, '_> {
    /// Writes what one job found.
    fn write(self, keys: &[f32], values: &[f32], padded: usize) {
        for (to, from) in [(self.keys, keys), (self.values, values)] {
            for (to, from) in to.iter_mut().zip(from.chunks(padded)) {
                to.copy_from_slice(&from[..to.len()]);
            }
        }
    }

    /// Adds up the parts, in their order.
    fn fill(self, parts: &[PartOfKeys], shape: PackedShape<'_>) {
        let add = |to: &mut [&mut [f32]], from: &[f32]| {
            for (to, from) in to.iter_mut().zip(from.chunks(shape.padded())) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to += from;
                }
            }
        };
        for part in parts {
            add(self.keys, &part.keys);
            add(self.values, &part.values);
        }
    }
}

/// Memory of a thread, for its jobs one after the other.
struct Scratch {
    /// `[tiles, C, TILE]`
    keys_transposed: Lines,
    values_transposed: Lines,
    /// `[keys, padded C]`
    keys: Lines,
    d_keys: Lines,
    d_values: Lines,
    /// Times 1/√C, `[TILE, padded C]`.
    queries: Lines,
    d_out: Lines,
    d_queries: Lines,
    /// P and dS, `[TILE, TILE]`.
    probs: Lines,
    d_scores: Lines,
}

impl Scratch {
    fn new(shape: PackedShape<'_>) -> Self {
        let (n_tiles, padded) = (shape.most_tiles(), shape.padded());
        let transposed = || Lines::zeroed(n_tiles * shape.head_dim * TILE);
        let of_keys = || Lines::zeroed(n_tiles * TILE * padded);
        let of_rows = || Lines::zeroed(TILE * padded);
        let tile = || Lines::zeroed(TILE * TILE);
        Self {
            keys_transposed: transposed(),
            values_transposed: transposed(),
            keys: of_keys(),
            d_keys: of_keys(),
            d_values: of_keys(),
            queries: of_rows(),
            d_out: of_rows(),
            d_queries: of_rows(),
            probs: tile(),
            d_scores: tile(),
        }
    }
}

struct Job<'a, 'b> {
    place: Place,
    /// Of d_out, then of the gradient of the queries; per token, `[G, C]`.
    rows: &'a mut [&'b mut [f32]],
    /// `None` where other jobs add to the gradients of the same keys.
    whole: Option<KeyGradients<'a, 'b>>,
}

impl Job<'_, '_> {
    fn run(self, inputs: &Inputs<'_>, scratch: &mut Scratch) -> Option<PartOfKeys> {
        let (shape, place) = (inputs.shape, self.place);
        let (channels, padded) = (shape.head_dim, shape.padded());
        let (stride, n_keys) = (shape.n_kv_heads * channels, place.tokens.end);
        let at = place.sequence.start * stride + place.kv_head * channels;
        transpose_in_tiles(&inputs.keys[at..], stride, n_keys, channels, &mut scratch.keys_transposed);
        transpose_in_tiles(&inputs.values[at..], stride, n_keys, channels, &mut scratch.values_transposed);
        let keys = inputs.keys[at..].chunks(stride).map(|key| &key[..channels]).take(n_keys);
        copy_scaled(keys, 1.0, padded, &mut scratch.keys);
        scratch.d_keys[..n_keys * padded].fill(0.0);
        scratch.d_values[..n_keys * padded].fill(0.0);
        for block in RowBlock::of(&place.tokens, shape.group()) {
            let normalizers = gather(&block, &place, self.rows, inputs, scratch);
            for tile in 0..block.n_tiles() {
                add_tile(&block, tile, &normalizers, shape, scratch);
            }
            for (row, gradient) in scratch.d_queries.chunks(padded).enumerate().take(block.n) {
                let (token, head) = block.token_and_head(row);
                let place = &mut self.rows[token - place.tokens.start][head * channels..][..channels];
                for (place, gradient) in place.iter_mut().zip(gradient) {
                    *place = gradient * shape.scale();
                }
            }
        }
        let found = [&scratch.d_keys, &scratch.d_values].map(|sums| &sums[..n_keys * padded]);
        let Some(whole) = self.whole else {
            let [keys, values] = found.map(<[f32]>::to_vec);
            return Some(PartOfKeys { is_first: place.tokens.start == 0, keys, values });
        };
        whole.write(found[0], found[1], padded);
        None
    }
}

/// Rows of queries and of d_out; returns the log-sum-exp and δ of each.
fn gather(
    block: &RowBlock,
    place: &Place,
    d_out: &[&mut [f32]],
    inputs: &Inputs<'_>,
    scratch: &mut Scratch,
) -> [(f32, f32); TILE] {
    let shape = inputs.shape;
    let (channels, padded, group) = (shape.head_dim, shape.padded(), shape.group());
    let mut normalizers = [(0.0, 0.0); TILE];
    let row_of = |row: usize| {
        let (token, head) = block.token_and_head(row);
        (place.sequence.start + token) * shape.n_heads + place.kv_head * group + head
    };
    let queries = (0..block.n).map(|row| &inputs.queries[row_of(row) * channels..][..channels]);
    copy_scaled(queries, shape.scale(), padded, &mut scratch.queries);
    let d_out = (0..block.n).map(|row| {
        let (token, head) = block.token_and_head(row);
        &d_out[token - place.tokens.start][head * channels..][..channels]
    });
    copy_scaled(d_out, 1.0, padded, &mut scratch.d_out);
    vectorized(
        #[inline(always)]
        || {
            for (row, normalizer) in normalizers.iter_mut().enumerate().take(block.n) {
                let out = &inputs.out[row_of(row) * channels..][..channels];
                let d_out = &scratch.d_out[row * padded..][..channels];
                let mut lanes = [0.0_f32; LANES];
                for (out, d_out) in out.chunks(LANES).zip(d_out.chunks(LANES)) {
                    for ((lane, out), d_out) in lanes.iter_mut().zip(out).zip(d_out) {
                        *lane = out.mul_add(*d_out, *lane);
                    }
                }
                *normalizer = (inputs.sums[row_of(row)], fold_lanes(lanes, |a, b| a + b));
            }
        },
    );
    normalizers
}

/// Adds what the rows of a block with the keys of a tile give.
fn add_tile(
    block: &RowBlock,
    tile: usize,
    normalizers: &[(f32, f32); TILE],
    shape: PackedShape<'_>,
    scratch: &mut Scratch,
) {
    let padded = shape.padded();
    let transposed = tile * shape.head_dim * TILE..(tile + 1) * shape.head_dim * TILE;
    let of_keys = tile * TILE * padded..(tile + 1) * TILE * padded;
    let keys_transposed = &scratch.keys_transposed[transposed.clone()];
    block.score(tile, &scratch.queries, padded, keys_transposed, &mut scratch.probs);
    let values_transposed = &scratch.values_transposed[transposed];
    block.score(tile, &scratch.d_out, padded, values_transposed, &mut scratch.d_scores);
    let (probs, d_scores) = (&mut *scratch.probs, &mut *scratch.d_scores);
    vectorized(
        #[inline(always)]
        || to_gradients(block, tile, normalizers, probs, d_scores),
    );
    block.mix(tile, &scratch.d_scores, &scratch.keys[of_keys.clone()], padded, &mut scratch.d_queries);
    block.add_to_keys(tile, &scratch.probs, &scratch.d_out, padded, &mut scratch.d_values[of_keys.clone()]);
    block.add_to_keys(tile, &scratch.d_scores, &scratch.queries, padded, &mut scratch.d_keys[of_keys]);
}

/// Scores to probabilities and their gradients D to those of the scores; 0 for keys after the row's own token.
#[inline(always)]
fn to_gradients(
    block: &RowBlock,
    tile: usize,
    normalizers: &[(f32, f32); TILE],
    probs: &mut [f32],
    d_scores: &mut [f32],
) {
    let rows = probs.as_chunks_mut::<TILE>().0.iter_mut().zip(d_scores.as_chunks_mut::<TILE>().0);
    for (row, ((probs, d_scores), (log_sum_exp, delta))) in rows.zip(normalizers).enumerate().take(block.n) {
        let seen = block.seen(row, tile);
        let (prob_chunks, _) = probs[..seen.next_multiple_of(LANES)].as_chunks_mut::<LANES>();
        let (d_chunks, _) = d_scores[..seen.next_multiple_of(LANES)].as_chunks_mut::<LANES>();
        for (probs, d_scores) in prob_chunks.iter_mut().zip(d_chunks) {
            for lane in 0..LANES {
                probs[lane] = exp_f32(probs[lane] - log_sum_exp);
                d_scores[lane] = probs[lane] * (d_scores[lane] - delta);
            }
        }
        probs[RowBlock::zeroed(seen)].fill(0.0);
        d_scores[RowBlock::zeroed(seen)].fill(0.0);
    }
}
