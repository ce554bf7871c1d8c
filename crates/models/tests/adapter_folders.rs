//! Adapter folders in PEFT's layout: what is written reads back, and what cannot be used is refused by field or tensor.

#![expect(clippy::unwrap_used, reason = "a temporary folder that cannot be used should fail the test here")]

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use burn::tensor::{DType, Device, Tensor};
use half::{bf16, f16};
use razor_core::Seed;
use razor_models::{Decoder, HostData, HostTensor, LmConfig, LoraConfig, ModelError};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const FIRST_A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
const FIRST_B: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";

type Rounding = fn(f32) -> f32;
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn base() -> Decoder {
    static BASE: LazyLock<Decoder> = LazyLock::new(build);
    BASE.clone()
}

/// Two layers with different sizes of everything.
fn build() -> Decoder {
    let config = json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 6, "num_attention_heads": 2,
        "num_key_value_heads": 1, "num_hidden_layers": 2, "vocab_size": 5, "tie_word_embeddings": false
    });
    let config = LmConfig::parse(Path::new("config.json"), &config.to_string()).unwrap();
    let Ok(base) = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
        let n: usize = spec.shape.iter().product();
        let numbers = (0..n).map(|idx| ((7 * idx + n) % 19) as f32 / 16.0 - 0.5).collect();
        Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data: HostData::F32(numbers) })
    });
    base
}

fn shape() -> LoraConfig {
    LoraConfig {
        rank: 3,
        alpha: 6.0,
        use_rslora: false,
        targets: ["q_proj", "down_proj"].map(str::to_owned).to_vec(),
    }
}

/// An adapter whose factors are all different from 0.
fn adapted() -> Decoder {
    let fresh = base().with_lora(&shape(), Seed::new(4));
    let factors: Vec<_> = fresh.adapter_parameters().into_iter().map(|(_, factor)| factor.id()).collect();
    fresh.updated(|id, values| match factors.iter().position(|factor| *factor == id) {
        Some(idx) => values + 0.1 * (idx + 1) as f32,
        None => values,
    })
}

/// A folder as it should be.
fn written() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    adapted().save_peft_adapter(dir.path(), &shape(), "some/base").unwrap();
    dir
}

fn factors(decoder: &Decoder) -> Vec<(String, Vec<f32>)> {
    let listed = decoder.adapter_parameters();
    listed.into_iter().map(|(name, parameter)| (name, numbers(parameter.values()))).collect()
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn read(dir: &TempDir) -> Result<Decoder, ModelError> {
    base().with_peft_adapter(dir.path())
}

fn refused(dir: &TempDir) -> String {
    match read(dir) {
        Ok(_) => panic!("the adapter was read"),
        Err(error) => error.to_string(),
    }
}

fn config_of(dir: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(dir.path().join(CONFIG)).unwrap()).unwrap()
}

/// A sound folder but for these fields of its config.
fn with_fields(fields: &[(&str, Value)]) -> TempDir {
    let dir = written();
    let mut config = config_of(&dir);
    for (name, value) in fields {
        config[*name] = value.clone();
    }
    fs::write(dir.path().join(CONFIG), config.to_string()).unwrap();
    dir
}

fn tensors_of(dir: &TempDir) -> Vec<Stored> {
    let bytes = fs::read(dir.path().join(WEIGHTS)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut list: Vec<Stored> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

/// A sound folder but for its tensors.
fn with_tensors(change: impl FnOnce(&mut Vec<Stored>)) -> TempDir {
    let dir = written();
    let mut list = tensors_of(&dir);
    change(&mut list);
    let views = list.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(dir.path().join(WEIGHTS), serialize(views, None).unwrap()).unwrap();
    dir
}

fn of_name<'a>(list: &'a mut [Stored], name: &str) -> &'a mut Stored {
    list.iter_mut().find(|stored| stored.0 == name).unwrap()
}

#[test]
fn what_is_written_reads_back_bit_for_bit() {
    let read = read(&written()).unwrap();
    assert_eq!(factors(&read), factors(&adapted()));
    assert_eq!(factors(&read).len(), 8);
    let merged = |decoder: Decoder| -> Vec<Vec<f32>> {
        decoder.merged().parameters().into_iter().map(|(_, parameter)| numbers(parameter.values())).collect()
    };
    assert_eq!(merged(read), merged(adapted()));
}

