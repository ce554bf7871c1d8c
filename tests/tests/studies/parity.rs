//! A small ParityMNIST study as a whole: same bytes with any number of workers, after an interruption and from a
//! redrawn report; folders that are taken are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use razor_core::Seed;
use razor_data::{DataPolicy, Sources};
use razor_experiments::parity::{ParityConfig, ParityStudy, redraw_parity_report};
use razor_experiments::{ExperimentError, StudyEvent, StudyOptions};
use serde_json::Value;

use crate::{copy_of, environment, files, kept_folder};

/// What makes a study of a few seconds out of preset `smoke`: few images, two of the paper's methods and a student.
const SMALL: [&str; 17] = [
    "methods=[\"grpo\", \"sft2\", \"sft_distilled\"]",
    "data.n_train=400",
    "data.n_test=120",
    "pretrain.n_images_per_task=100",
    "pretrain.n_epochs=2",
    "pretrain.batch_size=32",
    "finetune.n_images=256",
    "finetune.batch_size=32",
    "finetune.group_size=4",
    "epsilon_arm.methods=[\"sft2\"]",
    "dynamics.methods=[\"grpo\"]",
    "dynamics.every_n_steps=4",
    "dynamics.n_images=30",
    "measure.n_representation_images=40",
    "measure.n_neighbors=5",
    "measure.n_fisher_images=10",
    "measure.n_resamples=20",
];

/// Runs of this study: three methods at two learning rates, one with another epsilon, one watched.
const N_RUNS: usize = 8;

/// How one execution of the study differs from another.
#[derive(Clone, Copy)]
struct Execution {
    n_workers: usize,
    resume: bool,
    seed: u64,
    assignment: Option<&'static str>,
}

const FRESH: Execution = Execution { n_workers: 1, resume: false, seed: 0, assignment: None };

fn study(out: &Path, execution: Execution) -> ParityStudy {
    let assignments: Vec<String> = SMALL.into_iter().chain(execution.assignment).map(str::to_owned).collect();
    let options = StudyOptions {
        out: out.to_owned(),
        preset: "smoke".to_owned(),
        seed: Seed::new(execution.seed),
        resume: execution.resume,
        n_workers: execution.n_workers,
        sources: Sources::new(None),
        environment: environment(execution.n_workers),
    };
    let config = ParityConfig::preset("smoke", &assignments).unwrap();
    ParityStudy::new(config, options, DataPolicy::ProceduralOnly).unwrap()
}

fn run(out: &Path, execution: Execution) -> Result<Vec<StudyEvent>, ExperimentError> {
    let mut events = Vec::new();
    study(out, execution).run(&Device::flex(), &mut |event| events.push(event))?;
    Ok(events)
}

/// The study that others are compared with, run once, by one worker. Nothing may write to it.
fn reference() -> &'static Path {
    static REFERENCE: OnceLock<PathBuf> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let out = kept_folder("parity_study");
        run(&out, FRESH).unwrap();
        out
    })
}

/// Checks that two studies hold the same files with the same bytes; `env.toml`, which names the number of workers and
/// is no record, is left out.
fn assert_same_study(left: &Path, right: &Path) {
    let [left, right] = [left, right].map(|dir| {
        let mut files = files(dir);
        files.remove(Path::new("env.toml"));
        files
    });
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (path, bytes) in &left {
        assert!(*bytes == right[path], "{} differs", path.display());
    }
}

fn run_dir(study: &Path, prefix: &str) -> PathBuf {
    let folders = fs::read_dir(study.join("runs")).unwrap().map(|entry| entry.unwrap());
    let mut named = folders.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix));
    let found = named.next().unwrap_or_else(|| panic!("no run {prefix}")).path();
    assert!(named.next().is_none(), "several runs {prefix}");
    found
}

const TEACHER: &str = "grpo-lr1.00e-3";
const STUDENT: &str = "sft_distilled-lr1.00e-3";

