//! candle's side of `cargo xtask bench llm`: reading a prompt and writing with a network of Qwen2.5-0.5B's shape.
//!
//!     candle_bench --seconds 5 --layers 24
//!
//! Prints one JSON object with the keys of `tests/peers/llm_bench.py`; see there for what each figure is. The weights are
//! random f32. The cache is candle's own, which grows by concatenation. candle has no public way to the logits of every
//! position, so `score_tokens_per_second` is missing.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::qwen2::{Config, ModelForCausalLM};
use serde_json::json;

const N_PREFILL: usize = 512;
const N_PROMPT: usize = 64;
const N_NEW: usize = 64;
const MATRIX_SIDE: usize = 512;

/// Qwen2.5-0.5B, from the config.json that it is published with.
fn config(n_layers: usize) -> Config {
    Config {
        vocab_size: 151_936,
        hidden_size: 896,
        intermediate_size: 4864,
        num_hidden_layers: n_layers,
        num_attention_heads: 14,
        num_key_value_heads: 2,
        max_position_embeddings: 32_768,
        sliding_window: 32_768,
        max_window_layers: 24,
        tie_word_embeddings: true,
        rope_theta: 1e6,
        rms_norm_eps: 1e-6,
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    }
}

/// The network with random weights.
fn model(n_layers: usize) -> Result<ModelForCausalLM> {
    let config = config(n_layers);
    let (d, inner, keys) = (config.hidden_size, config.intermediate_size, 128);
    let mut tensors = HashMap::new();
    let mut add = |name: String, shape: &[usize]| -> Result<()> {
        tensors.insert(name, Tensor::randn(0.0_f32, 0.02, shape, &Device::Cpu)?);
        Ok(())
    };
    add("model.embed_tokens.weight".into(), &[config.vocab_size, d])?;
    add("model.norm.weight".into(), &[d])?;
    for layer in 0..n_layers {
        let at = |part: &str| format!("model.layers.{layer}.{part}");
        for (part, out) in [("q_proj", d), ("k_proj", keys), ("v_proj", keys)] {
            add(at(&format!("self_attn.{part}.weight")), &[out, d])?;
            add(at(&format!("self_attn.{part}.bias")), &[out])?;
        }
        add(at("self_attn.o_proj.weight"), &[d, d])?;
        add(at("mlp.gate_proj.weight"), &[inner, d])?;
        add(at("mlp.up_proj.weight"), &[inner, d])?;
        add(at("mlp.down_proj.weight"), &[d, inner])?;
        add(at("input_layernorm.weight"), &[d])?;
        add(at("post_attention_layernorm.weight"), &[d])?;
    }
    Ok(ModelForCausalLM::new(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))?)
}

fn ids(n_rows: usize, width: usize) -> Result<Tensor> {
    let ids: Vec<u32> = (0..n_rows * width).map(|at| (at as u32).wrapping_mul(2_654_435_761) % 151_936).collect();
    Ok(Tensor::from_vec(ids, (n_rows, width), &Device::Cpu)?)
}

/// Tokens read and seconds taken.
fn prefill(model: &mut ModelForCausalLM) -> Result<(f64, f64)> {
    let ids = ids(1, N_PREFILL)?;
    model.clear_kv_cache();
    let start = Instant::now();
    std::hint::black_box(model.forward(&ids, 0)?);
    Ok((N_PREFILL as f64, start.elapsed().as_secs_f64()))
}

/// Tokens written and seconds taken; the prompt is not timed.
fn decode(model: &mut ModelForCausalLM, n_rows: usize) -> Result<(f64, f64)> {
    let ids = ids(n_rows, N_PROMPT)?;
    model.clear_kv_cache();
    let mut tokens = model.forward(&ids, 0)?.argmax(D::Minus1)?; // [B, 1]
    let start = Instant::now();
    for step in 0..N_NEW {
        tokens = model.forward(&tokens, N_PROMPT + step)?.argmax(D::Minus1)?; // [B, 1]
    }
    Ok(((n_rows * N_NEW) as f64, start.elapsed().as_secs_f64()))
}

/// Amount per timed second over at least `seconds` timed ones, after a warm-up.
fn rate(seconds: f64, mut work: impl FnMut() -> Result<(f64, f64)>) -> Result<f64> {
    let mut timed = |seconds: f64| {
        let (mut done, mut elapsed) = (0.0, 0.0);
        while elapsed < seconds {
            let (amount, took) = work()?;
            (done, elapsed) = (done + amount, elapsed + took);
        }
        anyhow::Ok(done / elapsed)
    };
    timed(0.25 * seconds)?;
    timed(seconds)
}

fn parse() -> Result<(f64, usize)> {
    let (mut seconds, mut n_layers) = (5.0, 24);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} lacks a value"))?;
        match name.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--layers" => n_layers = value.parse()?,
            _ => bail!("expected --seconds or --layers, found {name}"),
        }
    }
    ensure!(seconds > 0.0 && n_layers > 0, "--seconds and --layers must be above 0");
    Ok((seconds, n_layers))
}

fn main() -> Result<()> {
    let (seconds, n_layers) = parse()?;
    let mut model = model(n_layers)?;
    let side = (MATRIX_SIDE, MATRIX_SIDE);
    let (left, right) =
        (Tensor::randn(0.0_f32, 1.0, side, &Device::Cpu)?, Tensor::randn(0.0_f32, 1.0, side, &Device::Cpu)?);
    let product = || {
        let start = Instant::now();
        std::hint::black_box(left.matmul(&right)?);
        Ok((2e-9 * (MATRIX_SIDE as f64).powi(3), start.elapsed().as_secs_f64()))
    };
    let report = json!({
        "peer": "candle",
        "candle": "0.11.1",
        "dtype": "float32",
        "layers": n_layers,
        "seconds": seconds,
        "matrix_gflops": rate(seconds, product)?,
        "prefill_tokens_per_second": rate(seconds, || prefill(&mut model))?,
        "decode_batch_1_tokens_per_second": rate(seconds, || decode(&mut model, 1))?,
        "decode_batch_8_tokens_per_second": rate(seconds, || decode(&mut model, 8))?,
    });
    println!("{report}");
    Ok(())
}