#[test]
fn a_config_with_every_field_at_the_default_of_peft_is_read() {
    let defaults = json!({
        "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
        "corda_config": null, "ensure_weight_tying": false, "eva_config": null, "exclude_modules": null,
        "init_lora_weights": true, "kasa_config": null, "layer_replication": null, "layers_pattern": null,
        "layers_to_transform": null, "loftq_config": {}, "lora_bias": false, "lora_ga_config": null,
        "megatron_config": null, "megatron_core": "megatron.core", "modules_to_save": null,
        "monteclora_config": null, "peft_version": "0.21.2", "qalora_group_size": 16, "rank_pattern": {},
        "revision": null, "target_parameters": null, "trainable_token_indices": null, "use_bdlora": null,
        "use_dora": false, "use_qalora": false, "velora_config": null, "lora_dropout": 0.1
    });
    let fields: Vec<(&str, Value)> =
        defaults.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(factors(&read(&with_fields(&fields)).unwrap()), factors(&adapted()));
    for start in ["gaussian", "eva", "orthogonal"] {
        assert!(read(&with_fields(&[("init_lora_weights", json!(start))])).is_ok(), "{start}");
    }
}

#[test]
fn what_would_change_the_mathematics_is_refused_by_name() {
    let cases = [
        ("peft_type", json!("IA3")),
        ("peft_type", json!(null)),
        ("use_dora", json!(true)),
        ("fan_in_fan_out", json!(true)),
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("lora_bias", json!(true)),
        ("rank_pattern", json!({ "q_proj": 2 })),
        ("alpha_pattern", json!({ "q_proj": 2 })),
        ("modules_to_save", json!(["lm_head"])),
        ("layers_to_transform", json!([0])),
        ("layers_to_transform", json!(0)),
        ("layers_pattern", json!("layers")),
        ("layer_replication", json!([[0, 2], [0, 2]])),
        ("exclude_modules", json!(["k_proj"])),
        ("target_parameters", json!(["mlp.experts.up_proj"])),
        ("trainable_token_indices", json!([1, 2])),
        ("alora_invocation_tokens", json!([1])),
        ("arrow_config", json!({ "top_k": 3 })),
        ("kasa_config", json!({ "beta": 1e-4 })),
        ("megatron_config", json!({ "tensor_model_parallel_size": 1 })),
        ("monteclora_config", json!({ "n": 2 })),
        ("velora_config", json!({ "n": 2 })),
        ("use_bdlora", json!({ "nblocks": 2 })),
        ("use_qalora", json!(true)),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("corda")),
        ("init_lora_weights", json!("loftq")),
        ("init_lora_weights", json!("lora_ga")),
        ("use_something_of_a_later_peft", json!(true)),
    ];
    for (field, value) in cases {
        let message = refused(&with_fields(&[(field, value.clone())]));
        assert!(message.contains(&format!("`{field}`")) && message.contains(CONFIG), "{value}: {message}");
    }
}

#[test]
fn a_field_of_another_type_is_refused_by_name() {
    let cases = [
        ("r", json!("3")),
        ("r", json!(-1)),
        ("r", json!(1.5)),
        ("r", json!(null)),
        ("lora_alpha", json!("6")),
        ("use_rslora", json!(1)),
        ("target_modules", json!(null)),
        ("target_modules", json!(".*q_proj")),
        ("target_modules", json!([3])),
        ("bias", json!(false)),
        ("init_lora_weights", json!(3)),
        ("peft_type", json!(7)),
    ];
    for (field, value) in cases {
        let message = refused(&with_fields(&[(field, value.clone())]));
        assert!(message.contains(&format!("`{field}`")) && message.contains(CONFIG), "{value}: {message}");
    }
    assert!(refused(&with_fields(&[("r", json!(0))])).contains("rank"));
    assert!(refused(&with_fields(&[("target_modules", json!([]))])).contains("target"));
}

#[test]
fn rank_alpha_and_rslora_are_the_scale_of_the_product() {
    let plain = read(&written()).unwrap().merged();
    let base = base();
    let change = |merged: &Decoder| -> Vec<f32> {
        let weight = |decoder: &Decoder| numbers(decoder.parameters()[1].1.values()); // q_proj of layer 0
        weight(merged).iter().zip(weight(&base)).map(|(merged, base)| merged - base).collect()
    };
    let cases = [
        (vec![("lora_alpha", json!(12))], 2.0),
        (vec![("lora_alpha", json!(null))], 8.0 / 6.0),
        (vec![("use_rslora", json!(true))], 3.0_f32.sqrt()),
        (vec![("lora_alpha", json!(0))], 0.0),
    ];
    for (fields, factor) in cases {
        let found = change(&read(&with_fields(&fields)).unwrap().merged());
        for (found, plain) in found.iter().zip(change(&plain)) {
            // Sums near 1 are rounded to 6e-8, and a factor of 2 is taken of that.
            assert!((found - factor * plain).abs() < 4e-7, "{fields:?}: {found}, plain {plain}");
        }
    }
}

#[test]
fn a_target_may_be_the_end_of_a_name_or_the_whole_of_it() {
    let names = [
        "model.layers.0.self_attn.q_proj",
        "layers.1.self_attn.q_proj",
        "mlp.down_proj",
        "model.layers.1.mlp.down_proj",
    ];
    let found = read(&with_fields(&[("target_modules", json!(names))])).unwrap();
    assert_eq!(factors(&found), factors(&adapted()));
}