#[test]
fn every_run_is_recorded_and_the_teacher_is_kept() {
    let runs = fs::read_dir(reference().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<PathBuf> = runs.collect();
    assert_eq!(runs.len(), N_RUNS);
    for run in &runs {
        let evals = fs::read_to_string(run.join("evals.jsonl")).unwrap();
        assert_eq!(evals.lines().count(), 2, "one epoch, measured twice");
        assert!(run.join("done").is_file());
        let is_teacher = run.file_name().unwrap().to_str().unwrap().starts_with(TEACHER);
        assert_eq!(run.join("checkpoints").is_dir(), is_teacher, "{}", run.display());
    }
    let teacher = run_dir(reference(), TEACHER);
    let student: String = fs::read_to_string(run_dir(reference(), STUDENT).join("config.toml")).unwrap();
    assert!(
        student.contains(teacher.file_name().unwrap().to_str().unwrap()),
        "the student names its teacher"
    );
    assert!(run_dir(reference(), "grpo-watched").join("dynamics.jsonl").is_file());
}

#[test]
fn nothing_depends_on_the_number_of_workers() {
    let out = tempfile::tempdir().unwrap();
    run(out.path(), Execution { n_workers: 3, ..FRESH }).unwrap();
    assert_same_study(out.path(), reference());
}

#[test]
fn another_seed_gives_other_records() {
    let out = tempfile::tempdir().unwrap();
    run(out.path(), Execution { seed: 1, n_workers: 2, ..FRESH }).unwrap();
    let evals = |study: &Path| fs::read(run_dir(study, TEACHER).join("evals.jsonl")).unwrap();
    assert_ne!(evals(out.path()), evals(reference()));
}

#[test]
fn an_interrupted_study_resumes_to_the_same_bytes() {
    let copy = copy_of(reference());
    // The teacher was not done, the student had half a record, a third run had only begun, a fourth not even that.
    fs::remove_file(run_dir(copy.path(), TEACHER).join("done")).unwrap();
    let student = run_dir(copy.path(), STUDENT);
    fs::remove_file(student.join("done")).unwrap();
    fs::write(student.join("evals.jsonl"), b"{\"step\":4,\"learn").unwrap();
    fs::write(student.join("steps.jsonl.4242.partial"), b"{\"step\":8").unwrap();
    for half in ["summary.json.4242.partial", "bases/s0/model.safetensors.4242.partial"] {
        fs::write(copy.path().join(half), b"{").unwrap();
    }
    let begun = run_dir(copy.path(), "sft2-lr1.00e-3");
    for file in ["done", "evals.jsonl"] {
        fs::remove_file(begun.join(file)).unwrap();
    }
    fs::remove_dir_all(run_dir(copy.path(), "sft2-lr1.00e-4")).unwrap();
    for file in ["summary.json", "report.html"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }

    let events = run(copy.path(), Execution { resume: true, n_workers: 2, ..FRESH }).unwrap();
    assert_same_study(copy.path(), reference());
    let kept = events.iter().take_while(|event| matches!(event, StudyEvent::Progress { .. })).count();
    assert_eq!(kept, N_RUNS - 4, "runs that were done are not trained again");
}

#[test]
fn a_whole_study_resumes_without_training() {
    let copy = copy_of(reference());
    let events = run(copy.path(), Execution { resume: true, ..FRESH }).unwrap();
    assert_eq!(events.last(), Some(&StudyEvent::Stage("report".to_owned())));
    assert_eq!(events.len(), N_RUNS + 1, "only the report is made: {events:?}");
    assert_same_study(copy.path(), reference());
}

#[test]
fn a_study_is_not_taken_without_resume_nor_by_another() {
    let out = copy_of(reference());
    let refused = |execution| run(out.path(), execution).unwrap_err().to_string();
    let taken = refused(FRESH);
    assert!(taken.contains("8 of 8 runs done") && taken.contains("--resume"), "{taken}");
    let resumed = Execution { resume: true, ..FRESH };
    for (other, difference) in [
        (Execution { seed: 1, ..resumed }, "seed differs"), // its procedural images differ too
        (Execution { assignment: Some("finetune.group_size=8"), ..resumed }, "--set values differ"),
        (Execution { assignment: Some("measure.n_resamples=21"), ..FRESH }, "--set values differ"),
        (Execution { assignment: Some("data.n_test=121"), ..resumed }, "images differ"),
    ] {
        let message = refused(other);
        assert!(message.contains(difference) && message.contains("--out"), "{message}");
    }
    assert_same_study(out.path(), reference());
}

#[test]
fn a_report_is_redrawn_from_the_records_alone() {
    let copy = copy_of(reference());
    for drawn in ["summary.json", "report.html", "points.csv"] {
        fs::remove_file(copy.path().join(drawn)).unwrap();
    }
    for drawn in ["figures", "tables"] {
        fs::remove_dir_all(copy.path().join(drawn)).unwrap();
    }
    redraw_parity_report(copy.path().to_owned()).unwrap();
    assert_same_study(copy.path(), reference());
}

#[test]
fn a_damaged_record_of_a_finished_run_is_named() {
    let copy = copy_of(reference());
    let evals = run_dir(copy.path(), STUDENT).join("evals.jsonl");
    let whole = fs::read(&evals).unwrap();
    fs::write(&evals, &whole[..whole.len() - 20]).unwrap();
    let message = redraw_parity_report(copy.path().to_owned()).unwrap_err().to_string();
    assert!(message.contains(STUDENT) && message.contains("evals.jsonl:2"), "{message}");
}

#[test]
fn a_folder_without_a_study_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = redraw_parity_report(dir.path().to_owned()).unwrap_err();
    assert!(matches!(error, ExperimentError::NoStudy { .. }), "{error}");
    assert_eq!(files(dir.path()).len(), 0, "nothing was written");
}

