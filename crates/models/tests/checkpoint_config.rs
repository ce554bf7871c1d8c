//! `config.json`: the same sizes as transformers, and a refusal by name for everything else.

use std::path::Path;

use proptest::prelude::*;
use razor_models::{Family, LmConfig, ModelError, RopeScaling};
use serde_json::{Value, json};

/// See `tests/golden/checkpoint.py`.
const GOLDEN: &str = include_str!("../../../tests/golden/checkpoint.json");

fn parse(config: &Value) -> Result<LmConfig, ModelError> {
    LmConfig::parse(Path::new("folder/config.json"), &config.to_string())
}

/// The config of Qwen2.5-0.5B-Instruct, as transformers 4 wrote it.
fn qwen2() -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02,
        "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
        "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": true,
        "use_sliding_window": false, "vocab_size": 151936
    })
}

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4,
        "num_hidden_layers": 1, "vocab_size": 48
    })
}

/// `base` with one field set.
fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

fn refusal(config: &Value) -> String {
    let error = parse(config).expect_err("the config is refused").to_string();
    assert!(error.contains("folder/config.json"), "{error}");
    error
}

#[test]
fn tensors_parameters_and_frequencies_are_those_of_transformers() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let (name, config) = (case["name"].as_str().unwrap(), parse(&case["config"]).unwrap());
        let ours: Value =
            config.tensors().iter().map(|spec| (spec.name.clone(), json!(spec.shape))).collect();
        assert_eq!(ours, case["tensors"], "{name}");
        assert_eq!(json!(config.n_parameters()), case["n_parameters"], "{name}");
        let theirs = case["inv_frequencies"].as_array().unwrap();
        let ours = config.inv_frequencies();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            let (ours, theirs) = (f64::from(*ours), theirs.as_f64().unwrap());
            // Two units in the last place of f32: the powers come from different libraries.
            assert!((ours / theirs - 1.0).abs() < 2.4e-7, "{name}: {ours} {theirs}");
        }
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let config = parse(&case["config"]).unwrap();
        assert_eq!(parse(&config.to_json()).unwrap(), config);
    }
}

