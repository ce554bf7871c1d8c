//! A run that is killed, and one whose disk is full. Each test starts itself again as the process that suffers.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use razor_models::{HostData, HostTensor, TensorSpec, WeightDtype};
use razor_trainers::language::run::{
    Better, Checkpoints, LogKind, LogOffsets, NewCheckpoint, Retention, RunError, RunFolder, RunLogs,
    StepRecord,
};
use serde_json::json;
use tempfile::TempDir;

/// Set in the process that suffers: the folder of its run.
const RUN: &str = "RAZOR_TEST_RUN";

const RETENTION: Retention = Retention { keep_last: 2, keep_best: 1, better: Better::Higher };

/// Bytes of the tensor of a checkpoint.
const N_BYTES: usize = 400_000;

fn config() -> serde_json::Value {
    json!({"steps": "until killed"})
}

/// Starts or resumes the run and takes steps, with a checkpoint after every third, until `is_enough`.
fn train(path: &Path, mut is_enough: impl FnMut(u64) -> bool) -> Result<(), RunError> {
    let is_new = !path.join("config.toml").exists();
    let run = match is_new {
        true => RunFolder::create(path, &config(), &json!({}))?,
        false => RunFolder::open_for_resume(path, &config())?,
    };
    let checkpoints = Checkpoints::new(&run, RETENTION);
    let start = checkpoints.latest()?;
    let offsets = start.as_ref().map_or_else(LogOffsets::default, |start| start.logs().clone());
    let mut logs = RunLogs::open(&run, &offsets)?;
    let spec = TensorSpec { name: "weight".to_owned(), shape: vec![N_BYTES / 4] };
    if let Some(start) = &start {
        // The tensor is the one of the step that the checkpoint claims to be of.
        let expected = HostData::F32(vec![start.step() as f32; N_BYTES / 4]);
        assert_eq!(start.read(&spec, WeightDtype::F32)?.data, expected);
    }
    for step in start.map_or(0, |start| start.step()) + 1.. {
        logs.append_step(&StepRecord::new(step).with("loss", 1.0 / step as f64))?;
        logs.append(LogKind::Completions, &json!({"step": step, "text": "x".repeat(3_000)}))?;
        if step % 3 == 0 {
            let offsets = logs.offsets()?;
            let tensors = [(spec.clone(), WeightDtype::F32)];
            let score = Some((step % 5) as f64);
            let new = NewCheckpoint { step, score, logs: &offsets, state: &(), tensors: &tensors };
            let tensor =
                HostTensor { shape: spec.shape.clone(), data: HostData::F32(vec![step as f32; N_BYTES / 4]) };
            checkpoints.write(&new, &mut |_| Ok(tensor.clone()), &mut |_| Ok(()))?;
        }
        if is_enough(step) {
            return run.finish(logs, &step);
        }
    }
    Ok(())
}

fn suffer(test: &str, path: &Path, command: &mut Command) {
    command.args(["--exact", test, "--nocapture"]).env(RUN, path).stdout(Stdio::null());
}

/// Steps of `steps.jsonl`, every line of which must be whole.
fn logged_steps(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path.join("steps.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<StepRecord>(line).unwrap().step()).collect()
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_like_one_that_was_not() {
    if let Some(path) = env::var_os(RUN) {
        let _ = train(Path::new(&path), |_| false);
        return;
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("run");
    let mut reached = 0;
    for round in 0..12 {
        let mut command = Command::new(env::current_exe().unwrap());
        suffer("a_run_that_is_killed_again_and_again_ends_like_one_that_was_not", &path, &mut command);
        let mut child = command.spawn().unwrap();
        // The first kills may come before the run has a config; later ones fall anywhere in a step or a checkpoint.
        thread::sleep(Duration::from_millis(5 + 23 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let newest = fs::read_dir(path.join("checkpoints")).map_or(0, |entries| {
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter_map(|name| name.parse::<u64>().ok()).max().unwrap_or(0)
        });
        assert!(newest >= reached, "step {reached} was complete, now the newest is {newest}");
        reached = newest;
    }
    assert!(reached > 0, "no checkpoint was ever reached");
    let last = reached + 4;
    train(&path, |step| step == last).unwrap();
    assert_eq!(logged_steps(&path), (1..=last).collect::<Vec<u64>>(), "no step twice, none missing");
    let untouched = dir.path().join("untouched");
    train(&untouched, |step| step == last).unwrap();
    for name in ["steps.jsonl", "completions.jsonl", "done", "config.toml"] {
        assert_eq!(fs::read(path.join(name)).unwrap(), fs::read(untouched.join(name)).unwrap(), "{name}");
    }
    let kept = |path: &Path| {
        let entries = fs::read_dir(path.join("checkpoints")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(kept(&path), kept(&untouched));
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_leaves_what_was_complete() {
    if let Some(path) = env::var_os(RUN) {
        // Exit code and message are what the parent looks at.
        let error = train(Path::new(&path), |_| false).unwrap_err();
        eprintln!("refused: {error}");
        return;
    }
    let dir = TempDir::new().unwrap();
    // Blocks of 512 or 1024 bytes, as the shell counts: files end between 100 and 200 kB in the first case, so the first
    // checkpoint fails; in the second a log reaches its end between 450 and 900 kB, after many checkpoints.
    for (n_blocks, culprit, has_checkpoints) in
        [(200, "state.safetensors", false), (900, "completions.jsonl", true)]
    {
        let path = dir.path().join(culprit);
        let mut command = Command::new("sh");
        // Without the trap the signal that comes with the limit would end the process before it sees the error.
        let script = format!("trap '' XFSZ; ulimit -f {n_blocks}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(env::current_exe().unwrap());
        suffer(
            "a_full_disk_is_an_error_that_names_the_file_and_leaves_what_was_complete",
            &path,
            &mut command,
        );
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{message}");
        assert!(message.contains("refused: cannot write") && message.contains(culprit), "{message}");

        let leftovers = fs::read_dir(path.join("checkpoints")).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".partial")
        });
        assert_eq!(leftovers.count(), 0, "the temporary folder is gone");
        let logged = logged_steps(&path);
        assert_eq!(logged, (1..=logged.len() as u64).collect::<Vec<u64>>(), "every line is whole");

        // With room again the run goes on to its end.
        let run = RunFolder::open_for_resume(&path, &config()).unwrap();
        let newest = Checkpoints::new(&run, RETENTION).latest().unwrap();
        assert_eq!(newest.is_some(), has_checkpoints);
        drop(run);
        let last = newest.map_or(0, |newest| newest.step()) + 4;
        train(&path, |step| step == last).unwrap();
        assert_eq!(logged_steps(&path), (1..=last).collect::<Vec<u64>>());
    }
}
