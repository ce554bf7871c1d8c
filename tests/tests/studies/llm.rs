//! A small LLM study on the embedded base as a whole: same records with any number of workers and after a stop; folders that
//! are taken are left alone; a report is drawn again without training.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use razor_core::Seed;
use razor_data::Sources;
use razor_experiments::llm::study::{LlmConfig, LlmStudy, redraw_llm_report};
use razor_experiments::llm::tiny_base::{read_base, write_tiny_base};
use razor_experiments::{StudyEvent, StudyOptions};
use serde_json::Value;

use crate::{copy_of, environment, files, kept_folder};

/// Three runs and a sequence of two stages out of preset `smoke`.
const SMALL: [&str; 5] = [
    "tasks=[\
        {name='math', source='tiny_math', subset='', annotations='', imitates_answers=false, max_train=32, max_test=8, max_new_tokens=32},\
        {name='tools', source='tiny_tools', subset='', annotations='', imitates_answers=false, max_train=32, max_test=8, max_new_tokens=32}]",
    "sweeps=[\
        {arm='main', tasks=['math'], methods=['sft', 'lora_sft'], learning_rates=[1e-3], epsilons=[1e-8], schedules=['constant'], batch_sizes=[8], n_epochs=[1], n_steps=4, n_iterations=[1], n_seeds=1},\
        {arm='main', tasks=['math'], methods=['grpo'], learning_rates=[1e-3], epsilons=[1e-8], schedules=['constant'], batch_sizes=[8], n_epochs=[1], n_steps=2, n_iterations=[1], n_seeds=1}]",
    "sequence={methods=['sft'], learning_rate=1e-3, epsilon=1e-8, batch_sizes=[8, 8], n_steps=[2, 2]}",
    "measure.n_representation_prompts=20",
    "prior.max_documents=4",
];

fn study(out: &Path, n_workers: usize, resume: bool, more: &[&str]) -> LlmStudy {
    let assignments: Vec<String> = SMALL.iter().chain(more).map(|&text| text.to_owned()).collect();
    let options = StudyOptions {
        out: out.to_owned(),
        preset: "smoke".to_owned(),
        seed: Seed::new(0),
        resume,
        n_workers,
        sources: Sources::new(None),
        environment: environment(n_workers),
    };
    let load_base = Box::new(|folder: &str| read_base(Path::new(folder), &Device::flex()));
    LlmStudy::new(LlmConfig::preset("smoke", &assignments).unwrap(), options, load_base).unwrap()
}

/// The study that others are compared with, run once, by one worker. Nothing may write to it.
fn reference() -> &'static Path {
    static REFERENCE: OnceLock<PathBuf> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let out = kept_folder("llm_study");
        study(&out, 1, false, &[]).run(&mut |_| {}).unwrap();
        out
    })
}

/// What two equal studies have in common: everything but times, and what names the number of workers.
fn records(study: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(study);
    files.retain(|path, _| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.components().any(|part| part.as_os_str() == "measurements")
            || [
                "kl.jsonl",
                "on_tasks.json",
                "math.json",
                "tools.json",
                "config.toml",
                "points.csv",
                "summary.json",
            ]
            .contains(&name)
    });
    files
}

fn assert_same_records(left: &Path, right: &Path) {
    let (mut left, mut right) = (records(left), records(right));
    let environment = |records: &mut BTreeMap<PathBuf, Vec<u8>>| {
        let mut summary: Value =
            serde_json::from_slice(&records.remove(Path::new("summary.json")).unwrap()).unwrap();
        summary["environment"].take();
        summary
    };
    assert_eq!(environment(&mut left), environment(&mut right));
    let names = |records: &BTreeMap<PathBuf, Vec<u8>>| records.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (path, bytes) in &left {
        assert!(*bytes == right[path], "{} differs", path.display());
    }
}

fn run_dir(study: &Path, prefix: &str) -> PathBuf {
    let mut folders = fs::read_dir(study.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    folders.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).unwrap()
}

#[test]
fn the_number_of_workers_changes_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("study");
    let mut events = Vec::new();
    study(&out, 3, false, &[]).run(&mut |event| events.push(event)).unwrap();
    assert_same_records(reference(), &out);
    assert!(
        matches!(events.iter().rev().find(|event| matches!(event, StudyEvent::Progress { .. })),
            Some(StudyEvent::Progress { n_done: 4, n_runs: 4, share }) if (share - 1.0).abs() < 1e-9),
        "{events:?}"
    );
}

