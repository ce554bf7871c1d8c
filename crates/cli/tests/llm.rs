//! `razor score` and `razor generate` on a whole model folder, against lm-evaluation-harness and `transformers`.
//!
//! `tests/golden/llm_cli.py` made the figures.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Of one token, in nats: logits of f32 with sums of 40 terms reach 15 and are compared with those of f64.
const TOKEN_ROUNDING: f64 = 5e-5;

/// Of a whole continuation, whose reference is a sum of f32 itself.
const SUM_ROUNDING: f64 = 1e-4;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn tiny_qwen2() -> String {
    golden().join("tiny_qwen2").display().to_string()
}

fn fixture() -> Value {
    serde_json::from_slice(&fs::read(golden().join("llm_cli.json")).unwrap()).unwrap()
}

/// Runs `razor COMMAND --model MODEL --input -` with more arguments.
fn run(command: &str, model: &str, arguments: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
    razor.args([command, "--model", model, "--input", "-"]).args(arguments);
    razor.env("HF_HUB_OFFLINE", "1").write_stdin(input).output().unwrap()
}

fn parse(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answers(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&output.stdout)
}

fn json_lines(records: impl IntoIterator<Item = Value>) -> String {
    records.into_iter().map(|record| format!("{record}\n")).collect()
}

/// The fields that a command reads, with an id that is a number or text.
fn inputs(cases: &[Value], fields: &[&str]) -> String {
    json_lines(cases.iter().enumerate().map(|(idx, case)| {
        let mut line = json!({"id": id(idx)});
        for field in fields.iter().filter(|field| case.get(**field).is_some()) {
            line[*field] = case[*field].clone();
        }
        line
    }))
}

fn id(idx: usize) -> Value {
    if idx.is_multiple_of(2) { json!(idx) } else { json!(format!("case {idx}")) }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn assert_close(found: &Value, expected: &Value, tolerance: f64, what: &Value) {
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < tolerance, "expected {expected}, found {found}: {what}");
    }
}

fn assert_scores(model: &str, cases: &[Value], arguments: &[&str]) {
    let found = answers(&run("score", model, arguments, inputs(cases, &["context", "continuation"])));
    assert_eq!(found.len(), cases.len());
    for (idx, (found, case)) in found.iter().zip(cases).enumerate() {
        assert_eq!(found["id"], id(idx));
        assert_eq!(found["is_greedy"], case["is_greedy"], "{case}");
        assert_eq!(found["n_tokens"], case["token_log_probs"].as_array().unwrap().len(), "{case}");
        assert_close(&found["token_log_probs"], &case["token_log_probs"], TOKEN_ROUNDING, case);
        assert_close(&json!([found["log_prob"]]), &json!([case["log_prob"]]), SUM_ROUNDING, case);
    }
}

fn assert_completions(model: &str, cases: &[Value], arguments: &[&str]) {
    let arguments = [&["--max-new-tokens", "24"], arguments].concat();
    let found = answers(&run("generate", model, &arguments, inputs(cases, &["prompt", "messages"])));
    assert_eq!(found.len(), cases.len());
    for (idx, (found, case)) in found.iter().zip(cases).enumerate() {
        assert_eq!(found["id"], id(idx));
        assert!(found.get("sample").is_none());
        for field in ["token_ids", "completion", "stop_reason"] {
            assert_eq!(found[field], case[field], "{case}");
        }
        assert_close(&found["log_probs"], &case["log_probs"], TOKEN_ROUNDING, case);
    }
}

#[test]
fn scores_are_those_of_lm_evaluation_harness_however_they_are_batched() {
    let fixture = fixture();
    let cases = fixture["scores"].as_array().unwrap();
    assert!(cases.len() >= 40);
    for arguments in [&[][..], &["--batch-tokens", "1"], &["--batch-tokens", "150", "--tile-memory", "1"]] {
        assert_scores(&tiny_qwen2(), cases, arguments);
    }
}

