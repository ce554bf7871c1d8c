//! Real checkpoints and llama2.c files.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use razor_models::{Checkpoint, HostData, LmConfig, TensorSpec, WeightDtype, read_llama2c};

/// The folder of downloaded files, when the tests are told of one.
fn data() -> Option<PathBuf> {
    std::env::var_os("RAZOR_DATA").map(PathBuf::from)
}

/// A version-0 file: seven integers, and values that count up from 0.
fn llama2c_file(words: [i32; 7], n_values: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let path = dir.path().join("model.bin");
    let values = (0..n_values).flat_map(|value| (value as f32).to_le_bytes());
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain(values).collect();
    fs::write(&path, bytes).expect("a temporary folder takes files");
    (dir, path)
}

/// Width 8, feed-forward 3, 2 layers, 2 heads of 4, 1 key head, 5 tokens, 6 positions.
const WORDS: [i32; 7] = [8, 3, 2, 2, 1, 5, 6];
const N_VALUES: usize = 40 + 16 + 128 + 64 + 64 + 128 + 16 + 48 + 48 + 48 + 8 + 24;

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}

fn f32s(data: HostData) -> Vec<f32> {
    let HostData::F32(values) = data else { panic!("llama2.c files hold f32") };
    values
}

#[test]
fn llama2c_tensors_lie_where_the_format_says() {
    let (_dir, path) = llama2c_file(WORDS, N_VALUES);
    let (config, weights) = read_llama2c(&path).unwrap();
    assert!(config.tie_word_embeddings && config.head_dim == 4 && config.max_positions == 6);
    let first =
        |name: &str, shape: &[usize]| f32s(weights.read(&spec(name, shape)).unwrap().data)[0] as usize;
    assert_eq!(first("model.embed_tokens.weight", &[5, 8]), 0);
    assert_eq!(first("model.layers.1.input_layernorm.weight", &[8]), 48);
    assert_eq!(first("model.layers.0.self_attn.q_proj.weight", &[8, 8]), 56);
    assert_eq!(first("model.layers.1.self_attn.k_proj.weight", &[4, 8]), 184 + 32);
    assert_eq!(first("model.layers.0.self_attn.v_proj.weight", &[4, 8]), 248);
    assert_eq!(first("model.layers.0.self_attn.o_proj.weight", &[8, 8]), 312);
    assert_eq!(first("model.layers.0.post_attention_layernorm.weight", &[8]), 440);
    assert_eq!(first("model.layers.0.mlp.gate_proj.weight", &[3, 8]), 456);
    assert_eq!(first("model.layers.1.mlp.down_proj.weight", &[8, 3]), 504 + 24);
    assert_eq!(first("model.layers.0.mlp.up_proj.weight", &[3, 8]), 552);
    assert_eq!(first("model.norm.weight", &[8]), 600);
    for spec in config.tensors() {
        assert_eq!(weights.read(&spec).unwrap().shape, spec.shape);
    }
}

