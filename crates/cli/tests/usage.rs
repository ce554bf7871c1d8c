//! What `razor` says, and which code it exits with, when it is used wrongly or with wrong files.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// Runs `razor` in `dir`, where no data set is to be found and no hub is asked.
fn razor(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_razor"));
    command.current_dir(dir).args(arguments).env_remove("RAZOR_DATA");
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", dir.join("hub"));
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks the exit code and that standard error is an `error:` with these parts and nothing of Rust's insides.
fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "expected `{part}` in: {stderr}");
    }
    for inside in ["panicked", "stack backtrace", "Error {", "\x1b["] {
        assert!(!stderr.contains(inside), "{stderr}");
    }
}

#[test]
fn bad_usage_exits_with_2_and_says_what_there_is() {
    let dir = TempDir::new().unwrap();
    let cases: [(&[&str], &[&str]); 14] = [
        (&["reproduce", "partiy"], &["partiy", "parity, llm or theory"]),
        (&["reproduce", "circuits"], &["circuits", "not available yet", "parity, llm, theory"]),
        (&["reproduce", "llm", "--preset", "quick"], &["`quick`", "smoke, tiny, tiny-full, small, paper"]),
        (&["reproduce", "llm", "--procedural"], &["--procedural is of the study parity"]),
        (
            &["reproduce", "llm", "--preset", "smoke", "--set", "sweeps.0.learning_rates=[0.0]"],
            &["`sweeps.learning_rates` is 0", "above 0"],
        ),
        (&["reproduce", "parity", "--preset", "fast"], &["fast", "smoke, quick, standard, paper"]),
        (&["reproduce", "parity", "--set", "finetune.groups=4"], &["finetune.groups=4", "group_size"]),
        (
            &["reproduce", "parity", "--set", "finetune.group_size=1"],
            &["finetune.group_size", "at least 2", "found 1"],
        ),
        (&["reproduce", "parity", "--set", "finetune.group_size=many"], &["group_size", "many"]),
        (&["reproduce", "parity", "--workers", "0"], &["--workers", "from 1"]),
        (&["reproduce", "parity", "--procedural", "--data", "."], &["--procedural", "--data"]),
        (&["reproduce", "theory", "--data", "."], &["--data", "reads no images"]),
        (
            &["reproduce", "theory", "--set", "annotator=1"],
            &["annotator", "expected a right answer", "found 1"],
        ),
        (&["data", "show", "cifar"], &["cifar", "mnist, fashion_mnist"]),
    ];
    for (arguments, parts) in cases {
        assert_refused(&razor(dir.path(), arguments), 2, parts);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_local_batch_of_nothing_is_refused_before_anything_is_read() {
    let dir = TempDir::new().unwrap();
    let setting = "method.config.reduction={local_token_mean={local_batch=0}}";
    for method in ["sft", "rejection-sft", "grpo"] {
        let arguments = [method, "--model", "none", "--file", "none", "--out", "out", "--set", setting];
        assert_refused(&razor(dir.path(), &arguments), 2, &["local_batch", "from 1 to"]);
    }
}

#[test]
fn a_wrong_data_path_is_an_error_and_never_a_reason_for_stand_ins() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for (path, parts) in [
        ("nowhere", ["--data is nowhere", "not a folder"]),
        ("file", ["--data is file", "not a folder"]),
        (".", ["does not hold mnist", "./mnist"]),
    ] {
        for command in ["reproduce parity --preset smoke", "data show mnist"] {
            let arguments: Vec<&str> = command.split(' ').chain(["--data", path]).collect();
            assert_refused(&razor(dir.path(), &arguments), 1, &parts);
        }
    }
    assert!(!dir.path().join("runs").exists(), "no study was begun");
}

/// Four files in a folder `mnist`: headers that promise the official counts over far too few bytes.
fn truncated_mnist(dir: &Path) {
    let mnist = dir.join("mnist");
    fs::create_dir(&mnist).unwrap();
    for (split, count) in [("train", 60_000_u32), ("t10k", 10_000)] {
        let images = [2051, count, 28, 28].map(u32::to_be_bytes).concat();
        let labels = [2049, count].map(u32::to_be_bytes).concat();
        fs::write(mnist.join(format!("{split}-images-idx3-ubyte")), [images, vec![0; 1000]].concat())
            .unwrap();
        fs::write(mnist.join(format!("{split}-labels-idx1-ubyte")), [labels, vec![0; 10]].concat()).unwrap();
    }
}

#[test]
fn a_truncated_file_is_named_with_what_was_expected_and_found() {
    let dir = TempDir::new().unwrap();
    truncated_mnist(dir.path());
    let parts = ["train-images-idx3-ubyte", "truncated", "47040016", "1016"];
    assert_refused(
        &razor(dir.path(), &["reproduce", "parity", "--preset", "smoke", "--data", "."]),
        1,
        &parts,
    );
    assert!(!dir.path().join("runs").exists(), "no study was begun");

    let output = razor(dir.path(), &["data", "verify", "mnist", "--data", "."]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert_eq!(text.matches("WRONG").count(), 4, "{text}");
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn verify_fails_where_there_is_nothing_and_list_does_not() {
    let dir = TempDir::new().unwrap();
    let verify = razor(dir.path(), &["data", "verify", "--json"]);
    assert_eq!(verify.status.code(), Some(1));
    let states: serde_json::Value = serde_json::from_slice(&verify.stdout).unwrap();
    assert_eq!((&states[0]["name"], &states[0]["state"]), (&"mnist".into(), &"missing".into()));
    let list = razor(dir.path(), &["data", "list"]);
    assert_eq!(list.status.code(), Some(0));
    assert!(stdout(&list).contains("fashion_mnist  missing"), "{}", stdout(&list));
}

#[test]
fn a_fetch_without_a_hub_fails_and_says_why() {
    let dir = TempDir::new().unwrap();
    assert_refused(
        &razor(dir.path(), &["data", "fetch", "mnist"]),
        1,
        &["cannot fetch mnist", "HF_HUB_OFFLINE"],
    );
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let arguments = ["reproduce", "parity", "--preset", "smoke", "--procedural", "--dry-run"];
    let text = stdout(&razor(dir.path(), &arguments));
    for part in ["PROCEDURAL", "runs ", "expect ", "MiB", "runs/parity-smoke"] {
        assert!(text.contains(part), "expected `{part}` in: {text}");
    }
    let output = razor(dir.path(), &[&arguments[..], &["--json"]].concat());
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["data"], "procedural");
    assert!(plan["n_runs"].as_u64() > Some(0) && plan["expected_seconds"].as_f64() > Some(0.0), "{plan}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_folder_that_holds_a_study_is_not_taken_without_resume() {
    let dir = TempDir::new().unwrap();
    let arguments = ["reproduce", "theory", "--preset", "smoke"];
    let first = razor(dir.path(), &arguments);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert!(stdout(&first).contains("gates pass") && stdout(&first).contains("report.html"));
    let summary = dir.path().join("runs/theory-smoke/summary.json");
    let before = fs::read(&summary).unwrap();

    assert_refused(&razor(dir.path(), &arguments), 1, &["runs/theory-smoke", "--resume", "--out"]);
    let other_seed = razor(dir.path(), &[&arguments[..], &["--resume", "--seed", "1"]].concat());
    assert_refused(&other_seed, 1, &["another config", "--out"]);
    let again = razor(dir.path(), &[&arguments[..], &["--resume", "--json"]].concat());
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(fs::read(&summary).unwrap(), before, "the same study gives the same bytes");

    fs::remove_file(&summary).unwrap();
    let redrawn = razor(dir.path(), &["report", "runs/theory-smoke", "--quiet"]);
    assert_eq!((redrawn.status.code(), stdout(&redrawn)), (Some(0), String::new()));
    assert_eq!(fs::read(&summary).unwrap(), before, "a report is made from the records alone");
}

#[test]
fn a_folder_without_a_study_has_no_report() {
    let dir = TempDir::new().unwrap();
    assert_refused(&razor(dir.path(), &["report", "."]), 1, &["holds no study", "config.toml"]);
}

#[test]
fn an_example_is_shown_with_its_label_and_that_it_is_procedural() {
    let dir = TempDir::new().unwrap();
    let arguments = ["data", "show", "mnist", "--procedural", "--index", "4"];
    let text = stdout(&razor(dir.path(), &arguments));
    assert!(text.starts_with("mnist train 4: label ") && text.contains("procedural data"), "{text}");
    let output = razor(dir.path(), &[&arguments[..], &["--json"]].concat());
    let example: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(example["data"], "procedural");
    assert_eq!(example["pixels"].as_array().map(Vec::len), Some(784));
    let output = razor(dir.path(), &["data", "show", "mnist", "--procedural", "--index", "60000"]);
    assert_refused(&output, 1, &["no number 60000"]);
}

#[test]
fn version_and_help_exit_with_0() {
    let dir = TempDir::new().unwrap();
    let version = razor(dir.path(), &["--version"]);
    assert!(stdout(&version).contains("commit ") && stdout(&version).contains("burn 0."), "{version:?}");
    let help = razor(dir.path(), &["reproduce", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("Examples:\n  razor reproduce parity\n"), "{}", stdout(&help));
}