#[test]
fn greedy_completions_are_those_of_transformers_however_they_are_batched() {
    let fixture = fixture();
    for batch_rows in ["1", "5", "16"] {
        let cases = fixture["completions"].as_array().unwrap();
        assert_completions(&tiny_qwen2(), cases, &["--batch-rows", batch_rows]);
    }
}

#[test]
fn completions_end_before_a_stop_string_as_in_transformers() {
    let fixture = fixture();
    for case in fixture["stopped"].as_array().unwrap() {
        let stops =
            case["stop"].as_array().unwrap().iter().flat_map(|stop| ["--stop", stop.as_str().unwrap()]);
        let arguments: Vec<&str> = stops.collect();
        assert_completions(&tiny_qwen2(), std::slice::from_ref(case), &arguments);
    }
}

#[test]
fn a_real_model_with_a_beginning_token_scores_and_completes_as_its_peers_say() {
    let Some(data) = std::env::var_os("RAZOR_DATA") else { return };
    let model = Path::new(&data).join("models/tinystories_656k").display().to_string();
    let real = &fixture()["tinystories_656k"];
    assert_scores(&model, real["scores"].as_array().unwrap(), &[]);
    assert_completions(&model, real["completions"].as_array().unwrap(), &[]);
}

const SAMPLED: [&str; 6] = ["--temperature", "1", "--max-new-tokens", "8", "--samples", "3"];

fn prompts() -> String {
    let texts = ["The answer", "What is 12 + 30?", "x", " token of the completion counts"];
    json_lines(texts.into_iter().enumerate().map(|(idx, text)| json!({"id": idx, "prompt": text})))
}

#[test]
fn samples_depend_on_the_seed_and_not_on_the_batch() {
    let sample = |more: &[&str]| run("generate", &tiny_qwen2(), &[&SAMPLED, more].concat(), prompts());
    let first = sample(&["--seed", "7"]);
    let lines = answers(&first);
    let places: Vec<_> = lines.iter().map(|line| (line["id"].clone(), line["sample"].clone())).collect();
    let expected: Vec<_> =
        (0..4).flat_map(|prompt| (0..3).map(move |sample| (json!(prompt), json!(sample)))).collect();
    assert_eq!(places, expected);
    let mut texts: Vec<String> = lines.iter().map(|line| line["token_ids"].to_string()).collect();
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 9, "samples differ: {texts:?}");
    for batch_rows in ["1", "2", "7"] {
        let again = answers(&sample(&["--seed", "7", "--batch-rows", batch_rows]));
        for (line, again) in lines.iter().zip(&again) {
            assert_eq!(line["token_ids"], again["token_ids"]);
            assert_close(&again["log_probs"], &line["log_probs"], TOKEN_ROUNDING, line);
        }
    }
    assert_eq!(first.stdout, sample(&["--seed", "7"]).stdout);
    assert_ne!(first.stdout, sample(&["--seed", "8"]).stdout);
}

#[test]
fn sampled_tokens_carry_the_log_probabilities_that_score_gives_them() {
    let prompt = json!({"id": 0, "prompt": "The answer"});
    let arguments = ["--temperature", "1", "--max-new-tokens", "1", "--samples", "400"];
    let lines = answers(&run("generate", &tiny_qwen2(), &arguments, format!("{prompt}\n")));
    // A token that begins a word is split off the prompt wherever it is read again.
    let is_word = |line: &&Value| {
        let text = line["completion"].as_str().unwrap();
        text.len() > 2 && text.starts_with(' ') && text[1..].chars().all(|c| c.is_ascii_alphabetic())
    };
    let words: Vec<&Value> = lines.iter().filter(is_word).collect();
    assert!(words.len() > 10, "{} words", words.len());
    let pairs = words
        .iter()
        .map(|line| json!({"id": 0, "context": "The answer", "continuation": line["completion"]}));
    let scores = answers(&run("score", &tiny_qwen2(), &[], json_lines(pairs)));
    for (word, score) in words.iter().zip(&scores) {
        assert_close(&word["log_probs"], &score["token_log_probs"], TOKEN_ROUNDING, word);
    }
}