#[test]
fn a_target_that_does_not_exist_is_refused_by_name() {
    for target in [
        "lm_head",
        "embed_tokens",
        "c_attn",
        "proj",
        "_proj",
        "",
        "model.layers.2.mlp.down_proj",
        "layers.0.self_attn.down_proj",
        "self_attn",
    ] {
        let targets = json!(["q_proj", "down_proj", target]);
        let message = refused(&with_fields(&[("target_modules", targets)]));
        assert!(message.contains(&format!("`{target}`")) && message.contains(CONFIG), "{message}");
    }
}

#[test]
fn an_adapter_of_fewer_layers_is_a_missing_tensor() {
    let dir = with_tensors(|list| list.retain(|stored| !stored.0.contains("layers.1")));
    assert!(
        refused(&dir).contains("`base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight` is missing")
    );
}

#[test]
fn a_missing_factor_is_named() {
    for name in [FIRST_A, FIRST_B] {
        let message = refused(&with_tensors(|list| list.retain(|stored| stored.0 != name)));
        assert!(message.contains(&format!("`{name}` is missing")) && message.contains(WEIGHTS), "{message}");
    }
}

#[test]
fn a_tensor_that_no_target_has_is_named() {
    for name in [
        "base_model.model.lm_head.weight",
        "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight",
    ] {
        let message = refused(&with_tensors(|list| {
            list.push((name.to_owned(), Dtype::F32, vec![1, 2], vec![0; 8]));
        }));
        assert!(message.contains(&format!("`{name}`")) && message.contains(WEIGHTS), "{message}");
    }
}

#[test]
fn a_factor_of_another_shape_is_named_with_both_shapes() {
    let transposed = with_tensors(|list| of_name(list, FIRST_A).2.reverse());
    let message = refused(&transposed);
    assert!(message.contains(FIRST_A) && message.contains("[8, 3], expected [3, 8]"), "{message}");
    let flat = with_tensors(|list| of_name(list, FIRST_B).2 = vec![24]);
    let message = refused(&flat);
    assert!(message.contains(FIRST_B) && message.contains("[24], expected [8, 3]"), "{message}");
    let message = refused(&with_fields(&[("r", json!(2))]));
    assert!(message.contains(FIRST_A) && message.contains("[3, 8], expected [2, 8]"), "{message}");
    let message = refused(&with_fields(&[("r", json!(u64::MAX))]));
    assert!(message.contains(FIRST_A), "{message}");
}

#[test]
fn a_number_that_is_not_finite_is_named_with_its_tensor() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let dir = with_tensors(|list| of_name(list, FIRST_B).3[20..24].copy_from_slice(&bad.to_le_bytes()));
        let message = refused(&dir);
        assert!(message.contains(FIRST_B) && message.contains("not finite"), "{message}");
    }
}

#[test]
fn narrow_factors_are_widened_and_other_types_refused() {
    let narrowed = |dtype: Dtype, narrow: fn(f32) -> [u8; 2]| {
        with_tensors(|list| {
            for stored in list.iter_mut() {
                let numbers = stored.3.as_chunks::<4>().0.iter();
                stored.3 = numbers.flat_map(|bytes| narrow(f32::from_le_bytes(*bytes))).collect();
                stored.1 = dtype;
            }
        })
    };
    let expected = factors(&adapted());
    let cases: [(TempDir, Rounding); 2] = [
        (narrowed(Dtype::F16, |x| f16::from_f32(x).to_le_bytes()), |x| f16::from_f32(x).to_f32()),
        (narrowed(Dtype::BF16, |x| bf16::from_f32(x).to_le_bytes()), |x| bf16::from_f32(x).to_f32()),
    ];
    for (dir, rounded) in cases {
        for ((name, found), (_, expected)) in factors(&read(&dir).unwrap()).iter().zip(&expected) {
            assert_eq!(*found, expected.iter().map(|&x| rounded(x)).collect::<Vec<_>>(), "{name}");
        }
    }
    let whole = with_tensors(|list| of_name(list, FIRST_A).1 = Dtype::I32);
    let message = refused(&whole);
    assert!(message.contains(FIRST_A) && message.contains("I32"), "{message}");
}

#[test]
fn a_file_cut_anywhere_is_an_error_with_its_path() {
    let dir = written();
    for file in [CONFIG, WEIGHTS] {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        for n in 0..whole.len() {
            fs::write(&path, &whole[..n]).unwrap();
            // A config is followed by a line break.
            if whole[n..] != *b"\n" {
                let message = refused(&dir);
                assert!(message.contains(file), "{n} bytes of {file}: {message}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    read(&dir).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    for file in [CONFIG, WEIGHTS] {
        let dir = written();
        fs::remove_file(dir.path().join(file)).unwrap();
        assert!(refused(&dir).contains(&format!("{file}: ")), "{}", refused(&dir));
    }
}
