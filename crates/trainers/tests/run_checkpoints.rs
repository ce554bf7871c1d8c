//! Checkpoints of a run: whole or not at all, read back bit for bit, refused when damaged, pruned.

#![expect(clippy::unwrap_used, reason = "a file that cannot be had should fail the test here")]

use std::fs;
use std::path::Path;

use half::bf16;
use razor_models::{HostData, HostTensor, ModelError, TensorSpec, WeightDtype};
use razor_trainers::language::run::{
    Better, Checkpoints, LogKind, LogOffsets, NewCheckpoint, Retention, RunError, RunFolder, RunLogs,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    epoch: u64,
    position: usize,
    best: Option<f64>,
}

const STATE: State = State { epoch: 1, position: 7, best: Some(0.1) };

const ALL: Retention = Retention { keep_last: 100, keep_best: 0, better: Better::Higher };

fn tensors() -> Vec<(TensorSpec, WeightDtype)> {
    let spec = |name: &str, shape: &[usize]| TensorSpec { name: name.to_owned(), shape: shape.to_vec() };
    vec![
        (spec("adam.m/embed", &[2, 3]), WeightDtype::F32),
        (spec("master/norm", &[3]), WeightDtype::Bf16),
        (spec("empty", &[0, 4]), WeightDtype::F32),
    ]
}

fn tensor(spec: &TensorSpec) -> HostTensor {
    let n_values: usize = spec.shape.iter().product();
    let values = (0..n_values).map(|idx| 0.1 + idx as f32 * -1e-40);
    let data = match spec.name.as_str() {
        "master/norm" => HostData::Bf16(values.map(bf16::from_f32).collect()),
        _ => HostData::F32(values.collect()),
    };
    HostTensor { shape: spec.shape.clone(), data }
}

fn write_model(folder: &Path) -> Result<(), ModelError> {
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("deep/weights"), [7; 100]).unwrap();
    Ok(())
}

fn start(dir: &TempDir) -> RunFolder {
    RunFolder::create(dir.path(), &json!({"seed": 1}), &json!({})).unwrap()
}

fn write(checkpoints: &Checkpoints, step: u64, score: Option<f64>) -> Result<(), RunError> {
    write_with(checkpoints, step, score, &mut |spec| Ok(tensor(spec)), &mut write_model)
}

fn write_with(
    checkpoints: &Checkpoints,
    step: u64,
    score: Option<f64>,
    read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>,
    write_model: &mut dyn FnMut(&Path) -> Result<(), ModelError>,
) -> Result<(), RunError> {
    let logs = LogOffsets::default();
    let new = NewCheckpoint { step, score, logs: &logs, state: &STATE, tensors: &tensors() };
    checkpoints.write(&new, read, write_model)
}

/// What is in the folder of checkpoints, leftovers included.
fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_checkpoint_reads_back_bit_for_bit() {
    let dir = TempDir::new().unwrap();
    let run = start(&dir);
    let mut logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
    logs.append(LogKind::Kl, &json!({"kl": 0.5})).unwrap();
    let offsets = logs.offsets().unwrap();
    let checkpoints = Checkpoints::new(&run, ALL);
    assert!(checkpoints.latest().unwrap().is_none());
    let new =
        NewCheckpoint { step: 120, score: Some(0.1), logs: &offsets, state: &STATE, tensors: &tensors() };
    let mut asked = Vec::new();
    let mut read = |spec: &TensorSpec| {
        asked.push(spec.name.clone());
        Ok(tensor(spec))
    };
    checkpoints.write(&new, &mut read, &mut write_model).unwrap();
    assert_eq!(asked, ["adam.m/embed", "master/norm", "empty"], "one after the other, each once");
    assert_eq!(names(&dir), ["00000120"]);

    let back = checkpoints.latest().unwrap().unwrap();
    assert_eq!((back.step(), back.score(), back.logs()), (120, Some(0.1), &offsets));
    assert_eq!(back.logs().of("kl.jsonl"), 11);
    assert_eq!(back.state::<State>().unwrap(), STATE);
    assert_eq!(back.tensor_names().count(), 3);
    for (spec, dtype) in tensors() {
        assert_eq!(back.read(&spec, dtype).unwrap(), tensor(&spec), "{}", spec.name);
    }
    assert_eq!(fs::read(back.model().join("deep/weights")).unwrap(), [7; 100]);
    let message = back.state::<Vec<u8>>().unwrap_err().to_string();
    assert!(message.contains("00000120") && message.contains("state.json"), "{message}");
}