#[test]
fn out_is_a_whole_file_and_what_is_there_stays_when_a_run_fails() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("new/out.jsonl");
    let out_text = out.display().to_string();
    let printed = run("generate", &tiny_qwen2(), &["--max-new-tokens", "4"], prompts());
    let filed = run("generate", &tiny_qwen2(), &["--max-new-tokens", "4", "--out", &out_text], prompts());
    assert!(filed.status.success() && filed.stdout.is_empty());
    assert_eq!(fs::read(&out).unwrap(), printed.stdout);
    let long = json!({"id": "long", "prompt": "The answer ".repeat(100)});
    let failed = run("generate", &tiny_qwen2(), &["--out", &out_text], format!("{}{long}\n", prompts()));
    assert!(!failed.status.success());
    assert_eq!(fs::read(&out).unwrap(), printed.stdout);
    assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 1, "no part is left behind");
}

#[test]
fn input_from_a_file_gives_what_input_from_a_pipe_gives() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("in.jsonl");
    let input = "\u{feff}{\"id\": \"a\", \"context\": \"The\", \"continuation\": \" answer\"}\r\n\n  \n\
                 {\"continuation\": \"x\", \"id\": null, \"context\": \"\"}";
    fs::write(&path, input).unwrap();
    let piped = run("score", &tiny_qwen2(), &[], input);
    let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
    let filed =
        razor.args(["score", "--quiet", "--model", &tiny_qwen2(), "--input"]).arg(&path).output().unwrap();
    assert_eq!(answers(&piped).len(), 2);
    assert_eq!(piped.stdout, filed.stdout);
    assert!(filed.stderr.is_empty(), "{}", String::from_utf8_lossy(&filed.stderr));
}

#[test]
fn nothing_is_drawn_where_nothing_is_asked_for() {
    let found = answers(&run("generate", &tiny_qwen2(), &["--max-new-tokens", "0"], prompts()));
    for line in &found {
        assert_eq!((&line["completion"], &line["token_ids"]), (&json!(""), &json!([])));
        assert_eq!(line["stop_reason"], "length");
    }
    assert_eq!(found.len(), 4);
}

#[test]
fn a_completion_ends_with_the_positions_of_the_model() {
    let prompt = json!({"id": 0, "prompt": "x".repeat(92)});
    let found =
        answers(&run("generate", &tiny_qwen2(), &["--max-new-tokens", "1000"], format!("{prompt}\n")));
    // 96 positions: the last token is drawn from the last position and never read
    let n = found[0]["token_ids"].as_array().unwrap().len();
    assert!(found[0]["stop_reason"] == "stop_token" || (n == 4 && found[0]["stop_reason"] == "context_full"));
}

/// A copy of the fixture's folder that a test may damage.
fn copied_model(dir: &Path) -> PathBuf {
    let folder = dir.join("model");
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(golden().join("tiny_qwen2")).unwrap() {
        let entry = entry.unwrap();
        fs::write(folder.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    folder
}

fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "expected {parts:?} in: {stderr}");
    assert!(output.stdout.is_empty(), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "expected `{part}` in: {stderr}");
    }
    for inside in ["panicked", "stack backtrace", "Error {", "overflow"] {
        assert!(!stderr.contains(inside), "{stderr}");
    }
}

const PAIR: &str = r#"{"id": "a", "context": "The", "continuation": " answer"}"#;
const PROMPT: &str = r#"{"id": "a", "prompt": "The"}"#;
const CHAT: &str = r#"{"id": "a", "messages": [{"role": "user", "content": "hi"}]}"#;