#[test]
fn a_query_and_a_key_meet_as_before_when_pairs_become_halves() {
    let (_dir, path) = llama2c_file(WORDS, N_VALUES);
    let (config, weights) = read_llama2c(&path).unwrap();
    let read = |name: &str, shape: &[usize]| f32s(weights.read(&spec(name, shape)).unwrap().data);
    let stored: Vec<f32> = (0..N_VALUES).map(|value| value as f32).collect();
    let project = |rows: &[f32]| -> Vec<f64> {
        rows.chunks(8)
            .map(|row| row.iter().enumerate().map(|(i, w)| f64::from(*w) * (i as f64 - 3.2)).sum())
            .collect()
    };
    let angles: Vec<f64> =
        config.inv_frequencies().iter().map(|frequency| 5.0 * f64::from(*frequency)).collect();
    // Rotates the pairs whose first and second places are given.
    let rotate = |head: &[f64], places: [(usize, usize); 2]| {
        let mut rotated = head.to_vec();
        for ((first, second), angle) in places.into_iter().zip(&angles) {
            rotated[first] = head[first] * angle.cos() - head[second] * angle.sin();
            rotated[second] = head[first] * angle.sin() + head[second] * angle.cos();
        }
        rotated
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (query, key) = (
        project(&read("model.layers.1.self_attn.q_proj.weight", &[8, 8])),
        project(&read("model.layers.1.self_attn.k_proj.weight", &[4, 8])),
    );
    let (old_query, old_key) = (project(&stored[120..184]), project(&stored[216..248]));
    for head in [0..4, 4..8] {
        let ours = dot(&rotate(&query[head.clone()], [(0, 2), (1, 3)]), &key);
        let theirs = dot(&rotate(&old_query[head], [(0, 1), (2, 3)]), &old_key);
        assert!((ours / theirs - 1.0).abs() < 1e-12, "{ours} {theirs}"); // f64 sums in another order
    }
}

#[test]
fn a_negative_vocabulary_means_an_output_layer_of_its_own() {
    let words = [8, 3, 2, 2, 1, -5, 6];
    let (_dir, path) = llama2c_file(words, N_VALUES + 40);
    let (config, weights) = read_llama2c(&path).unwrap();
    assert!(!config.tie_word_embeddings && config.vocab_size == 5);
    let head = f32s(weights.read(&spec("lm_head.weight", &[5, 8])).unwrap().data);
    assert_eq!(head[0] as usize, N_VALUES);
}

#[test]
fn llama2c_files_that_are_none_are_refused() {
    let refused = |words: [i32; 7], n_values: usize| {
        let (_dir, path) = llama2c_file(words, n_values);
        let message = read_llama2c(&path).expect_err("the file is refused").to_string();
        assert!(message.contains("model.bin"), "{message}");
        message
    };
    assert!(refused(WORDS, N_VALUES - 1).contains("expected"));
    assert!(refused(WORDS, N_VALUES + 1).contains("expected"));
    assert!(refused([0x616b_3432, 1, 8, 3, 2, 2, 1], N_VALUES).contains("later version"));
    for (idx, word) in [(0, 0), (1, -1), (2, i32::MAX), (3, 3), (4, 0), (5, i32::MIN), (6, -6), (0, 6)] {
        let mut words = WORDS;
        words[idx] = word;
        refused(words, N_VALUES);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("short.bin"), [0; 27]).unwrap();
    let message = read_llama2c(&dir.path().join("short.bin")).err().unwrap().to_string();
    assert!(message.contains("short.bin: 27 bytes"), "{message}");

    let (_dir, path) = llama2c_file(WORDS, N_VALUES);
    let mut bytes = fs::read(&path).unwrap();
    bytes[28 + 4 * 600..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let (_, weights) = read_llama2c(&path).unwrap();
    let read = |name: &str, shape: &[usize]| weights.read(&spec(name, shape)).err().unwrap().to_string();
    assert!(read("model.norm.weight", &[8]).contains("`model.norm.weight` value 0 is not a finite number"));
    assert!(read("model.norm.weight", &[9]).contains("has 8 values"));
    for name in [
        "lm_head.weight",
        "",
        "model.layers.2.input_layernorm.weight",
        "input_layernorm.weight",
        "model.layers.0.",
        "model.layers.0.model.norm.weight",
    ] {
        assert!(read(name, &[8]).contains("is missing"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_llama2c_header_makes_the_reader_panic(words in prop::array::uniform7(any::<i32>()), small in prop::array::uniform7(-2..9_i32)) {
        for words in [words, small] {
            let (_dir, path) = llama2c_file(words, 100);
            let _ = read_llama2c(&path);
        }
    }
}

#[test]
fn the_published_configs_are_read() {
    let Some(data) = data() else { return };
    let load = |name: &str| LmConfig::load(&data.join("configs").join(name)).unwrap();
    let (small, large) = (load("qwen2.5-0.5b-instruct"), load("qwen2.5-3b-instruct"));
    assert_eq!((small.n_parameters(), large.n_parameters()), (494_032_768, 3_085_938_688));
    assert_eq!(small.eos_token_ids, [151_645, 151_643]);
}

#[test]
fn the_tinystories_checkpoint_is_read_from_its_head_alone() {
    let Some(data) = data() else { return };
    let folder = data.join("models/tinystories_656k");
    let (config, checkpoint) = (LmConfig::load(&folder).unwrap(), Checkpoint::open(&folder).unwrap());
    let report = checkpoint.check(&config).unwrap();
    assert!(report.embedding_is_lm_head);
    assert_eq!((report.n_tensors, config.n_parameters()), (20, 656_000));
    for spec in config.tensors() {
        checkpoint.read(&spec, WeightDtype::F32).unwrap();
    }
}

#[test]
fn the_stories_file_is_read() {
    let Some(data) = data() else { return };
    let (config, weights) =
        read_llama2c(Path::new(&data.join("models/stories260k/stories260K.bin"))).unwrap();
    assert_eq!(config.n_parameters(), 260_032);
    for spec in config.tensors() {
        weights.read(&spec).unwrap();
    }
}
