//! `razor data show` of tasks, and the tasks in `razor data list` and `verify`, on the samples beside the manifest.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample(name: &str) -> String {
    repository().join("datasets").join(name).join("sample").display().to_string()
}

fn tiny_qwen2() -> String {
    repository().join("tests/golden/tiny_qwen2").display().to_string()
}

fn razor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_razor"));
    command.arg("data").args(arguments).env_remove("RAZOR_DATA").env("HF_HUB_OFFLINE", "1").output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

fn refusal(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains("error: ") && !stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn every_task_shows_its_prompt_its_answer_and_the_reward_of_it() {
    for (task, folder, subset, parts) in [
        ("gsm8k", "gsm8k", "train", ["\\boxed{1200}", "1 (correct)"]),
        ("sciknoweval", "sciknoweval", "Chemistry/L3", ["Answer: 2H2 + O2 = 2H2O", "1 (correct)"]),
        ("toolalpaca", "toolalpaca", "eval_simulated", ["Action: findHarbour", "1 (correct)"]),
        ("open_reasoner_zero", "open_reasoner_zero", "math500", ["How many primes", "1 (correct)"]),
    ] {
        let arguments = ["show", task, "--subset", subset, "--data", &sample(folder)];
        let text = stdout(&razor(&arguments));
        for part in ["--- user ---", "--- right answer ---", "--- reward ---", "from ", parts[0], parts[1]] {
            assert!(text.contains(part), "expected `{part}` in: {text}");
        }
        let object = json(&razor(&[&arguments[..], &["--json"]].concat()));
        assert_eq!(object["example"]["task"], task);
        assert_eq!(object["verdict"]["reward"], 1.0);
    }
}

#[test]
fn a_completion_of_ones_own_is_judged() {
    let data = sample("gsm8k");
    let shown = |completion: &str| {
        json(&razor(&["show", "gsm8k", "--data", &data, "--completion", completion, "--json"]))
    };
    assert_eq!(shown("so \\boxed{1,200}")["verdict"]["reward"], 1.0);
    assert_eq!(shown("so \\boxed{12}")["verdict"]["outcome"], "wrong");
    assert_eq!(shown("no idea")["verdict"]["outcome"], "unparseable");
}

#[test]
fn only_the_completion_and_its_end_are_trained() {
    let arguments =
        ["show", "gsm8k", "--data", &sample("gsm8k"), "--model", &tiny_qwen2(), "--completion", "The"];
    let object = json(&razor(&[&arguments[..], &["--json"]].concat()));
    let list = |name: &str| -> Vec<u64> {
        object["tokens"][name].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
    };
    let (ids, mask) = (list("ids"), list("mask"));
    assert_eq!(ids.len(), mask.len());
    let trained: Vec<u64> = ids.iter().zip(&mask).filter(|(_, bit)| **bit == 1).map(|(id, _)| *id).collect();
    assert_eq!(trained, [278, 422], "`The` and the end of the turn");
    assert!(ids.starts_with(&[421]) && mask.ends_with(&[1, 1]));
    let text = stdout(&razor(&arguments));
    assert!(text.contains("{The}{*<|im_end|>*}") && text.contains("stop token at the end: yes"), "{text}");
}

#[test]
fn showing_tokens_needs_no_weights() {
    let dir = TempDir::new().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        fs::copy(Path::new(&tiny_qwen2()).join(name), dir.path().join(name)).unwrap();
    }
    let folder = dir.path().display().to_string();
    let text = stdout(&razor(&["show", "gsm8k", "--data", &sample("gsm8k"), "--model", &folder]));
    assert!(text.contains("--- tokens ---"), "{text}");
}

#[test]
fn a_file_cannot_write_escape_codes_to_the_terminal() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("own.jsonl");
    fs::write(&path, "{\"prompt\": \"red \\u001b[31m\\u202e back\", \"answer\": \"4\"}\n").unwrap();
    let file = path.display().to_string();
    let text = stdout(&razor(&["show", "file", "--file", &file]));
    assert!(text.contains("red \\u{1b}[31m\\u{202e} back"), "{text}");
}

#[test]
fn what_cannot_be_shown_is_refused_by_name() {
    let data = sample("gsm8k");
    for (arguments, parts) in [
        (&["show", "gsm8k", "--data", &data, "--index", "99"][..], &["no example 99", "it has 3"][..]),
        (&["show", "gsm8k", "--data", &data, "--subset", "dev"], &["`dev`", "train, test"]),
        (&["show", "gsm8k", "--data", "no/such"], &["--data is no/such"]),
        (&["show", "math", "--data", &data], &["math", "math_extra/math_test_5000.jsonl"]),
        (&["show", "gsm8k", "--data", &data, "--model", "no-model"], &["no-model"]),
        (&["show", "file", "--file", "no/such.jsonl"], &["no/such.jsonl"]),
    ] {
        let stderr = refusal(&razor(arguments), 1);
        for part in parts {
            assert!(stderr.contains(part), "expected `{part}` in: {stderr}");
        }
    }
    for (arguments, part) in [
        (&["show", "gsm9k"][..], "gsm8k"),
        (&["show", "file"], "--file FILE"),
        (&["show", "gsm8k", "--file", "own.jsonl"], "--file"),
    ] {
        assert!(refusal(&razor(arguments), 2).contains(part));
    }
}

#[test]
fn tasks_are_listed_and_verified_beside_the_image_sets() {
    let data = sample("toolalpaca");
    let text = stdout(&razor(&["list", "--data", &data]));
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("toolalpaca").contains("ok") && row("toolalpaca").contains("Apache-2.0"), "{text}");
    assert!(row("gsm8k").contains("missing"), "{text}");
    let listed = json(&razor(&["list", "--data", &data, "--json"]));
    let tasks: Vec<&Value> =
        listed.as_array().unwrap().iter().filter(|entry| entry["name"] == "toolalpaca").collect();
    assert_eq!(tasks[0]["files"].as_array().unwrap().len(), 2);
    // No image set is there; of the tasks' files it says that they are others.
    let verified = razor(&["verify", "--data", &data]);
    assert_eq!(verified.status.code(), Some(1));
    let text = String::from_utf8(verified.stdout).unwrap();
    assert!(text.contains("other") && text.contains("eval_real.json"), "{text}");
    assert!(!stdout(&razor(&["list", "mnist"])).contains("toolalpaca"));
}

#[test]
fn data_of_benchmarks_is_listed_and_compared_with_the_manifest() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/benchmarks");
    let data = golden.to_str().unwrap();
    let text = stdout(&razor(&["list", "--data", data]));
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    // Documents of our own making, under the names of the published ones.
    assert!(row("hellaswag").contains("other") && row("hellaswag").contains("MIT"), "{text}");
    let verified = String::from_utf8(razor(&["verify", "--data", data]).stdout).unwrap();
    let told = verified.lines().find(|line| line.contains("mc_task.json")).unwrap();
    assert!(told.contains("other") && told.contains("not the bytes of the manifest"), "{verified}");
    let listed = json(&razor(&["list", "--data", &sample("toolalpaca"), "--json"]));
    let mmlu = listed.as_array().unwrap().iter().find(|entry| entry["name"] == "mmlu").unwrap();
    assert_eq!((&mmlu["state"], &mmlu["benchmark"]), (&Value::from("missing"), &Value::from(true)));
}