#[test]
fn bad_lines_are_refused_by_line_and_field() {
    let good_then = |line: &str, good: &str| format!("{good}\n\n{line}\n");
    let at_3 = "standard input:3: ";
    for (line, parts) in [
        ("{", &[at_3, "column"][..]),
        ("[1]", &[at_3]),
        ("7", &[at_3]),
        (r#"{"id": 1, "context": "a"}"#, &[at_3, "`continuation`"]),
        (r#"{"context": "a", "continuation": "b"}"#, &[at_3, "`id`"]),
        (r#"{"id": 1, "context": 3, "continuation": "b"}"#, &[at_3, "integer `3`"]),
        (r#"{"id": 4, "context": "Th", "continuation": "e"}"#, &["pair 4", "adds no token"]),
        (r#"{"id": "z", "context": "a", "continuation": ""}"#, &["pair \"z\"", "adds no token"]),
        (r#"{"id": 9, "context": "", "continuation": "<|im_end|>"}"#, &["pair 9", "adds no token"]),
    ] {
        assert_refused(&run("score", &tiny_qwen2(), &[], good_then(line, PAIR)), 1, parts);
    }
    let long = json!({"id": "long", "prompt": "x".repeat(100)}).to_string();
    for (line, parts) in [
        ("nonsense", &[at_3][..]),
        (r#"{"id": 1}"#, &[at_3, "`prompt` or `messages`"]),
        (r#"{"id": 1, "prompt": "a", "messages": []}"#, &[at_3, "either `prompt` or `messages`"]),
        (r#"{"id": 1, "messages": []}"#, &[at_3, "`messages` is empty"]),
        (r#"{"id": 1, "messages": [{"content": "a"}]}"#, &[at_3, "role"]),
        (r#"{"id": 2, "prompt": ""}"#, &["prompt 2", "no tokens"]),
        (long.as_str(), &["prompt \"long\"", "100 tokens", "96 positions"]),
    ] {
        assert_refused(&run("generate", &tiny_qwen2(), &[], good_then(line, PROMPT)), 1, parts);
    }
    assert_refused(&run("score", &tiny_qwen2(), &[], ""), 1, &["standard input", "no lines"]);
    assert_refused(&run("generate", &tiny_qwen2(), &[], "\n \n"), 1, &["standard input", "no lines"]);
    assert_refused(&run("score", &tiny_qwen2(), &[], b"{\"id\": \"\xff\"}".to_vec()), 1, &[":1: ", "UTF-8"]);
}

#[test]
fn other_fields_of_a_line_are_left_alone() {
    // A file of prompts often holds answers too.
    let with_answer = r#"{"id": "a", "prompt": "The", "answer": "42"}"#;
    let [plain, other] =
        [PROMPT, with_answer].map(|line| answers(&run("generate", &tiny_qwen2(), &[], line)));
    assert_eq!(plain, other);
    let with_gold = r#"{"id": "a", "context": "The", "continuation": " answer", "gold": 1}"#;
    let [plain, other] = [PAIR, with_gold].map(|line| answers(&run("score", &tiny_qwen2(), &[], line)));
    assert_eq!(plain, other);
}

#[test]
fn bad_values_are_refused_by_option() {
    for (arguments, parts) in [
        (&["--temperature", "-1"][..], &["temperature is -1", "from 0 up"][..]),
        (&["--temperature", "nan"], &["temperature is NaN"]),
        (&["--temperature", "warm"], &["--temperature", "warm"]),
        (&["--top-p", "0"], &["top_p is 0", "at most 1"]),
        (&["--top-p", "-0.5"], &["top_p is -0.5"]),
        (&["--min-p", "1"], &["min_p is 1", "below 1"]),
        (&["--samples", "0"], &["--samples", "from 1"]),
        (&["--samples", "99999999999999999999"], &["--samples", "from 1"]),
        (&["--batch-rows", "0"], &["--batch-rows", "from 1"]),
        (&["--stop", ""], &["--stop"]),
        (&["--top-k", "-3"], &["-3"]),
        (&["--dtype", "int4"], &["int4", "auto, f32, bf16"]),
    ] {
        assert_refused(&run("generate", &tiny_qwen2(), arguments, PROMPT), 2, parts);
    }
    for option in ["--batch-tokens", "--tile-memory"] {
        for value in ["0", "some", "18446744073709551615"] {
            assert_refused(&run("score", &tiny_qwen2(), &[option, value], PAIR), 2, &[option, value]);
        }
    }
    let prompts = format!("{PROMPT}\n{PROMPT}\n");
    assert_refused(&run("generate", &tiny_qwen2(), &["--samples", "1000000"], prompts), 2, &["2 prompts"]);
    let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
    let output =
        razor.args(["score", "--model", &tiny_qwen2(), "--input", "no/such.jsonl"]).output().unwrap();
    assert_refused(&output, 1, &["no/such.jsonl"]);
}

#[test]
fn models_that_cannot_be_used_are_refused_by_file() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &[&str]); 9] = [
        ("config.json", |path| fs::remove_file(path).unwrap(), &["config.json"]),
        ("tokenizer.json", |path| fs::remove_file(path).unwrap(), &["tokenizer.json"]),
        ("model.safetensors", |path| fs::remove_file(path).unwrap(), &["model", "model.safetensors"]),
        ("model.safetensors", |path| shorten(path, 100), &["model.safetensors"]),
        ("model.safetensors", |path| shorten(path, 114_000), &["model.safetensors"]),
        ("model.safetensors", |path| fs::write(path, "").unwrap(), &["model.safetensors"]),
        ("tokenizer.json", |path| shorten(path, 10), &["tokenizer.json"]),
        (
            "config.json",
            |path| replace(path, "\"qwen2\"", "\"gpt2\""),
            &["config.json", "model_type", "gpt2"],
        ),
        (
            "config.json",
            |path| replace(path, ": 40,", ": 44,"),
            &["0.mlp.up_proj.weight", "[40, 32]", "[44, 32]"],
        ),
    ];
    for (name, damage, parts) in cases {
        let dir = TempDir::new().unwrap();
        let folder = copied_model(dir.path());
        damage(&folder.join(name));
        assert_refused(&run("score", &folder.display().to_string(), &[], PAIR), 1, parts);
        assert_refused(&run("generate", &folder.display().to_string(), &[], PROMPT), 1, parts);
    }
    for name in ["no-such-model", "./no/such/folder", "org/model-that-is-nowhere"] {
        let dir = TempDir::new().unwrap();
        let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
        razor.env("HF_HUB_OFFLINE", "1").env("HF_HOME", dir.path()).write_stdin(PAIR);
        let output = razor.args(["score", "--model", name, "--input", "-"]).output().unwrap();
        assert_refused(&output, 1, &[name]);
    }
}

fn shorten(path: &Path, n_bytes: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..n_bytes]).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_weight_that_is_no_number_is_refused_by_tensor() {
    let dir = TempDir::new().unwrap();
    let folder = copied_model(dir.path());
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert_refused(
        &run("score", &folder.display().to_string(), &[], PAIR),
        1,
        &["tensor `model.norm.weight`", "value 31 is not a finite"],
    );
}

#[test]
fn only_conversations_need_a_chat_template() {
    let dir = TempDir::new().unwrap();
    let folder = copied_model(dir.path());
    let model = folder.display().to_string();
    for (template, parts) in [(None, &["no chat template", "`prompt`"][..]), (Some("{% if %}"), &["line 1"])]
    {
        let path = folder.join("chat_template.jinja");
        match template {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        assert_refused(&run("generate", &model, &[], CHAT), 1, parts);
        assert!(run("generate", &model, &["--max-new-tokens", "2"], PROMPT).status.success());
        assert!(run("score", &model, &[], PAIR).status.success());
    }
}
