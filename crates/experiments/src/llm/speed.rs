//! How fast this machine reads a prompt, scores and writes with a network of Qwen2.5-0.5B's shape.
//!
//! The weights are random: no rate depends on their values. `tests/peers/llm_bench.py` does the same in PyTorch and
//! `tests/peers/candle_bench` in candle; both print the same keys.

use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rayon::prelude::*;
use razor_core::Seed;
use razor_models::{Decoder, Family, KvCache, LmConfig, NoTap, RopeScaling, TokenRows, rows_at};
use razor_tensor::{TileBudget, token_scores};
use serde::Serialize;

use crate::llm::process_memory::peak_bytes;
use crate::llm::random_decoder::random_decoder;

/// Tokens that prefill and scoring read.
const N_PREFILL: usize = 512;
/// Tokens in the cache before decoding begins.
const N_PROMPT: usize = 64;
/// Tokens that one repeat of decoding writes per row.
const N_NEW: usize = 64;
const MATRIX_SIDE: usize = 512;
const TILES: TileBudget = TileBudget { bytes: 128 << 20 };
/// 512 MiB of f32: far more than caches of a usual CPU hold.
const COPIED: usize = 1 << 27;
/// Share of the measured time that goes before it: first-call set-up, page faults, clock.
pub(super) const WARM_UP: f64 = 0.25;

/// Rates on all cores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LlmSpeed {
    /// Rate of a 512 x 512 x 512 product of f32 matrices, GFLOP/s.
    pub matrix_gflops: f64,
    /// Bytes read per second, 1e9 of them, while memory is copied: as many are written besides.
    pub copy_bandwidth_gb_per_second: f64,
    /// 512 tokens into a new cache, logits of the last one.
    pub prefill_tokens_per_second: f64,
    /// Log-probabilities of 512 tokens by tiles of logits; PyTorch's peer makes the whole logits and no log-probabilities.
    pub score_tokens_per_second: f64,
    /// Greedy decoding of one row after 64 tokens.
    pub decode_batch_1_tokens_per_second: f64,
    /// Of eight rows.
    pub decode_batch_8_tokens_per_second: f64,
    /// As above with weights stored as bf16; activations and arithmetic are f32.
    pub prefill_bf16_weights_tokens_per_second: f64,
    /// Of one row.
    pub decode_batch_1_bf16_weights_tokens_per_second: f64,
    /// Of eight rows.
    pub decode_batch_8_bf16_weights_tokens_per_second: f64,
    /// Numbers in the weights.
    pub parameters: usize,
    /// Most memory that the process had after it had made the f32 weights; `None` where the system does not tell.
    pub peak_bytes_after_loading: Option<usize>,
    /// Bytes of f32 weights that one step of decoding reads; the tied embedding is read once, as the head.
    pub weight_bytes_per_token: usize,
    /// Of bf16 weights; biases and norms are f32.
    pub weight_bytes_per_token_bf16: usize,
    /// Weights read per second by decoding one row, over the copy bandwidth. Reading alone is faster than copying, so it may
    /// be above 1.
    pub decode_batch_1_bandwidth_share: f64,
    /// With bf16 weights.
    pub decode_batch_1_bf16_weights_bandwidth_share: f64,
}

