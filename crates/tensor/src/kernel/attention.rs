//! Causal attention with grouped queries over a cache.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::simd_exp::exp_f32;
use crate::vectorized::vectorized;

/// What the slices of [`attend`] hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    /// T, positions that ask; the last of `n_keys`.
    pub(crate) n_queries: usize,
    /// Slots of the cache that are filled.
    pub(crate) n_keys: usize,
    /// Slots of the cache.
    pub(crate) capacity: usize,
    /// H
    pub(crate) n_heads: usize,
    /// K
    pub(crate) n_kv_heads: usize,
    /// C
    pub(crate) head_dim: usize,
}

/// Positions that ask together.
const QUERY_BLOCK: usize = 64;
/// Below so many rows of queries a key is better multiplied at once than packed for a matrix product.
const WORTH_PRODUCT: usize = 8;
/// Multiplications below which starting threads costs more than it gains.
const WORTH_THREADS: usize = 1 << 17;

/// softmax(q kᵀ / √C) v, each query over the slots from `first_keys[row]` up to its own.
///
/// # Shapes
/// - `queries`: `[B, T, H, C]`
/// - `keys`, `values`: `[B, capacity, K, C]`
/// - `first_keys`: `[B]`, slots before it are padding
/// - returns: `[B, T, H, C]`; zeros where a query itself is padding
pub(crate) fn attend(
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    first_keys: &[usize],
    shape: AttentionShape,
) -> Vec<f32> {
    let width = shape.n_heads * shape.head_dim;
    let cache_row = shape.capacity * shape.n_kv_heads * shape.head_dim;
    let blocks = shape.n_queries.div_ceil(QUERY_BLOCK);
    let mut outputs = vec![0.0_f32; queries.len()];
    let jobs: Vec<_> = outputs
        .chunks_mut(shape.n_queries * width)
        .flat_map(|row| row.chunks_mut(QUERY_BLOCK * width))
        .zip(queries.chunks(shape.n_queries * width).flat_map(|row| row.chunks(QUERY_BLOCK * width)))
        .enumerate()
        .collect();
    let run = |(idx, (outputs, queries)): (usize, (&mut [f32], &[f32]))| {
        let (row, block) = (idx / blocks, idx % blocks);
        let job = Block {
            queries,
            keys: &keys[row * cache_row..][..cache_row],
            values: &values[row * cache_row..][..cache_row],
            first_key: first_keys[row],
            first_query: shape.n_keys - shape.n_queries + block * QUERY_BLOCK,
            shape,
        };
        job.run(outputs);
    };
    if jobs.len() == 1 || queries.len() * shape.n_keys < WORTH_THREADS {
        jobs.into_iter().for_each(run);
    } else {
        jobs.into_par_iter().for_each(run);
    }
    outputs
}

/// Up to [`QUERY_BLOCK`] queries of one row, all heads.
struct Block<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    first_key: usize,
    /// Slot of the first query.
    first_query: usize,
    shape: AttentionShape,
}

