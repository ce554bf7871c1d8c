//! A study that is killed or interrupted goes on with `--resume` and ends with the same bytes.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Sixteen runs of a fraction of a second each.
const STUDY: [&str; 9] = [
    "methods=[\"grpo\", \"sft1\"]",
    "data.n_train=600",
    "data.n_test=120",
    "pretrain.n_images_per_task=100",
    "finetune.n_images=500",
    "grid.learning_rates=[1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3]",
    "epsilon_arm.methods=[\"grpo\", \"sft1\"]",
    "dynamics.n_images=50",
    "measure.n_representation_images=50",
];
const N_RUNS: usize = 16;

fn razor(dir: &Path, out: &str, resume: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_razor"));
    command.current_dir(dir).args(["reproduce", "parity", "--preset", "smoke", "--procedural"]);
    command.args(["--workers", "2", "--out", out]);
    command.args(STUDY.iter().flat_map(|assignment| ["--set", assignment]));
    if resume {
        command.arg("--resume");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn n_done(study: &Path) -> usize {
    let Ok(runs) = fs::read_dir(study.join("runs")) else { return 0 };
    runs.filter(|run| run.as_ref().unwrap().path().join("done").is_file()).count()
}

/// Starts the study, waits until `n` runs are done in all, then does `end` to the process.
fn stopped(mut command: Command, study: &Path, n: usize, end: impl FnOnce(&mut Child)) -> Output {
    let mut child = command.spawn().unwrap();
    while n_done(study) < n && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    end(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(n_done(study) < N_RUNS, "it was stopped in the middle: {output:?}");
    assert!(!study.join("summary.json").exists(), "no result of half a study");
    output
}

/// Every file below `dir` with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

fn assert_completes(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_study_that_is_killed_again_and_again_ends_as_if_it_never_was() {
    let dir = TempDir::new().unwrap();
    let killed = dir.path().join("killed");
    for (n, resume) in [(1, false), (4, true), (9, true)] {
        let output = stopped(razor(dir.path(), "killed", resume), &killed, n, |child| child.kill().unwrap());
        assert_eq!(output.status.signal(), Some(9), "{output:?}");
    }
    assert_completes(razor(dir.path(), "killed", true));
    assert_completes(razor(dir.path(), "whole", false));

    let (killed, whole) = (files(&killed), files(&dir.path().join("whole")));
    assert!(killed.keys().eq(whole.keys()), "{:?} against {:?}", killed.keys(), whole.keys());
    for (path, bytes) in &whole {
        assert!(killed[path] == *bytes, "{} differs", path.display());
    }
}

#[test]
fn ctrl_c_exits_with_130_and_says_how_to_go_on() {
    let dir = TempDir::new().unwrap();
    let interrupt = |child: &mut Child| {
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
    };
    let output = stopped(razor(dir.path(), "out", false), &dir.path().join("out"), 1, interrupt);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("finished runs are kept in out") && stderr.contains("--resume"), "{stderr}");
}
