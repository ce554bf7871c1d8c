//! `razor eval` against lm-evaluation-harness, document by document.
//!
//! `tests/golden/harness.py` made the figures.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use razor_models::{Checkpoint, LmConfig, WeightDtype, save_model};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Of a log-likelihood: both sides compute logits in f32 in another order and the reference adds them up in f32, so what
/// is lost grows with the sum.
const ABSOLUTE: f64 = 2e-4;
const RELATIVE: f64 = 2e-6;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn fixture() -> Value {
    serde_json::from_slice(&fs::read(golden().join("harness.json")).unwrap()).unwrap()
}

/// tiny_qwen2 with as many positions as the fixture says.
fn long_model(fixture: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(golden().join("tiny_qwen2")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["max_position_embeddings"] = fixture["positions"].clone();
    fs::write(&path, config.to_string()).unwrap();
    folder
}

fn razor(model: &Path, data: &Path, benchmarks: &str, arguments: &[&str]) -> Command {
    let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
    razor.args(["eval", "--json", "--quiet", "--benchmarks", benchmarks, "--model"]).arg(model);
    razor.arg("--data").arg(data).args(arguments).env("HF_HUB_OFFLINE", "1");
    razor
}

/// Results, and the samples of each task.
struct Found {
    results: Value,
    out: TempDir,
}

impl Found {
    fn run(model: &Path, data: &Path, benchmarks: &str, arguments: &[&str]) -> Self {
        let out = TempDir::new().unwrap();
        let output = razor(model, data, benchmarks, arguments).arg("--out").arg(out.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { results: serde_json::from_slice(&output.stdout).unwrap(), out }
    }

    fn samples(&self, task: &str) -> Vec<Value> {
        let mut folders = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path());
        let folder = folders.find(|path| !path.ends_with("answers")).unwrap();
        let is_wanted = |path: &PathBuf| {
            path.file_name().unwrap().to_str().unwrap().starts_with(&format!("samples_{task}_2"))
        };
        let path = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(is_wanted).unwrap();
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// The largest difference of a log-likelihood, after all else was found equal.
fn compare(found: &Found, expected: &Value, digits: i32) -> f64 {
    let mut largest = 0.0_f64;
    for (task, expected) in expected["tasks"].as_object().unwrap() {
        let samples = found.samples(task);
        assert_eq!(samples.len(), list(&expected["log_likelihoods"]).len(), "{task}");
        for (idx, sample) in samples.iter().enumerate() {
            let what = format!("{task}, document {idx}");
            let hash = sample["prompt_hash"].as_str().unwrap();
            assert_eq!(
                &hash[..16],
                expected["prompt_hashes"][idx].as_str().unwrap(),
                "{what}: {}",
                sample["arguments"]
            );
            let answers = list(&sample["filtered_resps"]);
            let greedy: String =
                answers.iter().map(|answer| if answer[1] == "True" { '1' } else { '0' }).collect();
            assert_eq!(greedy, expected["is_greedy"][idx].as_str().unwrap(), "{what}");
            let expected_sums = list(&expected["log_likelihoods"][idx]);
            assert_eq!(answers.len(), expected_sums.len(), "{what}");
            for (answer, sum) in answers.iter().zip(expected_sums) {
                let (sum, ours) = (number(sum), answer[0].as_str().unwrap().parse::<f64>().unwrap());
                let allowed = ABSOLUTE + RELATIVE * sum.abs() + 0.5 * 10_f64.powi(-digits);
                assert!((ours - sum).abs() < allowed, "{what}: expected {sum}, found {ours}");
                largest = largest.max((ours - sum).abs());
            }
            for (metric, values) in expected["metrics"].as_object().unwrap() {
                // Shares of probability move as the log-likelihoods do; verdicts are 0 or 1.
                let difference = (number(&sample[metric]) - number(&values[idx])).abs();
                assert!(difference < ABSOLUTE, "{what}: {metric} {} of {}", sample[metric], values[idx]);
            }
        }
        compare_scores(&found.results["results"][task], &expected["results"], task);
    }
    for (group, expected) in expected["groups"].as_object().unwrap() {
        compare_scores(&found.results["groups"][group], expected, group);
    }
    largest
}

fn compare_scores(found: &Value, expected: &Value, what: &str) {
    for (name, value) in expected.as_object().unwrap() {
        let expected = value.as_f64();
        match expected {
            Some(expected) => {
                let difference = (number(&found[name]) - expected).abs();
                assert!(difference < ABSOLUTE, "{what}: {name} {} of {expected}", found[name]);
            }
            None => assert_eq!(&found[name], value, "{what}: {name}"),
        }
    }
}

#[test]
fn every_multiple_choice_benchmark_is_scored_as_lm_evaluation_harness_scores_it() {
    let fixture = fixture();
    let long = long_model(&fixture);
    let short = golden().join("tiny_qwen2");
    let data = golden().join("benchmarks");
    let shots = "hellaswag,mmlu,winogrande,arc_easy,arc_challenge";
    let system = fixture["system"].as_str().unwrap();
    let cases: [(&str, &Path, &str, &[&str]); 8] = [
        (
            "zero_shot",
            long.path(),
            "hellaswag,mmlu,truthfulqa_mc1,truthfulqa_mc2,winogrande,arc_easy,arc_challenge",
            &[],
        ),
        ("two_shots", long.path(), shots, &["--num-fewshot", "2"]),
        ("two_shots", long.path(), shots, &["--num-fewshot", "2", "--batch-tokens", "150"]),
        ("three_of_few", long.path(), "arc_challenge", &["--num-fewshot", "3", "--limit", "3"]),
        ("chat_turns", long.path(), shots, &["--num-fewshot", "2", "--apply-chat-template"]),
        (
            "chat_one_turn",
            long.path(),
            "hellaswag,mmlu,winogrande",
            &[
                "--num-fewshot",
                "2",
                "--apply-chat-template",
                "--fewshot-in-one-turn",
                "--system-instruction",
                system,
            ],
        ),
        ("system", long.path(), "hellaswag,mmlu", &["--system-instruction", system]),
        ("cut", &short, "hellaswag,mmlu,truthfulqa_mc2,winogrande", &[]),
    ];
    for (name, model, benchmarks, arguments) in cases {
        let found = Found::run(model, &data, benchmarks, arguments);
        let largest = compare(&found, &fixture["own"][name], 6);
        println!("{name}: largest difference {largest:.1e} nats");
    }
}

#[test]
fn published_documents_are_scored_as_lm_evaluation_harness_scores_them() {
    let Some(data) = std::env::var_os("RAZOR_DATA") else { return };
    let (data, fixture) = (PathBuf::from(data), fixture());
    let model = data.join("models/tinystories_656k");
    let limit = fixture["limit"].to_string();
    let cases: [(&str, &str, &[&str]); 3] = [
        (
            "zero_shot",
            "hellaswag,truthfulqa_mc1,truthfulqa_mc2,winogrande,arc_easy,arc_challenge",
            &["--limit", &limit],
        ),
        ("mmlu", "mmlu", &["--limit", "4"]),
        ("mmlu_5_shot", "mmlu", &["--limit", "4", "--num-fewshot", "5"]),
    ];
    for (name, benchmarks, arguments) in cases {
        let found = Found::run(&model, &data, benchmarks, arguments);
        let largest = compare(&found, &fixture["real"][name], 4);
        println!("{name}: largest difference {largest:.1e} nats");
    }
}

/// The model of `folder` with its weights rounded to bf16.
fn bf16_model(folder: &Path) -> TempDir {
    let out = TempDir::new().unwrap();
    let (config, checkpoint) = (LmConfig::load(folder).unwrap(), Checkpoint::open(folder).unwrap());
    let mut read = |spec: &razor_models::TensorSpec| checkpoint.read(spec, WeightDtype::Bf16);
    let (to, specs, json) = (out.path().join("bf16"), config.tensors(), config.to_json());
    save_model(&to, &json, Some(folder), &specs, WeightDtype::Bf16, 1 << 30, &mut read).unwrap();
    out
}

#[test]
fn bf16_logits_are_scored_beside_f32_logits_of_the_same_weights() {
    let fixture = fixture();
    let long = long_model(&fixture);
    let rounded = bf16_model(long.path());
    let (model, data) = (rounded.path().join("bf16"), golden().join("benchmarks"));
    let out = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let mut razor = razor(&model, &data, "hellaswag,truthfulqa_mc2,mmlu", arguments);
        let output = razor.arg("--out").arg(out.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (own, plain) = (run(&["--logits-dtype", "own"]), run(&[]));
    assert_eq!(own["config"]["softmax_dtype"], "bf16");
    assert_eq!(plain["config"]["softmax_dtype"], "f32");
    assert!(plain["bf16_logits"].is_null(), "{plain}");
    let effects = own["bf16_logits"].as_object().unwrap();
    assert_eq!(effects.len(), 6, "hellaswag, truthfulqa_mc2 and four subjects");
    for (task, effect) in effects {
        // bf16 is off by up to 1/64 nat between 4 and 8 nats: the log-sum and the result of each of a few dozen tokens, and up
        // to 1 nat where their sum is above 256.
        let largest = number(&effect["largest_difference"]);
        assert!(1e-4 < largest && largest < 2.0, "{task}: {largest}");
        for metric in list(&effect["metrics"]) {
            let name = format!("{},none", metric["metric"].as_str().unwrap());
            for (dtype, run) in [("bf16", &own), ("f32", &plain)] {
                let difference = number(&metric[dtype]) - number(&run["results"][task][&name]);
                assert!(difference.abs() < 1e-12, "{task}: {dtype}");
            }
        }
    }
    assert!(effects["truthfulqa_mc2"]["metrics"][0]["n_changed"].is_null());
    let answers = fs::read_dir(out.path().join("answers")).unwrap().count();
    assert_eq!(answers, 2, "answers of either type are kept apart");

    let f32_weights = Found::run(long.path(), &data, "hellaswag", &["--logits-dtype", "own"]);
    assert!(f32_weights.results["bf16_logits"].is_null(), "f32 weights have f32 logits");
}

#[test]
fn rows_of_the_published_hellaswag_are_read_as_lm_evaluation_harness_reads_them() {
    let fixture = fixture();
    let model = long_model(&fixture);
    for (name, arguments) in [("rows", &[][..]), ("rows_two_shots", &["--num-fewshot", "2"])] {
        let found = Found::run(model.path(), &golden().join("benchmarks_rows"), "hellaswag", arguments);
        let largest = compare(&found, &fixture["own"][name], 6);
        println!("{name}: largest difference {largest:.1e} nats");
    }
}

#[test]
fn results_have_the_layout_of_lm_evaluation_harness() {
    let found =
        Found::run(&golden().join("tiny_qwen2"), &golden().join("benchmarks"), "mmlu", &["--limit", "0.5"]);
    let results = &found.results;
    for part in [
        "results",
        "groups",
        "group_subtasks",
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
    ] {
        assert!(results[part].is_object(), "{part}");
    }
    assert_eq!(results["n-samples"]["mmlu_sociology"], json!({"original": 4, "effective": 2}));
    assert_eq!(results["n-samples"]["mmlu_abstract_algebra"]["effective"], 2, "a share is rounded up");
    assert_eq!(results["higher_is_better"]["mmlu"], json!({"acc": true}));
    assert_eq!(results["config"]["limit"], 0.5);
    let sample = &found.samples("mmlu_virology")[0];
    assert_eq!(sample["arguments"]["gen_args_0"]["arg_1"], " A");
    assert_eq!(sample["resps"][0][0], sample["filtered_resps"][0]);
}

#[test]
fn mistakes_are_told_before_the_model_is_read() {
    let data = golden().join("benchmarks");
    let message = |benchmarks: &str, data: &Path, arguments: &[&str], code: i32| {
        let output = razor(Path::new("no such model"), data, benchmarks, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{benchmarks}");
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = message("hellaswag,mnlu", &data, &[], 2);
    assert!(unknown.contains("`mnlu`") && unknown.contains("arc_challenge"), "{unknown}");
    let empty = TempDir::new().unwrap();
    let missing = message("winogrande", empty.path(), &[], 1);
    assert!(missing.contains("winogrande/dev.jsonl was not found"), "{missing}");
    let many = message("mmlu", &data, &["--num-fewshot", "3"], 1);
    assert!(many.contains("3 few-shot examples were asked for, there are 2"), "{many}");
    message("mmlu", &data, &["--limit", "1.5"], 2);
}

#[test]
fn written_answers_are_those_of_lm_evaluation_harness_and_read_alike() {
    let fixture = fixture();
    let model = long_model(&fixture);
    let cases: [(&str, &[&str]); 2] =
        [("written", &[]), ("written_chat", &["--num-fewshot", "2", "--apply-chat-template"])];
    for (name, arguments) in cases {
        let expected = &fixture["own"][name];
        let found = Found::run(model.path(), &golden().join("benchmarks"), "gsm8k", arguments);
        let samples = found.samples("gsm8k");
        let n = list(&expected["texts"]).len();
        assert_eq!(samples.len(), 2 * n, "a line for each filter");
        for (idx, sample) in samples.iter().enumerate() {
            let (document, filter) = (idx % n, sample["filter"].as_str().unwrap());
            let hash = sample["prompt_hash"].as_str().unwrap();
            assert_eq!(
                &hash[..16],
                expected["prompt_hashes"][document].as_str().unwrap(),
                "{}",
                sample["arguments"]
            );
            assert_eq!(sample["resps"][0][0], expected["texts"][document], "{name}, document {document}");
            assert_eq!(sample["filtered_resps"][0], expected["filtered"][filter][document], "{filter}");
            assert_eq!(sample["exact_match"], expected["exact_match"][filter][document], "{filter}");
        }
        compare_scores(&found.results["results"]["gsm8k"], &expected["results"], name);
    }
}

/// A verdict as a number, a list of them as a list: the reference writes some as `true`, some as 1.0.
fn verdicts(value: &Value) -> Vec<f64> {
    let number =
        |value: &Value| value.as_bool().map_or_else(|| number(value), |flag| f64::from(u8::from(flag)));
    value.as_array().map_or_else(|| vec![number(value)], |values| values.iter().map(number).collect())
}

#[test]
fn answers_to_instructions_and_programs_are_those_of_lm_evaluation_harness() {
    let fixture = fixture();
    let (model, data) = (long_model(&fixture), golden().join("benchmarks"));
    let chat = ["--max-new-tokens", "40", "--apply-chat-template"];
    let cases: [(&str, &str, &[&str]); 4] = [
        ("ifeval", "ifeval", &chat[..2]),
        ("ifeval_chat", "ifeval", &chat),
        ("humaneval", "humaneval", &chat[..2]),
        ("humaneval_instruct", "humaneval_instruct", &chat),
    ];
    for (name, task, arguments) in cases {
        let told = razor(model.path(), &data, task, arguments).output().unwrap();
        if String::from_utf8_lossy(&told.stderr).contains("cannot be isolated") {
            continue; // programs are refused where nothing isolates them
        }
        let found = Found::run(model.path(), &data, task, arguments);
        let (samples, expected) = (found.samples(task), &fixture["own"][name]);
        assert_eq!(samples.len(), list(&expected["texts"]).len(), "{name}");
        for (idx, sample) in samples.iter().enumerate() {
            let what = format!("{name}, document {idx}");
            let hash = sample["prompt_hash"].as_str().unwrap();
            assert_eq!(&hash[..16], expected["prompt_hashes"][idx].as_str().unwrap(), "{what}: {sample}");
            assert_eq!(sample["resps"][0][0], expected["texts"][idx], "{what}");
            assert_eq!(sample["filtered_resps"][0], expected["filtered"][idx], "{what}");
            for (metric, values) in expected["metrics"].as_object().unwrap() {
                assert_eq!(verdicts(&sample[metric]), verdicts(&values[idx]), "{what}: {metric}");
            }
        }
        compare_scores(&found.results["results"][task], &expected["results"], name);
    }
}

#[test]
fn instructions_and_programs_are_judged() {
    let fixture = fixture();
    let model = long_model(&fixture);
    let data = golden().join("benchmarks");
    let short = ["--max-new-tokens", "40"];
    let found = Found::run(model.path(), &data, "ifeval", &short);
    let samples = found.samples("ifeval");
    assert_eq!(samples.len(), 4);
    assert_eq!(list(&samples[1]["inst_level_strict_acc"]).len(), 2, "one verdict an instruction");
    let scores = &found.results["results"]["ifeval"];
    assert_eq!(scores["inst_level_strict_acc_stderr,none"], "N/A");
    let followed: usize = samples
        .iter()
        .flat_map(|sample| list(&sample["inst_level_loose_acc"]))
        .filter(|&followed| followed == true)
        .count();
    assert_eq!(number(&scores["inst_level_loose_acc,none"]), followed as f64 / 5.0);
    assert!(
        number(&scores["prompt_level_loose_acc,none"]) >= number(&scores["prompt_level_strict_acc,none"])
    );

    // What a random model writes is no function. Where nothing isolates programs, it is refused.
    let output = razor(model.path(), &data, "humaneval,humaneval_instruct", &short).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        assert!(told.contains("cannot be isolated") && told.contains("bubblewrap"), "{told}");
        return;
    }
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    for task in ["humaneval", "humaneval_instruct"] {
        assert_eq!(results["results"][task]["pass@1,create_test"], 0.0, "{task}");
    }
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let (model, data) = (golden().join("tiny_qwen2"), golden().join("benchmarks"));
    let out = TempDir::new().unwrap();
    let run = |arguments: &[&str]| {
        let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
        razor.args(["eval", "--json", "--benchmarks", "hellaswag,winogrande", "--model"]).arg(&model);
        razor.arg("--data").arg(&data).arg("--out").arg(out.path()).args(arguments);
        let output = razor.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let results: Value = serde_json::from_slice(&output.stdout).unwrap();
        (results["results"].clone(), String::from_utf8(output.stderr).unwrap())
    };
    let (whole, told) = run(&[]);
    assert!(!told.contains("kept"), "{told}");
    let answers = fs::read_dir(out.path().join("answers")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&answers).unwrap();
    assert_eq!(text.lines().count(), 16);
    // As a crash leaves it: seven whole lines and a part of one.
    let seven: usize = text.lines().take(7).map(|line| line.len() + 1).sum();
    fs::write(&answers, &text[..seven + 20]).unwrap();
    let (again, told) = run(&[]);
    assert!(told.contains("7 answers were kept"), "{told}");
    assert_eq!(again, whole);
    assert_eq!(fs::read_to_string(&answers).unwrap().lines().count(), 16);
    // Other prompts are other answers.
    let (_, told) = run(&["--system-instruction", "Be brief."]);
    assert!(!told.contains("kept"), "{told}");
}

#[test]
fn a_model_compared_with_itself_keeps_everything_and_another_is_told_apart() {
    let data = golden().join("benchmarks");
    let (model, fixture) = (golden().join("tiny_qwen2"), fixture());
    let other = long_model(&fixture);
    let compare = |tuned: &Path, out: &Path| -> Value {
        let mut razor = Command::new(env!("CARGO_BIN_EXE_razor"));
        razor
            .args(["eval", "--json", "--quiet", "--benchmarks", "hellaswag,truthfulqa_mc2,mmlu", "--base"])
            .arg(&model);
        razor.arg("--tuned").arg(tuned).arg("--data").arg(&data).arg("--out").arg(out);
        let output = razor.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let out = TempDir::new().unwrap();
    let same = compare(&model, out.path());
    for change in list(&same["changes"]) {
        assert_eq!([&change["difference"], &change["low"], &change["high"]], [&json!(0.0); 3], "{change}");
    }
    assert_eq!(same["over_benchmarks"]["forgetting"], 0.0);
    assert_eq!(same["most_regressed"], json!([]));
    let page = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("What the tuned model kept") && page.contains("<svg"));

    // The same weights that see more of a long prompt: some verdicts differ.
    let found = compare(other.path(), out.path());
    let changes = list(&found["changes"]);
    assert_eq!(changes.len(), 5);
    let mmlu = changes.iter().find(|change| change["benchmark"] == "mmlu").unwrap();
    assert_eq!(mmlu["n"], 11);
    let (gained, lost) = (number(&mmlu["mcnemar"]["n_gained"]), number(&mmlu["mcnemar"]["n_lost"]));
    assert!(
        (number(&mmlu["difference"]) - (gained - lost) / 11.0).abs() < 1e-12 && gained + lost > 0.0,
        "{mmlu}"
    );
    let regressed = list(&found["most_regressed"])
        .iter()
        .filter(|document| document["task"].as_str().unwrap().starts_with("mmlu"));
    assert_eq!(regressed.count() as f64, lost);
    let mc2 = changes.iter().find(|change| change["benchmark"] == "truthfulqa_mc2").unwrap();
    assert!(mc2["mcnemar"].is_null(), "a share is neither right nor wrong");
}