#[test]
fn a_study_that_was_stopped_goes_on_to_the_same_records() {
    let copy = copy_of(reference());
    // As after a kill: one run half done, one not begun, the sequence in its second stage, and no report.
    fs::remove_file(run_dir(copy.path(), "math-grpo").join("done")).unwrap();
    fs::remove_dir_all(run_dir(copy.path(), "math-lora_sft")).unwrap();
    fs::remove_dir_all(copy.path().join("sequence")).unwrap();
    for file in ["summary.json", "report.html", "points.csv"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    study(copy.path(), 1, true, &[]).run(&mut |_| {}).unwrap();
    assert_same_records(reference(), copy.path());
}

#[test]
fn every_run_has_its_measurements_and_the_base_has_one_on_each_task() {
    let steps = |run: &str| {
        let mut names: Vec<String> = fs::read_dir(run_dir(reference(), run).join("measurements"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(steps("math-sft"), ["0.json", "2.json", "4.json"]);
    assert_eq!(steps("math-grpo"), ["0.json", "1.json", "2.json"]);
    for task in ["math", "tools"] {
        assert!(reference().join("bases/b0").join(format!("{task}.json")).is_file());
    }
    // The policy of a run is not kept, that of a stage is needed by the next one.
    let last_model = |run: &Path| {
        let result: Value = serde_json::from_slice(&fs::read(run.join("done")).unwrap()).unwrap();
        result["last_model"].clone()
    };
    assert!(last_model(&run_dir(reference(), "math-sft")).is_null());
    assert!(last_model(&reference().join("sequence/sft/0-math")).is_string());
    let stage = fs::read(reference().join("sequence/sft/1-tools/on_tasks.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&stage).unwrap().len(), 2, "on both tasks");
}

#[test]
fn a_folder_that_is_taken_is_left_alone() {
    let copy = copy_of(reference());
    let before = files(copy.path());
    let refused = |resume: bool, more: &[&str]| {
        format!("{:#}", study(copy.path(), 1, resume, more).run(&mut |_| {}).unwrap_err())
    };
    let message = refused(false, &[]);
    assert!(message.contains("3 of 3 runs done") && message.contains("--resume"), "{message}");
    let message = refused(true, &["measure.n_resamples=300"]);
    assert!(message.contains("its preset or --set values differ"), "{message}");
    assert!(files(copy.path()) == before);
}

#[test]
fn a_stage_that_was_trained_and_not_measured_is_measured_as_it_is() {
    let copy = copy_of(reference());
    let files = tempfile::tempdir().unwrap();
    write_tiny_base(files.path()).unwrap();
    // As after a kill between the two. The policies are the base itself here, which training again would not give.
    for stage in ["0-math", "1-tools"] {
        let done = copy.path().join("sequence/sft").join(stage).join("done");
        let mut result: Value = serde_json::from_slice(&fs::read(&done).unwrap()).unwrap();
        result["last_model"] = files.path().to_str().unwrap().into();
        fs::write(&done, result.to_string()).unwrap();
    }
    let stage = copy.path().join("sequence/sft/1-tools");
    fs::remove_file(stage.join("on_tasks.json")).unwrap();
    study(copy.path(), 1, true, &[]).run(&mut |_| {}).unwrap();
    let on_tasks = fs::read(stage.join("on_tasks.json")).unwrap();
    for measured in serde_json::from_slice::<Vec<Value>>(&on_tasks).unwrap() {
        assert_eq!(measured["weights"]["relative"], 0.0);
    }
}

#[test]
fn a_stage_that_diverges_ends_its_sequence_and_not_the_study() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("study");
    study(&out, 2, false, &["sequence.learning_rate=1e30"]).run(&mut |_| {}).unwrap();
    let stage = out.join("sequence/sft/0-math");
    let reason = fs::read_to_string(stage.join("failed.json")).unwrap();
    assert!(reason.contains("diverged") || reason.contains("not finite"), "{reason}");
    assert!(!stage.join("on_tasks.json").exists() && !out.join("sequence/sft/1-tools").exists());
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("The sequence of SFT ended on math: "), "the report says nothing of it");
    // It stays so: nothing of it is tried again.
    study(&out, 2, true, &["sequence.learning_rate=1e30"]).run(&mut |_| {}).unwrap();
    assert_eq!(fs::read_to_string(stage.join("failed.json")).unwrap(), reason);
}

#[test]
fn a_report_is_drawn_again_from_the_records() {
    let copy = copy_of(reference());
    let drawn = |dir: &Path| fs::read(dir.join("report.html")).unwrap();
    let before = drawn(copy.path());
    for file in ["summary.json", "report.html", "points.csv"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    redraw_llm_report(copy.path().to_owned()).unwrap();
    assert!(drawn(copy.path()) == before);
}
