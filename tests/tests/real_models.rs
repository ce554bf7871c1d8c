//! Real small models against figures that were computed from the same weights in f64.
//!
//! Reads `models/` below RAZOR_DATA; without that there is nothing to do.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use razor_core::Seed;
use razor_models::{
    Checkpoint, Decoder, GenerationLimits, GenerationRequest, LmConfig, NoTap, Sampling, TokenRows,
    WeightDtype, generate, read_llama2c,
};
use serde_json::Value;

/// Logits of f32 reach 20; the layers have up to 384 terms a sum.
const ROUNDING: f64 = 1e-4;

fn folder(name: &str) -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os("RAZOR_DATA")?).join("models").join(name))
}

/// Compares with `reference.json`: the five likeliest tokens after the prompt, then the greedy completion.
fn assert_as_in_f64(policy: &Decoder, folder: &Path) {
    let reference: Value = serde_json::from_slice(&fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let ids = |field: &str| -> Vec<u32> {
        reference[field].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let (prompt, greedy) = (ids("prompt_ids"), ids("greedy_ids"));

    let hidden = policy.forward(&TokenRows::right_padded(&[&prompt]), None, &mut NoTap); // [1, T, D]
    let [_, width, hidden_size] = hidden.dims();
    let last = hidden.slice([0..1, width - 1..width]).reshape([1, hidden_size]); // [1, D]
    let logits: Vec<f32> = policy.logits(last).into_data().try_into_vec().unwrap();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    for (&token, expected) in order.iter().zip(reference["first_logits_top5"].as_array().unwrap()) {
        assert_eq!(token as u64, expected[0].as_u64().unwrap());
        let difference = f64::from(logits[token]) - expected[1].as_f64().unwrap();
        assert!(difference.abs() < ROUNDING, "token {token} is off by {difference}");
    }

    let limits = GenerationLimits {
        max_new_tokens: greedy.len() - prompt.len(),
        stop_tokens: policy.config().eos_token_ids.clone(),
        max_rows: 1,
    };
    let request = GenerationRequest { prompt: prompt.clone(), seeds: vec![Seed::new(0)] };
    let mut drawn = Vec::new();
    let mut on_end = |_, _, completion: razor_models::Completion| drawn = completion.tokens;
    generate(policy, &[request], Sampling::GREEDY, &limits, &mut |_, _, _| false, &mut on_end).unwrap();
    assert_eq!([prompt, drawn].concat(), greedy);
}

#[test]
fn the_smallest_llama2c_model_computes_what_f64_computes() {
    let Some(folder) = folder("stories260k") else { return };
    let (config, file) = read_llama2c(&folder.join("stories260K.bin")).unwrap();
    let policy = Decoder::build(&config, DType::F32, &Device::flex(), |spec| file.read(spec)).unwrap();
    assert_as_in_f64(&policy, &folder);
}

#[test]
fn a_model_folder_of_transformers_computes_what_f64_computes() {
    let Some(folder) = folder("tinystories_656k") else { return };
    let config = LmConfig::load(&folder).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    checkpoint.check(&config).unwrap();
    let read = |spec: &_| checkpoint.read(spec, WeightDtype::F32);
    let policy = Decoder::build(&config, DType::F32, &Device::flex(), read).unwrap();
    assert_as_in_f64(&policy, &folder);
}
