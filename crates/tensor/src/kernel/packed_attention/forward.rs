//! Outputs and log-sum-exps.

use super::{
    LANES, Lines, PackedShape, Place, RowBlock, TILE, copy_scaled, fold_lanes, run_all, transpose_in_tiles,
};
use crate::simd_exp::exp_f32;
use crate::vectorized::vectorized;

/// softmax(q kᵀ / √C) v within each sequence, each token over those up to itself, and ln Σ exp of the scores.
///
/// # Shapes
/// - `queries`: `[N, H, C]`
/// - `keys`, `values`: `[N, K, C]`
/// - returns: `[N, H, C]` and `[N, H]`
pub(crate) fn attend_packed(
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    shape: PackedShape<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let mut outputs = vec![0.0_f32; queries.len()];
    let mut sums = vec![0.0_f32; queries.len() / shape.head_dim];
    let mut of_outputs = shape.by_kv_head(&mut outputs, shape.group() * shape.head_dim);
    let mut of_sums = shape.by_kv_head(&mut sums, shape.group());
    let mut outputs_left: Vec<_> = of_outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut sums_left: Vec<_> = of_sums.iter_mut().map(Vec::as_mut_slice).collect();
    let jobs = shape.places().into_iter().map(|place| Job {
        outputs: outputs_left[place.kv_head].split_off_mut(..place.tokens.len()).expect("one row per token"),
        sums: sums_left[place.kv_head].split_off_mut(..place.tokens.len()).expect("one row per token"),
        place,
    });
    let inputs = Inputs { queries, keys, values, shape };
    run_all(
        jobs.collect(),
        shape.is_worth_threads(),
        || Scratch::new(shape),
        |scratch, job| job.run(&inputs, scratch),
    );
    (outputs, sums)
}

struct Inputs<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    shape: PackedShape<'a>,
}

/// Memory of a thread, for its jobs one after the other.
struct Scratch {
    /// `[tiles, C, TILE]`
    keys: Lines,
    /// `[keys, padded C]`
    values: Lines,
    /// Times 1/√C, `[TILE, padded C]`.
    queries: Lines,
    /// `[tiles, TILE, TILE]`
    scores: Lines,
    /// `[TILE, padded C]`
    mixed: Lines,
}

impl Scratch {
    fn new(shape: PackedShape<'_>) -> Self {
        let (n_tiles, padded) = (shape.most_tiles(), shape.padded());
        Self {
            keys: Lines::zeroed(n_tiles * shape.head_dim * TILE),
            values: Lines::zeroed(n_tiles * TILE * padded),
            queries: Lines::zeroed(TILE * padded),
            scores: Lines::zeroed(n_tiles * TILE * TILE),
            mixed: Lines::zeroed(TILE * padded),
        }
    }
}

struct Job<'a, 'b> {
    place: Place,
    /// Per token, `[G, C]`.
    outputs: &'a mut [&'b mut [f32]],
    /// Per token, `[G]`.
    sums: &'a mut [&'b mut [f32]],
}

impl Job<'_, '_> {
    fn run(self, inputs: &Inputs<'_>, scratch: &mut Scratch) {
        let (shape, place) = (inputs.shape, &self.place);
        let (channels, padded, group) = (shape.head_dim, shape.padded(), shape.group());
        let (stride, n_keys) = (shape.n_kv_heads * channels, place.tokens.end);
        let at = place.sequence.start * stride + place.kv_head * channels;
        transpose_in_tiles(&inputs.keys[at..], stride, n_keys, channels, &mut scratch.keys);
        let values = inputs.values[at..].chunks(stride).map(|value| &value[..channels]).take(n_keys);
        copy_scaled(values, 1.0, padded, &mut scratch.values);
        for block in RowBlock::of(&place.tokens, group) {
            let queries = (0..block.n).map(|row| {
                let (token, head) = block.token_and_head(row);
                let head = place.kv_head * group + head;
                &inputs.queries[((place.sequence.start + token) * shape.n_heads + head) * channels..]
                    [..channels]
            });
            copy_scaled(queries, shape.scale(), padded, &mut scratch.queries);
            let normalizers = mix_block(&block, channels, padded, scratch);
            for (row, (max, sum)) in normalizers.into_iter().enumerate().take(block.n) {
                let (token, head) = block.token_and_head(row);
                let token = token - place.tokens.start;
                self.sums[token][head] = max + sum.ln();
                let output = &mut self.outputs[token][head * channels..][..channels];
                let share = 1.0 / sum;
                for (output, mixed) in output.iter_mut().zip(&scratch.mixed[row * padded..]) {
                    *output = mixed * share;
                }
            }
        }
    }
}

/// Σ exp(score − largest) · value of each row into `mixed`; returns the largest score and Σ exp(score − largest).
fn mix_block(block: &RowBlock, channels: usize, padded: usize, scratch: &mut Scratch) -> [(f32, f32); TILE] {
    let n_tiles = block.n_tiles();
    let keys = scratch.keys.chunks(channels * TILE);
    for (tile, (keys, scores)) in keys.zip(scratch.scores.chunks_mut(TILE * TILE)).enumerate().take(n_tiles) {
        block.score(tile, &scratch.queries, padded, keys, scores);
    }
    let scores = &mut scratch.scores[..n_tiles * TILE * TILE];
    let normalizers = vectorized(
        #[inline(always)]
        || exponentiate(block, scores),
    );
    let values = scratch.values.chunks(TILE * padded);
    for (tile, (values, scores)) in values.zip(scratch.scores.chunks(TILE * TILE)).enumerate().take(n_tiles) {
        block.mix(tile, scores, values, padded, &mut scratch.mixed);
    }
    normalizers
}

/// Turns scores `[tiles, TILE, TILE]` into exp(score − largest of the row), 0 for keys after the row's own token.
#[inline(always)]
fn exponentiate(block: &RowBlock, scores: &mut [f32]) -> [(f32, f32); TILE] {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut normalizers = [(0.0, 0.0); TILE];
    for (row, normalizer) in normalizers.iter_mut().enumerate().take(block.n) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for (tile, scores) in scores.chunks_exact_mut(TILE * TILE).enumerate() {
            let scores = &mut scores[row * TILE..][..TILE];
            let seen = block.seen(row, tile);
            scores[RowBlock::zeroed(seen)].fill(f32::NEG_INFINITY);
            let (chunks, _) = scores[..seen.next_multiple_of(LANES)].as_chunks::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    lanes[lane] = larger(lanes[lane], chunk[lane]);
                }
            }
        }
        let max = fold_lanes(lanes, larger);
        let mut sums = [0.0_f32; LANES];
        for (tile, scores) in scores.chunks_exact_mut(TILE * TILE).enumerate() {
            let scores = &mut scores[row * TILE..][..TILE];
            let (chunks, _) = scores[..RowBlock::zeroed(block.seen(row, tile)).end].as_chunks_mut::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    chunk[lane] = exp_f32(chunk[lane] - max);
                    sums[lane] += chunk[lane];
                }
            }
        }
        *normalizer = (max, fold_lanes(sums, |a, b| a + b));
    }
    normalizers
}