impl Block<'_> {
    fn run(&self, outputs: &mut [f32]) {
        let AttentionShape { n_heads, n_kv_heads, head_dim, .. } = self.shape;
        let n_queries = outputs.len() / (n_heads * head_dim);
        let end = self.first_query + n_queries;
        let first = self.first_key.min(end);
        let n_keys = end - first;
        if n_keys == 0 {
            return;
        }
        let mut scores = vec![0.0_f32; n_queries * n_keys];
        for head in 0..n_heads {
            let kv_at = (first * n_kv_heads + head / (n_heads / n_kv_heads)) * head_dim;
            let (keys, values) = (&self.keys[kv_at..], &self.values[kv_at..]);
            let at = head * head_dim;
            if n_queries < WORTH_PRODUCT {
                vectorized(
                    #[inline(always)]
                    || self.score_one_by_one(keys, at, n_keys, &mut scores),
                );
            } else {
                self.score_by_product(keys, at, n_keys, &mut scores);
            }
            vectorized(
                #[inline(always)]
                || self.softmax(first, n_keys, &mut scores),
            );
            if n_queries < WORTH_PRODUCT {
                vectorized(
                    #[inline(always)]
                    || self.mix_one_by_one(values, at, n_keys, &scores, outputs),
                );
            } else {
                self.mix_by_product(values, at, n_keys, &scores, outputs);
            }
        }
    }

    /// Numbers from one position to the next: of queries, of keys.
    fn strides(&self) -> (usize, usize) {
        (self.shape.n_heads * self.shape.head_dim, self.shape.n_kv_heads * self.shape.head_dim)
    }

    #[inline(always)]
    fn score_one_by_one(&self, keys: &[f32], at: usize, n_keys: usize, scores: &mut [f32]) {
        let (stride, kv_stride) = self.strides();
        let channels = self.shape.head_dim;
        for (query_idx, scores) in scores.chunks_mut(n_keys).enumerate() {
            let query = &self.queries[query_idx * stride + at..][..channels];
            for (score, key) in scores.iter_mut().zip(keys.chunks(kv_stride)) {
                *score = dot(query, &key[..channels]);
            }
        }
    }

    fn score_by_product(&self, keys: &[f32], at: usize, n_keys: usize, scores: &mut [f32]) {
        let (stride, kv_stride) = self.strides();
        let channels = self.shape.head_dim;
        let n_queries = scores.len() / n_keys;
        let queries = rows(&self.queries[at..], n_queries, channels, stride);
        let keys = rows(keys, n_keys, channels, kv_stride);
        let result = MatMut::from_row_major_slice_mut(scores, n_queries, n_keys);
        matmul(result, Accum::Replace, queries, keys.transpose(), 1.0, Par::Seq);
    }

    /// Turns scores into probabilities, 0 for slots after the query's own.
    #[inline(always)]
    fn softmax(&self, first: usize, n_keys: usize, scores: &mut [f32]) {
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        for (query_idx, scores) in scores.chunks_mut(n_keys).enumerate() {
            let seen = (self.first_query + query_idx + 1).saturating_sub(first);
            let (seen, unseen) = scores.split_at_mut(seen);
            unseen.fill(0.0);
            let max =
                seen.iter().fold(f32::NEG_INFINITY, |max, &score| if score > max { score } else { max });
            let mut sums = [0.0_f32; 16];
            for chunk in seen.chunks_mut(16) {
                for (score, sum) in chunk.iter_mut().zip(&mut sums) {
                    *score = exp_f32((*score - max) * scale);
                    *sum += *score;
                }
            }
            let share = 1.0 / sums.iter().sum::<f32>();
            for score in seen {
                *score *= share;
            }
        }
    }

    #[inline(always)]
    fn mix_one_by_one(&self, values: &[f32], at: usize, n_keys: usize, scores: &[f32], outputs: &mut [f32]) {
        let (stride, kv_stride) = self.strides();
        let channels = self.shape.head_dim;
        for (query_idx, scores) in scores.chunks(n_keys).enumerate() {
            let output = &mut outputs[query_idx * stride + at..][..channels];
            for (share, value) in scores.iter().zip(values.chunks(kv_stride)) {
                for (output, value) in output.iter_mut().zip(&value[..channels]) {
                    *output = share.mul_add(*value, *output);
                }
            }
        }
    }

    fn mix_by_product(&self, values: &[f32], at: usize, n_keys: usize, scores: &[f32], outputs: &mut [f32]) {
        let (stride, kv_stride) = self.strides();
        let channels = self.shape.head_dim;
        let n_queries = scores.len() / n_keys;
        let mut mixed = vec![0.0_f32; n_queries * channels];
        let result = MatMut::from_row_major_slice_mut(&mut mixed, n_queries, channels);
        let scores = MatRef::from_row_major_slice(scores, n_queries, n_keys);
        matmul(result, Accum::Replace, scores, rows(values, n_keys, channels, kv_stride), 1.0, Par::Seq);
        for (mixed, output) in mixed.chunks(channels).zip(outputs.chunks_mut(stride)) {
            output[at..at + channels].copy_from_slice(mixed);
        }
    }
}

/// `n` rows of `width` numbers, `stride` apart.
fn rows(numbers: &[f32], n: usize, width: usize, stride: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice_with_stride(&numbers[..(n - 1) * stride + width], n, width, stride)
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (mut a_chunks, mut b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    for (a, b) in a_chunks.by_ref().zip(b_chunks.by_ref()) {
        for lane in 0..16 {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
    }
    let rest =
        a_chunks.remainder().iter().zip(b_chunks.remainder()).fold(0.0, |sum, (a, b)| a.mul_add(*b, sum));
    sums.iter().sum::<f32>() + rest
}
