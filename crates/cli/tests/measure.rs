//! `razor measure` on model folders of fresh weights.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use razor_core::Seed;
use razor_models::{HostData, HostTensor, LmConfig, WeightDtype, fingerprint_weights, save_model};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Writes a Qwen2 of two layers with weights from a seed.
fn write_model(dir: &Path, name: &str, vocab_size: usize, seed: u64) {
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/text/byte_level");
    let json = format!(
        r#"{{"model_type": "qwen2", "vocab_size": {vocab_size}, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128,
        "tie_word_embeddings": true}}"#
    );
    let config = LmConfig::parse(Path::new("config.json"), &json).unwrap();
    let mut tensor_idx = 0;
    let mut draw = |spec: &razor_models::TensorSpec| {
        use rand::Rng;
        tensor_idx += 1;
        let mut rng = Seed::new(seed).derive("tensor", tensor_idx).rng();
        let n = spec.shape.iter().product();
        let data = (0..n).map(|_| rng.random::<f32>() - 0.5).collect();
        Ok(HostTensor { shape: spec.shape.clone(), data: HostData::F32(data) })
    };
    let (folder, specs) = (dir.join(name), config.tensors());
    let config = config.to_json();
    save_model(&folder, &config, Some(&tokenizer), &specs, WeightDtype::F32, 1 << 30, &mut draw).unwrap();
}

fn write_prompts(dir: &Path, n: usize) -> PathBuf {
    let path = dir.join("prompts.jsonl");
    let lines: Vec<String> =
        (0..n).map(|idx| format!(r#"{{"id": {idx}, "prompt": "What is {idx} + 1?"}}"#)).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn measure(dir: &Path, tuned: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_razor"));
    command.current_dir(dir).env("HF_HUB_OFFLINE", "1");
    command.args(["measure", "--base", "base", "--tuned", tuned, "--prompts", "prompts.jsonl", "--quiet"]);
    command.args(["--samples", "2", "--max-new-tokens", "6", "--resamples", "200"]).args(more);
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_model_is_at_distance_0_from_itself_and_not_from_another() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), "base", 448, 0);
    write_model(dir.path(), "tuned", 448, 1);
    write_prompts(dir.path(), 12);
    let same = json(&measure(dir.path(), "base", &["--json"]));
    let quantities = same["quantities"].as_object().unwrap();
    for (name, quantity) in quantities.iter().filter(|(name, _)| name.starts_with("kl_")) {
        for field in ["mean", "low", "high"] {
            assert_eq!(quantity[field].as_f64(), Some(0.0), "{name} {field}");
        }
        assert_eq!(quantity["n"].as_u64(), Some(12), "{name}");
    }
    assert_eq!(same["weights"]["l2"].as_f64(), Some(0.0));
    let arguments = ["--json", "--out", "measured", "--fisher-prompts", "prompts.jsonl"];
    let other = json(&measure(dir.path(), "tuned", &arguments));
    let quantity = &other["quantities"]["kl_reference_to_policy_exact_per_token"];
    let [low, mean, high] = ["low", "mean", "high"].map(|field| quantity[field].as_f64().unwrap());
    assert!(0.0 < low && low < mean && mean < high, "{quantity}");
    assert!(other["weights"]["fisher_weighted"].as_f64() > Some(0.0));
    assert!(other["sampler_gap"]["reference"].as_f64() < Some(1e-4));
    assert_eq!(other["representation"].as_array().unwrap().len(), 3);
    for file in ["measure.json", "quantities.csv", "layers.csv", "report.html"] {
        assert!(dir.path().join("measured").join(file).is_file(), "{file}");
    }
    let again = json(&measure(dir.path(), "tuned", &arguments));
    assert_eq!(other, again, "the same seed measures the same");
}

#[test]
fn few_prompts_say_why_hidden_states_are_left_out() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), "base", 448, 0);
    write_prompts(dir.path(), 3);
    let output = measure(dir.path(), "base", &["--skip-weights"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("more than 10 prompts") && text.contains("there are 3"), "{text}");
    assert!(!text.contains("relative_l2"), "{text}");
}