fn is_number_or_null(value: &Value) -> bool {
    value.is_number() || value.is_null()
}

#[test]
fn the_summary_holds_what_other_programs_read() {
    let text = fs::read_to_string(reference().join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    for (key, expected) in
        [("schema", "razor.summary/1"), ("study", "parity"), ("preset", "smoke"), ("data", "procedural")]
    {
        assert_eq!(summary[key], expected, "{key}");
    }
    let rows = |key: &str| {
        let rows = summary[key].as_array().unwrap();
        assert!(!rows.is_empty(), "{key}");
        rows.clone()
    };
    for gate in rows("gates") {
        assert!(gate["id"].is_string() && gate["figure"].is_string(), "{gate}");
        assert!(gate.get("pass").is_some_and(|pass| pass.is_boolean() || pass.is_null()), "{gate}");
    }
    for predictor in rows("predictors") {
        assert!(
            ["new_task", "old_task", "none"].contains(&predictor["inputs"].as_str().unwrap()),
            "{predictor}"
        );
        for key in ["r2", "r2_low", "r2_high", "spearman"] {
            assert!(predictor.get(key).is_some_and(is_number_or_null), "{key} in {predictor}");
        }
    }
    let forward_kl =
        rows("predictors").into_iter().find(|row| row["name"] == "kl_reference_to_policy").unwrap();
    let [low, r2, high] = ["r2_low", "r2", "r2_high"].map(|key| forward_kl[key].as_f64().unwrap());
    assert!((0.0..=1.0).contains(&r2) && low <= high, "{forward_kl}");
    for row in rows("matched") {
        assert!(["grpo", "sft2", "sft_distilled"].contains(&row["method"].as_str().unwrap()), "{row}");
        for key in ["new_task", "prior_task", "kl_reference_to_policy"] {
            assert!(row.get(key).is_some_and(is_number_or_null), "{key} in {row}");
        }
    }
}