#[test]
fn the_order_is_embedding_layers_norm_head() {
    let specs = parse(&llama()).unwrap().tensors();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!((names[0], names[1]), ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"));
    assert_eq!(names[names.len() - 2..], ["model.norm.weight", "lm_head.weight"]);
}

#[test]
fn qwen2_has_the_biases_and_sizes_that_its_class_has() {
    let config = parse(&qwen2()).unwrap();
    assert_eq!(config.family, Family::Qwen2);
    assert!(config.qkv_bias && !config.output_bias && !config.mlp_bias && config.tie_word_embeddings);
    assert_eq!((config.head_dim, config.n_kv_heads, config.max_positions), (64, 2, 32_768));
    assert_eq!((config.eos_token_ids.as_slice(), config.bos_token_id), (&[151_645][..], Some(151_643)));
    assert_eq!(config.n_parameters(), 494_032_768); // as the model card says: 0.49 B
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let config = parse(&llama()).unwrap();
    assert_eq!((config.n_kv_heads, config.head_dim, config.max_positions), (4, 8, 2_048));
    assert_eq!((config.rms_norm_eps, config.rope_theta, config.initializer_range), (1e-6, 1e4, 0.02));
    assert_eq!((config.eos_token_ids.as_slice(), config.bos_token_id), (&[2][..], Some(1)));
    assert!(!config.tie_word_embeddings && config.rope_scaling == RopeScaling::None);
    let null = parse(&with(llama(), "eos_token_id", Value::Null)).unwrap();
    assert!(null.eos_token_ids.is_empty(), "null is none, not the default");
}

#[test]
fn all_spellings_of_rope_are_read() {
    let linear = RopeScaling::Linear { factor: 2.0 };
    for (name, rope) in [
        ("rope_scaling", json!({"type": "linear", "factor": 2.0})),
        ("rope_scaling", json!({"rope_type": "linear", "type": "linear", "factor": 2})),
        ("rope_parameters", json!({"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 1.0})),
    ] {
        assert_eq!(parse(&with(llama(), name, rope)).unwrap().rope_scaling, linear);
    }
    let inside = with(llama(), "rope_parameters", json!({"rope_type": "default", "rope_theta": 5e5}));
    assert_eq!(parse(&inside).unwrap().rope_theta, 5e5);
    let llama3 =
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 2_048,
    };
    assert_eq!(parse(&with(llama(), "rope_scaling", llama3)).unwrap().rope_scaling, expected);
}

#[test]
fn rope_that_is_unknown_or_contradicts_itself_is_refused() {
    let scaled = |rope: Value| refusal(&with(llama(), "rope_scaling", rope));
    for kind in ["dynamic", "yarn", "longrope", "su", "mrope"] {
        assert!(scaled(json!({"rope_type": kind, "factor": 2.0})).contains(kind));
    }
    assert!(scaled(json!({"type": "linear", "rope_type": "default"})).contains("`type`"));
    assert!(scaled(json!({"type": "linear"})).contains("`factor` is missing"));
    assert!(scaled(json!({"type": "linear", "factor": 0.5})).contains("`factor` is 0.5"));
    assert!(scaled(json!({"type": "linear", "factor": "2"})).contains("`factor`"));
    assert!(
        scaled(json!({"type": "linear", "factor": 2, "attention_factor": 1.2})).contains("attention_factor")
    );
    assert!(scaled(json!({"partial_rotary_factor": 0.5})).contains("partial_rotary_factor"));
    assert!(scaled(json!({"full_attention": {}})).contains("full_attention"));
    assert!(scaled(json!(["linear"])).contains("rope_scaling"));
    let llama3 = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4});
    assert!(scaled(llama3).contains("low_freq_factor"));
    let two = with(with(llama(), "rope_theta", json!(1e4)), "rope_parameters", json!({"rope_theta": 5e5}));
    assert!(refusal(&two).contains("`rope_theta` is 10000, but 500000"));
    let both = with(
        with(llama(), "rope_scaling", json!({"type": "linear", "factor": 2})),
        "rope_parameters",
        json!({}),
    );
    assert!(refusal(&both).contains("disagree"));
}

#[test]
fn mathematics_that_is_not_here_is_refused_by_field() {
    for (name, value) in [
        ("hidden_act", json!("gelu")),
        ("attention_dropout", json!(0.1)),
        ("quantization_config", json!({"bits": 4})),
        ("pretraining_tp", json!(2)),
        ("partial_rotary_factor", json!(0.5)),
        ("attn_logit_softcapping", json!(50.0)),
        ("final_logit_softcapping", json!(30.0)),
        ("embedding_multiplier", json!(12.0)),
        ("attention_multiplier", json!(0.1)),
        ("residual_multiplier", json!(0.2)),
        ("logits_scaling", json!(8.0)),
        ("use_qk_norm", json!(true)),
        ("num_experts", json!(8)),
        ("num_local_experts", json!(8)),
        ("is_encoder_decoder", json!(true)),
        ("add_cross_attention", json!(true)),
        ("auto_map", json!({"AutoModel": "modeling.Other"})),
        ("rope_ratio", json!(50)),
        ("architectures", json!(["LlamaForSequenceClassification"])),
        ("architectures", json!("LlamaForCausalLM")),
        ("layer_types", json!(["sliding_attention"])),
        ("layer_types", json!("full_attention")),
        ("sliding_window", json!(4096)),
        ("use_sliding_window", json!(true)),
        ("model_type", json!("mistral")),
        ("per_layer_config", json!({"0": {"head_dim": 4}})),
    ] {
        let message = refusal(&with(llama(), name, value));
        assert!(message.contains(&format!("`{name}`")), "{name}: {message}");
    }
    for (name, value) in
        [("use_sliding_window", json!(true)), ("attention_bias", json!(false)), ("mlp_bias", json!(true))]
    {
        assert!(refusal(&with(qwen2(), name, value)).contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn values_that_change_nothing_are_taken() {
    let mut config = llama();
    for (name, value) in [
        ("quantization_config", Value::Null),
        ("num_experts", json!(0)),
        ("use_qk_norm", json!(false)),
        ("pretraining_tp", json!(1)),
        ("partial_rotary_factor", json!(1.0)),
        ("layer_types", json!(["full_attention"])),
        ("_name_or_path", json!("somewhere")),
        ("unsloth_version", json!("2026.1")),
        ("is_llama_config", json!(true)),
        ("rope_interleaved", json!(false)),
        ("pad_token_id", json!(-1)),
        ("rope_scaling", Value::Null),
        ("rope_parameters", Value::Null),
    ] {
        config[name] = value;
    }
    assert_eq!(parse(&config).unwrap(), parse(&llama()).unwrap());
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for (name, value) in [
        ("vocab_size", json!(0)),
        ("vocab_size", json!(1e18 as u64)),
        ("hidden_size", json!(-32)),
        ("hidden_size", json!(32.5)),
        ("hidden_size", json!("32")),
        ("hidden_size", json!(30)),
        ("intermediate_size", json!(u64::MAX)),
        ("num_hidden_layers", json!(1_000_000)),
        ("num_attention_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(7)),
        ("head_dim", json!(0)),
        ("max_position_embeddings", json!(0)),
        ("rms_norm_eps", json!(-1e-6)),
        ("rope_theta", json!(0.0)),
        ("rope_theta", json!(1e300)),
        ("initializer_range", json!(-1)),
        ("eos_token_id", json!(48)),
        ("eos_token_id", json!("</s>")),
        ("eos_token_id", json!([2, -1])),
        ("bos_token_id", json!(48)),
        ("tie_word_embeddings", json!("true")),
        ("attention_bias", json!(1)),
    ] {
        let message = refusal(&with(llama(), name, value.clone()));
        assert!(message.contains(&format!("`{name}`")), "{name} {value}: {message}");
    }
    for name in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "model_type",
    ] {
        let message = refusal(&with(llama(), name, Value::Null));
        assert!(message.contains(&format!("`{name}` is missing")), "{message}");
    }
    let mut qwen2 = qwen2();
    qwen2.as_object_mut().unwrap().remove("num_key_value_heads");
    assert!(refusal(&qwen2).contains("`num_key_value_heads` is missing"));
}

#[test]
fn text_that_is_no_config_is_refused() {
    let refused = |text: &str| LmConfig::parse(Path::new("config.json"), text).unwrap_err().to_string();
    let twice = llama().to_string().replacen('{', r#"{"hidden_size": 64, "#, 1);
    assert!(refused(&twice).contains("`hidden_size` stands there twice"));
    assert!(refused("").contains("config.json"));
    assert!(refused("[]").contains("expected an object"));
    assert!(refused(&llama().to_string().replace("32", "NaN")).contains("config.json"));
    assert!(refused(&llama().to_string().replace("32", "1e999")).contains("config.json"));
}

#[test]
fn generation_config_adds_its_end_tokens() {
    let dir = tempfile::tempdir().unwrap();
    assert!(LmConfig::load(dir.path()).unwrap_err().to_string().contains("config.json"));
    std::fs::write(dir.path().join("config.json"), qwen2().to_string()).unwrap();
    assert_eq!(LmConfig::load(dir.path()).unwrap().eos_token_ids, [151_645]);
    let generation = dir.path().join("generation_config.json");
    std::fs::write(&generation, r#"{"eos_token_id": [151645, 151643]}"#).unwrap();
    assert_eq!(LmConfig::load(dir.path()).unwrap().eos_token_ids, [151_645, 151_643]);
    std::fs::write(&generation, r#"{"eos_token_id": 1e9}"#).unwrap();
    assert!(LmConfig::load(dir.path()).unwrap_err().to_string().contains("generation_config.json"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\{\\}\\[\\]\",:a-z0-9 .\\\\-]{0,80}") {
        let _ = LmConfig::parse(Path::new("config.json"), &text);
    }

    #[test]
    fn no_value_of_a_field_makes_the_parser_panic(field in 0_usize..40, number in any::<f64>(), whole in any::<i64>()) {
        for value in [json!(number), json!(whole), json!([whole]), json!({"a": whole}), json!("text")] {
            let mut config = qwen2();
            let keys: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
            config[&keys[field % keys.len()]] = value;
            if let Ok(config) = parse(&config) {
                prop_assert!(config.n_parameters() > 0);
                prop_assert!(config.inv_frequencies().iter().all(|frequency| frequency.is_finite()));
            }
        }
    }
}