#[test]
fn a_callback_that_fails_leaves_the_earlier_checkpoints_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let checkpoints = Checkpoints::new(&start(&dir), Retention { keep_last: 1, ..ALL });
    write(&checkpoints, 1, None).unwrap();
    let broken = || ModelError::Tensor {
        path: "device".into(),
        name: "master/norm".to_owned(),
        message: "cannot be fetched".to_owned(),
    };
    let mut read = |spec: &TensorSpec| match spec.name.as_str() {
        "master/norm" => Err(broken()),
        _ => Ok(tensor(spec)),
    };
    let message = write_with(&checkpoints, 2, None, &mut read, &mut write_model).unwrap_err().to_string();
    assert!(message.contains("`master/norm` cannot be fetched"), "{message}");
    assert_eq!(names(&dir), ["00000001"]);
    let mut half_a_model = |folder: &Path| {
        write_model(folder)?;
        Err(broken())
    };
    write_with(&checkpoints, 2, None, &mut |spec| Ok(tensor(spec)), &mut half_a_model).unwrap_err();
    let mut diverged = |spec: &TensorSpec| {
        let mut tensor = tensor(spec);
        if let HostData::F32(values) = &mut tensor.data {
            values.fill(f32::NAN);
        }
        Ok(tensor)
    };
    let message = write_with(&checkpoints, 2, None, &mut diverged, &mut write_model).unwrap_err().to_string();
    assert!(message.contains("adam.m/embed") && message.contains("not a finite number"), "{message}");
    assert_eq!(names(&dir), ["00000001"]);
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 1);
}

#[test]
fn a_step_is_not_written_twice() {
    let dir = TempDir::new().unwrap();
    let checkpoints = Checkpoints::new(&start(&dir), ALL);
    write(&checkpoints, 5, None).unwrap();
    let message = write(&checkpoints, 5, None).unwrap_err().to_string();
    assert!(message.contains("00000005") && message.contains("not empty"), "{message}");
}

#[test]
fn the_newest_and_the_best_stay_and_pruning_waits_for_the_new_one() {
    let dir = TempDir::new().unwrap();
    let retention = Retention { keep_last: 2, keep_best: 1, better: Better::Higher };
    let checkpoints = Checkpoints::new(&start(&dir), retention);
    let scores = [Some(0.2), Some(0.8), Some(0.8), None, Some(f64::NAN), Some(0.1)];
    for (step, score) in (1..).zip(scores) {
        let before = checkpoints.steps().unwrap();
        let mut all_there = |folder: &Path| {
            assert_eq!(checkpoints.steps().unwrap(), before, "nothing goes before the new one is complete");
            write_model(folder)
        };
        write_with(&checkpoints, step, score, &mut |spec| Ok(tensor(spec)), &mut all_there).unwrap();
    }
    assert_eq!(names(&dir), ["00000002", "00000005", "00000006"]);
    assert_eq!(checkpoints.open(5).unwrap().score(), None, "a score that is no number is none");
}

#[test]
fn damage_is_refused_by_the_name_of_the_file() {
    let dir = TempDir::new().unwrap();
    let checkpoints = Checkpoints::new(&start(&dir), ALL);
    write(&checkpoints, 1, None).unwrap();
    write(&checkpoints, 2, None).unwrap();
    let folder = dir.path().join("checkpoints/00000002");
    let refusal = || checkpoints.latest().unwrap_err().to_string();
    for name in ["state.safetensors", "state.json", "model/deep/weights", "files.json"] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - 1;
        fs::write(&path, &whole[..last]).unwrap();
        let message = refusal();
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("damaged; remove") && message.contains("00000002"), "{message}");
        if name != "files.json" {
            let mut flipped = whole.clone();
            flipped[last] ^= 1;
            fs::write(&path, &flipped).unwrap();
            let message = refusal();
            assert!(message.contains("SHA-256") && message.contains(name), "{message}");
        }
        fs::remove_file(&path).unwrap();
        assert!(refusal().contains("cannot be read"), "{name}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 2, "it is whole again");
    fs::write(folder.join("notes.txt"), "a file that nobody listed").unwrap();
    checkpoints.latest().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 1, "as the message advises");
}

#[test]
fn a_checkpoint_of_another_config_or_step_is_refused() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let checkpoints = Checkpoints::new(&start(&ours), ALL);
    let other = RunFolder::create(theirs.path(), &json!({"seed": 2}), &json!({})).unwrap();
    write(&Checkpoints::new(&other, ALL), 3, None).unwrap();
    fs::rename(theirs.path().join("checkpoints/00000003"), ours.path().join("checkpoints/00000003")).unwrap();
    assert!(checkpoints.latest().unwrap_err().to_string().contains("and config"));
    write(&checkpoints, 4, None).unwrap();
    fs::rename(ours.path().join("checkpoints/00000004"), ours.path().join("checkpoints/00000009")).unwrap();
    assert!(checkpoints.latest().unwrap_err().to_string().contains("is of step 4"));
}

#[test]
fn resuming_removes_what_interrupted_writes_left_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let run = start(&dir);
    let checkpoints = Checkpoints::new(&run, ALL);
    write(&checkpoints, 1, None).unwrap();
    let folder = dir.path().join("checkpoints");
    for name in ["00000002.4711-0.partial", "00000001.pruned.partial", "mine.partial", "2", "000000001"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("state.safetensors"), "torn").unwrap();
    }
    assert_eq!(checkpoints.steps().unwrap(), [1], "a leftover is no checkpoint");
    drop(run);
    RunFolder::open_for_resume(dir.path(), &json!({"seed": 1})).unwrap();
    assert_eq!(names(&dir), ["000000001", "00000001", "2", "mine.partial"]);
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 1);
}

#[test]
fn steps_of_more_than_eight_digits_are_in_order() {
    let dir = TempDir::new().unwrap();
    let checkpoints = Checkpoints::new(&start(&dir), ALL);
    for step in [99_999_999, 100_000_000] {
        write(&checkpoints, step, None).unwrap();
    }
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 100_000_000);
}
