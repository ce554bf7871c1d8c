//! `razor pretrain` for a few steps, and a training command on the base that comes with the program.

#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SMALL: [&str; 9] = [
    "n_steps=4",
    "n_warmup=1",
    "tokens_per_step=200",
    "evaluate_every=2",
    "checkpoint_every=2",
    "model.hidden_size=16",
    "model.intermediate_size=32",
    "model.n_layers=1",
    "model.n_heads=2",
];

fn razor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_razor")).args(arguments).output().unwrap()
}

fn pretrain(out: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["pretrain", "--out", out.to_str().unwrap()];
    arguments.extend(SMALL.iter().flat_map(|assignment| ["--set", assignment]));
    arguments.extend(more);
    razor(&arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_pretrained_base_is_told_of_and_is_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("base");
    let plan = pretrain(&out, &["--dry-run", "--json"]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert!(plan["expected_seconds"].as_f64().unwrap() > 0.0 && plan["recipe"]["n_steps"] == 4, "{plan}");
    assert!(!out.exists(), "a plan writes nothing");

    let made = pretrain(&out, &["--json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let result: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(result["evaluation"]["skills"].as_array().unwrap().len(), 9, "{result}");
    assert_eq!(result["evaluation"]["tasks"].as_array().unwrap().len(), 3, "{result}");
    for text in ["4 steps", "about", "step 4: held-out loss"] {
        assert!(stderr(&made).contains(text), "{text:?} in {}", stderr(&made));
    }
    for name in ["model.safetensors", "tokenizer.json", "recipe.toml", "evaluation.json"] {
        assert!(out.join("model").join(name).is_file(), "{name}");
    }
    let again = pretrain(&out, &["--quiet"]);
    assert!(!again.status.success() && again.stdout.is_empty(), "{}", stderr(&again));
}

#[test]
fn a_recipe_that_cannot_be_is_bad_usage() {
    let dir = tempfile::tempdir().unwrap();
    for assignment in ["n_step=3", "model.n_heads=3", "learning_rate=-1.0", "mix.math=none"] {
        let refused = pretrain(&dir.path().join("base"), &["--set", assignment]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        let key = assignment.split_once('=').unwrap().0.rsplit('.').next().unwrap();
        assert!(stderr(&refused).contains(key.trim_start_matches("n_")), "{}", stderr(&refused));
    }
    assert!(!dir.path().join("base").exists());
}

#[test]
fn the_shipped_base_learns_its_tasks_without_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/tiny_base");
    for task in ["tiny_math", "tiny_tools", "tiny_science"] {
        let out = dir.path().join(task);
        let arguments = [
            "grpo",
            "--model",
            base.to_str().unwrap(),
            "--task",
            task,
            "--prompt-style",
            "plain",
            "--preset",
            "dr_grpo",
            "--steps",
            "1",
            "--max-new-tokens",
            "48",
            "--out",
            out.to_str().unwrap(),
            "--json",
        ];
        let trained = razor(&arguments);
        assert!(trained.status.success(), "{}", stderr(&trained));
        let result: Value = serde_json::from_slice(&trained.stdout).unwrap();
        assert_eq!(result["evaluation"]["kind"], "accuracy", "{result}");
    }
}
