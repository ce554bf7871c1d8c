//! A decoder that was saved is the same decoder.
//!
//! With RAZOR_KEEP_SAVED, a folder that does not exist yet, the models stay there, and
//! `tests/golden/llm_cli.py --check-saved` tells whether transformers reads them alike.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use half::bf16;
use razor_models::{Checkpoint, Decoder, HostData, LmConfig, NoTap, TensorSpec, TokenRows, WeightDtype};
use tempfile::TempDir;

const TOKENS: [u32; 7] = [5, 77, 301, 422, 9, 260, 431];

fn tiny_qwen2() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/tiny_qwen2")
}

fn load(folder: &Path, dtype: WeightDtype) -> Decoder {
    let config = LmConfig::load(folder).unwrap();
    let checkpoint = Checkpoint::open(folder).unwrap();
    checkpoint.check(&config).unwrap();
    let read = |spec: &TensorSpec| {
        // biases and norms are held in f32 by every caller
        checkpoint.read(spec, if spec.shape.len() == 1 { WeightDtype::F32 } else { dtype })
    };
    Decoder::build(&config, DType::F32, &Device::flex(), read).unwrap()
}

fn logits(policy: &Decoder) -> Vec<f32> {
    let hidden = policy.forward(&TokenRows::right_padded(&[TOKENS]), None, &mut NoTap); // [1, T, D]
    let [_, width, hidden_size] = hidden.dims();
    policy.logits(hidden.reshape([width, hidden_size])).into_data().try_into_vec().unwrap()
}

#[test]
fn a_saved_decoder_gives_the_same_logits_bit_for_bit() {
    let dir = TempDir::new().unwrap();
    let policy = load(&tiny_qwen2(), WeightDtype::F32);
    for (name, max_shard_bytes) in [("whole", u64::MAX), ("shards", 20_000)] {
        let folder = dir.path().join(name);
        policy.save(&folder, Some(&tiny_qwen2()), WeightDtype::F32, max_shard_bytes).unwrap();
        assert_eq!(folder.join("model.safetensors.index.json").is_file(), name == "shards");
        for companion in ["tokenizer.json", "chat_template.jinja", "generation_config.json"] {
            assert_eq!(
                fs::read(folder.join(companion)).unwrap(),
                fs::read(tiny_qwen2().join(companion)).unwrap()
            );
        }
        let again = load(&folder, WeightDtype::F32);
        assert_eq!(again.config(), policy.config());
        assert_eq!(logits(&again), logits(&policy), "{name}");
        if let Some(kept) = std::env::var_os("RAZOR_KEEP_SAVED") {
            again
                .save(&Path::new(&kept).join(name), Some(&folder), WeightDtype::F32, max_shard_bytes)
                .unwrap();
        }
    }
}

#[test]
fn weights_saved_as_bf16_are_the_rounded_ones_whichever_way_they_are_held() {
    let dir = TempDir::new().unwrap();
    let (from_f32, from_bf16, widened) =
        (dir.path().join("from_f32"), dir.path().join("from_bf16"), dir.path().join("widened"));
    load(&tiny_qwen2(), WeightDtype::F32).save(&from_f32, None, WeightDtype::Bf16, u64::MAX).unwrap();
    load(&tiny_qwen2(), WeightDtype::Bf16).save(&from_bf16, None, WeightDtype::Bf16, u64::MAX).unwrap();
    let bytes = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(bytes(&from_f32), bytes(&from_bf16));
    load(&from_f32, WeightDtype::Bf16).save(&widened, None, WeightDtype::F32, u64::MAX).unwrap();

    let config = LmConfig::load(&widened).unwrap();
    let [original, rounded, widened] =
        [tiny_qwen2(), from_f32, widened].map(|folder| Checkpoint::open(&folder).unwrap());
    for spec in config.tensors() {
        let values = |checkpoint: &Checkpoint| match checkpoint.read(&spec, WeightDtype::F32).unwrap().data {
            HostData::F32(values) => values,
            HostData::Bf16(_) => panic!("f32 was asked for"),
        };
        let expected: Vec<f32> = values(&original).into_iter().map(|v| bf16::from_f32(v).to_f32()).collect();
        assert_ne!(values(&original), expected, "rounding shows");
        assert_eq!(values(&rounded), expected, "{}", spec.name);
        assert_eq!(values(&widened), expected, "{}", spec.name);
    }
}

#[test]
fn a_decoder_with_a_weight_that_is_no_number_is_not_saved() {
    let dir = TempDir::new().unwrap();
    let config = LmConfig::load(&tiny_qwen2()).unwrap();
    let checkpoint = Checkpoint::open(&tiny_qwen2()).unwrap();
    let diverged = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
        let mut tensor = checkpoint.read(spec, WeightDtype::F32)?;
        if let (true, HostData::F32(values)) = (spec.name.ends_with("1.mlp.up_proj.weight"), &mut tensor.data)
        {
            values[7] = f32::NAN;
        }
        Ok::<_, razor_models::ModelError>(tensor)
    });
    let folder = dir.path().join("model");
    let refused = diverged.unwrap().save(&folder, None, WeightDtype::F32, u64::MAX).unwrap_err().to_string();
    assert!(refused.contains("layers.1.mlp.up_proj.weight") && refused.contains("not a finite"), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}