#[test]
fn models_that_cannot_be_compared_are_refused_before_anything_is_drawn() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), "base", 448, 0);
    write_model(dir.path(), "wider", 460, 0);
    write_model(dir.path(), "renamed", 448, 0);
    write_prompts(dir.path(), 3);
    let tokenizer = dir.path().join("renamed/tokenizer.json");
    let text = fs::read_to_string(&tokenizer).unwrap();
    fs::write(&tokenizer, text.replace("<|im_start|>", "<|im_begin|>")).unwrap();
    for (tuned, parts) in
        [("wider", ["448 rows", "460"]), ("renamed", ["<|im_start|>", "expected the same tokenizer"])]
    {
        let output = measure(dir.path(), tuned, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
}

/// Twelve runs of three methods, two checkpoints each, whose KL and weight change go from a twelfth to twice what is given.
/// The drop is `drop` of the KL in units of `kl`, and up to 0.002 more or less.
fn write_calibration(dir: &Path, fingerprint: &str, [kl, change]: [f64; 2], drop: fn(f64) -> f64) {
    let spread = |idx: usize, stride: usize| (1 + idx * stride % 24) as f64 / 12.0;
    let point = |idx: usize| {
        let (run, own) = (idx / 2, spread(idx, 7));
        json!({
            "task": "math", "run": format!("run {run}"), "method": (["grpo", "sft", "own"][run % 3]),
            "learning_rate": ([1e-4, 1e-3][run % 2]), "kl_reference_to_policy": kl * own,
            "relative_weight_change": change * spread(idx, 5), "log_step": null,
            "drop": drop(own) + 0.002 * (spread(idx, 11) - 1.0),
        })
    };
    let points: Vec<Value> = (0..24).map(point).collect();
    let calibration = json!({
        "schema": "razor.calibration.v1", "benchmarks": ["sort", "count"], "points": points,
        "base": {"name": "some base", "fingerprint": fingerprint, "n_parameters": 4242},
    });
    fs::write(dir.join("calibration.json"), calibration.to_string()).unwrap();
}

#[test]
fn finished_runs_forecast_the_drop_of_the_prior_tasks() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), "base", 448, 0);
    write_model(dir.path(), "tuned", 448, 1);
    write_prompts(dir.path(), 4);
    let plain = json(&measure(dir.path(), "tuned", &["--json"]));
    assert_eq!(plain["forecast"], Value::Null);
    assert!(plain["forecast_left_out"].as_str().unwrap().contains("--calibration FILE"), "{plain}");
    let quantity = &plain["quantities"]["kl_reference_to_policy_exact_per_sequence"]["mean"];
    let measured = [quantity, &plain["weights"]["relative_l2"]].map(|value| value.as_f64().unwrap());
    let fingerprint = fingerprint_weights(&dir.path().join("base")).unwrap();
    let drop = |kl: f64| 0.1 + 0.2 * kl - 0.05 * kl * kl;
    write_calibration(dir.path(), &fingerprint, measured, drop);
    let arguments = ["--calibration", "calibration.json", "--json", "--out", "measured"];
    let forecast = &json(&measure(dir.path(), "tuned", &arguments))["forecast"];
    assert_eq!((&forecast["law"], &forecast["is_other_base"]), (&json!("kl"), &json!(false)), "{forecast}");
    let [low, value, high] = ["low", "drop", "high"].map(|field| forecast[field].as_f64().unwrap());
    // The law is that of the points but for their 0.002; an interval from those is not wider than a few times as much.
    assert!((value - 0.25).abs() < 0.002, "{forecast}");
    assert!(low < value && value < high && high - low < 0.01, "{forecast}");
    let counts = ["n_points", "n_runs", "n_methods"].map(|field| forecast[field].as_u64().unwrap());
    assert_eq!(counts, [24, 12, 3]);
    let errors = forecast["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 5);
    assert_eq!(errors[1]["law"], json!("log_step"));
    assert_eq!(errors[1]["without_method"], Value::Null, "no run says its steps");
    let page = fs::read_to_string(dir.path().join("measured/report.html")).unwrap();
    assert!(page.contains("Forecast of forgetting") && page.contains("drops by 25."), "{page}");
    assert!(dir.path().join("measured/tables/forecast_laws.csv").is_file());

    write_calibration(dir.path(), "0123456789abcdef", measured, drop);
    let text = String::from_utf8(measure(dir.path(), "tuned", &arguments[..2]).stdout).unwrap();
    let line = text.lines().find(|line| line.contains("drops by 25.")).unwrap();
    assert!(line.contains("ANOTHER MODEL'S LAW") && line.contains("`some base` (4242 parameters)"), "{line}");
}

#[test]
fn a_forecast_that_cannot_be_made_says_why() {
    let dir = TempDir::new().unwrap();
    write_model(dir.path(), "base", 448, 0);
    write_prompts(dir.path(), 2);
    // The base itself has a KL of 0, below every run.
    write_calibration(dir.path(), "0123456789abcdef", [1.0, 0.1], |kl| 0.1 * kl);
    let arguments = ["--calibration", "calibration.json", "--skip-weights"];
    let output = measure(dir.path(), "base", &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("No forecast of forgetting: kl_reference_to_policy is 0, outside 0.08"), "{text}");
    let error_of = |more: &[&str]| {
        let output = measure(dir.path(), "base", more);
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = error_of(&[&arguments[..], &["--calibration-task", "tools"]].concat());
    assert!(code == Some(1) && stderr.contains("`tools`") && stderr.contains("it has math"), "{stderr}");
    let path = dir.path().join("calibration.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"math\"", "\"tools\"", 1).replacen("\"math\"", "\"tools\"", 1)).unwrap();
    let (code, stderr) = error_of(&arguments);
    assert!(code == Some(1) && stderr.contains("several tasks (math, tools)"), "{stderr}");
    fs::write(&path, text.replacen("\"drop\":", "\"dorp\":", 1)).unwrap();
    let (code, stderr) = error_of(&arguments);
    assert!(code == Some(1) && stderr.contains("calibration.json") && stderr.contains("`dorp`"), "{stderr}");
    let (code, stderr) = error_of(&["--learning-rate", "1e-4"]);
    assert!(code == Some(2) && stderr.contains("--steps"), "{stderr}");
    let (code, stderr) = error_of(&["--learning-rate", "0", "--steps", "10"]);
    assert!(code == Some(2) && stderr.contains("--learning-rate is 0"), "{stderr}");
}