/// Measures all rates, each for about `seconds`, with `n_layers` of Qwen2.5-0.5B's 24 layers and its whole head.
///
/// Memory: one copy of the weights at a time, 2 GB in f32 with all layers; 1 GB after them.
pub fn measure_llm_speed(n_layers: usize, seconds: f64, device: &Device) -> LlmSpeed {
    let matrix_gflops = matrix_gflops(seconds, device);
    let config = config(n_layers);
    let wide = Bench::new(&config, DType::F32, device);
    let peak_bytes_after_loading = peak_bytes();
    let prefill_tokens_per_second = wide.rate(seconds, Bench::prefill);
    let score_tokens_per_second = wide.rate(seconds, Bench::score);
    let decode_batch_1_tokens_per_second = wide.rate(seconds, |bench| bench.decode(1));
    let decode_batch_8_tokens_per_second = wide.rate(seconds, |bench| bench.decode(8));
    drop(wide);
    let narrow = Bench::new(&config, DType::BF16, device);
    let narrow_decode = narrow.rate(seconds, |bench| bench.decode(1));
    let narrow_prefill = narrow.rate(seconds, Bench::prefill);
    let narrow_decode_8 = narrow.rate(seconds, |bench| bench.decode(8));
    drop(narrow);
    let copy_bandwidth_gb_per_second = copy_bandwidth(seconds);
    let (parameters, [wide_bytes, narrow_bytes]) = weight_sizes(&config);
    let share = |rate: f64, bytes: usize| rate * bytes as f64 * 1e-9 / copy_bandwidth_gb_per_second;
    LlmSpeed {
        matrix_gflops,
        copy_bandwidth_gb_per_second,
        prefill_tokens_per_second,
        score_tokens_per_second,
        decode_batch_1_tokens_per_second,
        decode_batch_8_tokens_per_second,
        prefill_bf16_weights_tokens_per_second: narrow_prefill,
        decode_batch_1_bf16_weights_tokens_per_second: narrow_decode,
        decode_batch_8_bf16_weights_tokens_per_second: narrow_decode_8,
        parameters,
        peak_bytes_after_loading,
        weight_bytes_per_token: wide_bytes,
        weight_bytes_per_token_bf16: narrow_bytes,
        decode_batch_1_bandwidth_share: share(decode_batch_1_tokens_per_second, wide_bytes),
        decode_batch_1_bf16_weights_bandwidth_share: share(narrow_decode, narrow_bytes),
    }
}

/// Qwen2.5-0.5B, from the config.json that it is published with.
pub(super) fn config(n_layers: usize) -> LmConfig {
    LmConfig {
        family: Family::Qwen2,
        vocab_size: 151_936,
        hidden_size: 896,
        intermediate_size: 4864,
        n_layers,
        n_heads: 14,
        n_kv_heads: 2,
        head_dim: 64,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: true,
        qkv_bias: true,
        output_bias: false,
        mlp_bias: false,
        max_positions: 32_768,
        initializer_range: 0.02,
        eos_token_ids: Vec::new(),
        bos_token_id: None,
    }
}

/// Parameters, and bytes of them with f32 and with bf16 matrices.
fn weight_sizes(config: &LmConfig) -> (usize, [usize; 2]) {
    let (mut n, mut bytes) = (0, [0, 0]);
    for spec in config.tensors() {
        let numbers: usize = spec.shape.iter().product();
        n += numbers;
        bytes[0] += 4 * numbers;
        bytes[1] += if spec.shape.len() == 2 { 2 } else { 4 } * numbers;
    }
    (n, bytes)
}

/// A network and what it reads.
struct Bench {
    policy: Decoder,
    ids: Vec<u32>,
}

impl Bench {
    fn new(config: &LmConfig, dtype: DType, device: &Device) -> Self {
        let policy = random_decoder(config, dtype, device);
        let mut rng = Seed::new(0).rng();
        let n_ids = 8 * N_PREFILL;
        Self { policy, ids: (0..n_ids).map(|_| rng.random_range(0..config.vocab_size as u32)).collect() }
    }

    /// Amount per timed second; `work` gives amount and seconds.
    fn rate(&self, seconds: f64, work: impl Fn(&Self) -> (f64, f64)) -> f64 {
        timed(seconds * WARM_UP, || work(self));
        timed(seconds, || work(self))
    }

    fn cache(&self, n_rows: usize, capacity: usize) -> KvCache {
        KvCache::new(self.policy.config(), &vec![0; n_rows], capacity, DType::F32, &self.policy.device())
    }

    fn prefill(&self) -> (f64, f64) {
        let start = Instant::now();
        let mut cache = self.cache(1, N_PREFILL);
        let tokens = TokenRows::right_padded(&[&self.ids[..N_PREFILL]]);
        std::hint::black_box(self.next_tokens(&tokens, &mut cache));
        (N_PREFILL as f64, start.elapsed().as_secs_f64())
    }

    fn score(&self) -> (f64, f64) {
        let start = Instant::now();
        let tokens = TokenRows::right_padded(&[&self.ids[..N_PREFILL]]);
        let hidden = self.policy.forward(&tokens, None, &mut NoTap); // [1, T, D]
        let positions: Vec<usize> = (0..N_PREFILL).collect();
        let targets = &self.ids[1..=N_PREFILL];
        let scores = token_scores(rows_at(hidden, &positions), self.policy.head(), targets, 1.0, TILES);
        std::hint::black_box(scores);
        (N_PREFILL as f64, start.elapsed().as_secs_f64())
    }

