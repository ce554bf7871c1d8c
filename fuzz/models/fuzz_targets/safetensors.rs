//! `model.safetensors` beside a small config. First byte: 0 takes the rest as the file; else the text up to a NUL becomes
//! the header, with its length before it, and the rest the numbers, repeated to the length the header wants.
#![no_main]

use std::cell::LazyCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use razor_models::{Checkpoint, LmConfig, WeightDtype};
use tempfile::TempDir;

const CONFIG: &str = r#"{"model_type": "qwen2", "hidden_size": 4, "intermediate_size": 2, "num_attention_heads": 1,
"num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": 3, "tie_word_embeddings": true, "eos_token_id": null}"#;

/// Bytes of all tensors of the config in f32.
const BODY: usize = 4 * (3 * 4 + 4 * (4 * 4) + 3 * 4 + 3 * (2 * 4) + 3 * 4);

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("there is room for a folder"));
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    let file = if kind == 0 { rest.to_vec() } else { with_length(rest) };
    FOLDER.with(|folder| look_at(folder.path(), &file));
});

fn with_length(data: &[u8]) -> Vec<u8> {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let (header, numbers) = (&data[..end], &data[end..]);
    let body = numbers.iter().copied().chain(std::iter::once(0)).cycle().take(BODY);
    (header.len() as u64).to_le_bytes().into_iter().chain(header.iter().copied()).chain(body).collect()
}

fn look_at(folder: &Path, file: &[u8]) {
    let config = LmConfig::parse(Path::new("config.json"), CONFIG).expect("the config is right");
    std::fs::write(folder.join("model.safetensors"), file).expect("the folder can be written");
    let Ok(checkpoint) = Checkpoint::open(folder) else { return };
    let _ = checkpoint.check(&config);
    for spec in config.tensors() {
        for dtype in [WeightDtype::F32, WeightDtype::Bf16] {
            if let Ok(tensor) = checkpoint.read(&spec, dtype) {
                assert_eq!(tensor.shape, spec.shape);
            }
        }
    }
}