    /// The prompt is not timed.
    fn decode(&self, n_rows: usize) -> (f64, f64) {
        let mut cache = self.cache(n_rows, N_PROMPT + N_NEW);
        let prompts: Vec<&[u32]> = self.ids.chunks(N_PROMPT).take(n_rows).collect();
        let mut next = self.next_tokens(&TokenRows::right_padded(&prompts), &mut cache);
        let start = Instant::now();
        for _ in 0..N_NEW {
            let rows: Vec<[u32; 1]> = next.iter().map(|&token| [token]).collect();
            next = self.next_tokens(&TokenRows::right_padded(&rows), &mut cache);
        }
        std::hint::black_box(next);
        ((n_rows * N_NEW) as f64, start.elapsed().as_secs_f64())
    }

    /// The likeliest token after each row.
    fn next_tokens(&self, tokens: &TokenRows, cache: &mut KvCache) -> Vec<u32> {
        let (n_rows, width) = (tokens.n_rows(), tokens.width());
        let hidden = self.policy.forward(tokens, Some(cache), &mut NoTap); // [B, T, D]
        let last: Vec<usize> = (0..n_rows).map(|row| row * width + width - 1).collect();
        let logits = self.policy.logits(rows_at(hidden, &last)).into_data(); // [B, V]
        let logits = logits.as_slice::<f32>().expect("logits are f32");
        logits.chunks(self.policy.config().vocab_size).map(likeliest).collect()
    }
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut lanes = [f32::NEG_INFINITY; 16]; // one maximum would be a chain of 151,936 comparisons
    for chunk in logits.chunks(lanes.len()) {
        for (max, &logit) in lanes.iter_mut().zip(chunk) {
            *max = if logit > *max { logit } else { *max };
        }
    }
    let best = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == best).unwrap_or(0) as u32
}

fn matrix_gflops(seconds: f64, device: &Device) -> f64 {
    let side = MATRIX_SIDE;
    let mut rng = Seed::new(0).rng();
    let factors: [Tensor<2>; 2] = std::array::from_fn(|_| {
        let numbers: Vec<f32> = (0..side * side).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(numbers, [side, side]), device)
    });
    let work = || {
        let start = Instant::now();
        std::hint::black_box(factors[0].clone().matmul(factors[1].clone()).into_data()); // [side, side]
        (2e-9 * (side as f64).powi(3), start.elapsed().as_secs_f64())
    };
    timed(seconds * WARM_UP, work);
    timed(seconds, work)
}

fn copy_bandwidth(seconds: f64) -> f64 {
    let (from, mut to) = (vec![1.0_f32; COPIED], vec![0.0_f32; COPIED]);
    let share = COPIED.div_ceil(rayon::current_num_threads());
    let mut work = || {
        let start = Instant::now();
        to.par_chunks_mut(share).zip(from.par_chunks(share)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&to);
        (4e-9 * COPIED as f64, start.elapsed().as_secs_f64())
    };
    timed(seconds * WARM_UP, &mut work);
    timed(seconds, work)
}

/// Amount per timed second, over at least `seconds` timed ones.
pub(super) fn timed(seconds: f64, mut work: impl FnMut() -> (f64, f64)) -> f64 {
    let (mut done, mut elapsed) = (0.0, 0.0);
    loop {
        let (amount, took) = work();
        (done, elapsed) = (done + amount, elapsed + took);
        if elapsed >= seconds {
            return done / elapsed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_has_the_parameters_that_qwen_counts() {
        let (n, [wide, narrow]) = weight_sizes(&config(24));
        assert_eq!(n, 494_032_768); // the published model's number, its tied embedding counted once
        assert_eq!(wide, 4 * n);
        assert!(narrow > 2 * n && (narrow as f64) < 2.01 * n as f64, "{narrow}");
    }

    #[test]
    fn of_equal_logits_the_first_is_taken() {
        assert_eq!(likeliest(&[0.0, 2.0, 1.0, 2.0]), 1);
    }
}
