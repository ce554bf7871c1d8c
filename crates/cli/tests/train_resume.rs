//! A training run that is killed at any moment, or interrupted, goes on with `--resume` and ends as if it never was.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a process or file that cannot be had should fail the test here")]

mod train_support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use train_support::{
    arguments, checkpoints, copy_model, last_checkpoint, lines, names, razor, stderr, stdout,
    write_grpo_task, write_sft_task,
};

const N_STEPS: u64 = 40;

/// Checkpoints, evaluations and measurements fall together at some steps and apart at others.
const CADENCE: [&str; 10] = [
    "--steps",
    "40",
    "--set",
    "cadence.checkpoint_every=3",
    "--set",
    "cadence.evaluate_every=4",
    "--set",
    "cadence.show_every=2",
    "--set",
    "base_kl.every=5",
];

/// A run by its arguments, in a folder with model and data.
struct Study {
    dir: TempDir,
    method: &'static str,
    file: &'static str,
    more: Vec<&'static str>,
}

impl Study {
    fn sft(more: &[&'static str]) -> Self {
        let dir = TempDir::new().unwrap();
        copy_model(dir.path());
        write_sft_task(dir.path());
        let more = [&CADENCE, &["--learning-rate", "3e-3"][..], more].concat();
        Self { dir, method: "sft", file: "sft.jsonl", more }
    }

    fn grpo() -> Self {
        let dir = TempDir::new().unwrap();
        copy_model(dir.path());
        write_grpo_task(dir.path());
        let settings = ["--preset", "dr_grpo", "--max-new-tokens", "1", "--learning-rate", "1e-3"];
        let more = ["--prompt-style", "plain", "--set", "method.config.optimization.sequences_per_step=64"];
        let more = CADENCE.into_iter().chain(settings).chain(more).collect();
        Self { dir, method: "grpo", file: "grpo.jsonl", more }
    }

    fn path(&self, out: &str) -> PathBuf {
        self.dir.path().join(out)
    }

    /// The run in the folder `out`, with `--resume` where there is something to resume.
    fn command(&self, out: &str) -> Command {
        let mut command = razor(self.dir.path(), &arguments(self.method, self.file, out, &self.more));
        if self.path(out).join("config.toml").exists() {
            command.arg("--resume");
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn finish(&self, out: &str) {
        stdout(&self.command(out).output().unwrap());
    }
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This long after its start.
    After(Duration),
    /// Once it has logged so many steps, of which earlier processes may have logged some, and this much later.
    AtStep(usize, Duration),
    /// While it writes a checkpoint.
    InCheckpoint,
    /// While it removes one.
    InRemoval,
}

/// Waits for a moment in the life of `child`, or for its end.
fn wait_for(moment: Moment, run: &Path, child: &mut Child) {
    let (start, started_at) = (Instant::now(), SystemTime::now());
    let log = run.join("steps.jsonl");
    let is_at_work = || fs::metadata(&log).and_then(|file| file.modified()).is_ok_and(|at| at >= started_at);
    // Temporary folders have the number of the process in their names, so those of killed ones do not count.
    let partial = format!(".{}-", child.id());
    let has_come = || match moment {
        Moment::After(delay) => start.elapsed() >= delay,
        Moment::AtStep(n, _) => {
            is_at_work() && fs::read_to_string(&log).is_ok_and(|text| text.lines().count() >= n)
        }
        Moment::InCheckpoint => names(&run.join("checkpoints")).iter().any(|name| name.contains(&partial)),
        Moment::InRemoval => names(&run.join("checkpoints")).iter().any(|name| name.contains(".pruned")),
    };
    while !has_come() && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(20)); // less would take the run its core
    }
    if let Moment::AtStep(_, delay) = moment {
        thread::sleep(delay);
    }
}

/// How often a process was killed where.
#[derive(Debug, Default)]
struct Kills {
    before_a_checkpoint: usize,
    in_a_checkpoint: usize,
    in_a_removal: usize,
    elsewhere: usize,
}

/// Starts and kills a run `n` times, at seeded moments that go from its beginning to near its end.
fn kill_again_and_again(study: &Study, out: &str, n: usize) -> Kills {
    let run = study.path(out);
    let mut rng = StdRng::seed_from_u64(n as u64);
    let mut kills = Kills::default();
    for idx in 0..n {
        let moment = match idx % 5 {
            0 if idx == 0 => Moment::After(Duration::from_millis(rng.random_range(0..10))),
            0 => Moment::After(Duration::from_millis(rng.random_range(0..200))),
            2 => Moment::InCheckpoint,
            4 => Moment::InRemoval,
            _ => Moment::AtStep(1 + 33 * idx / n, Duration::from_micros(rng.random_range(0..20_000))),
        };
        let mut child = study.command(out).spawn().unwrap();
        wait_for(moment, &run, &mut child);
        let pid = child.id();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "kill {idx} at {moment:?}: {}", stderr(&output));
        assert!(!run.join("done").exists());
        let left = names(&run.join("checkpoints"));
        let partial = format!(".{pid}-");
        if left.iter().any(|name| name.contains(&partial)) {
            kills.in_a_checkpoint += 1;
        } else if left.iter().any(|name| name.contains(".pruned")) {
            kills.in_a_removal += 1;
        } else if checkpoints(&run).is_empty() {
            kills.before_a_checkpoint += 1;
        } else {
            kills.elsewhere += 1;
        }
    }
    kills
}

/// Records without the clock.
fn records(run: &Path, name: &str) -> Vec<Value> {
    let mut records = lines(&run.join(name));
    for record in &mut records {
        record.as_object_mut().unwrap().remove("timing");
    }
    records
}

/// Checks that two finished runs of a study have the same numbers and the same last checkpoint.
fn assert_same(study: &Study, whole: &str, other: &str) {
    let (expected, found) = (study.path(whole), study.path(other));
    let steps = records(&expected, "steps.jsonl");
    assert!(steps.iter().map(|record| record["step"].as_u64().unwrap()).eq(1..=N_STEPS));
    for name in ["steps.jsonl", "kl.jsonl", "evals.jsonl", "completions.jsonl"] {
        assert_eq!(records(&expected, name), records(&found, name), "{name}");
    }
    let done = |out: &str| {
        fs::read_to_string(study.path(out).join("done")).unwrap().replace(&format!("{out}/"), "OUT/")
    };
    assert_eq!(done(whole), done(other));
    let (expected, found) = (last_checkpoint(&expected), last_checkpoint(&found));
    assert_eq!(expected.file_name(), found.file_name());
    let model_files = names(&expected.join("model"));
    assert!(model_files.iter().any(|name| name.ends_with(".safetensors")), "{model_files:?}");
    assert_eq!(model_files, names(&found.join("model")));
    let files =
        model_files.into_iter().map(|name| format!("model/{name}")).chain(["state.safetensors".to_owned()]);
    for name in files {
        let [expected, found] = [&expected, &found].map(|folder| fs::read(folder.join(&name)).unwrap());
        assert!(expected == found, "{name} differs");
    }
}

/// Checks that nearly every step had something to learn from.
fn assert_learns(run: &Path) {
    let is_learning = |record: &&Value| record["grad_norm"].as_f64().unwrap() > 0.0;
    let n = records(run, "steps.jsonl").iter().filter(is_learning).count();
    assert!(n >= 30, "only {n} of {N_STEPS} steps have a gradient");
}

fn assert_survives(study: &Study, n_kills: usize) {
    study.finish("whole");
    assert_learns(&study.path("whole"));
    let kills = kill_again_and_again(study, "killed", n_kills);
    eprintln!("{kills:?}");
    assert!(kills.before_a_checkpoint > 0 && kills.in_a_checkpoint > 0 && kills.elsewhere > 0, "{kills:?}");
    study.finish("killed");
    assert_same(study, "whole", "killed");
}

#[test]
fn supervised_training_that_is_killed_twenty_times_ends_with_the_same_bytes() {
    assert_survives(&Study::sft(&[]), 20);
}

#[test]
fn a_policy_gradient_run_that_is_killed_twenty_times_ends_with_the_same_bytes() {
    let study = Study::grpo();
    assert_survives(&study, 20);
    let rewards: Vec<f64> = records(&study.path("whole"), "steps.jsonl")
        .iter()
        .map(|record| record["reward/mean"].as_f64().unwrap())
        .collect();
    assert!(rewards.iter().any(|reward| (0.05..0.95).contains(reward)), "{rewards:?}");
}

#[test]
fn an_adapter_run_that_is_killed_ends_with_the_same_bytes() {
    let study = Study::sft(&["--lora-rank", "2"]);
    assert_survives(&study, 8);
    let model = last_checkpoint(&study.path("killed")).join("model");
    assert_eq!(names(&model), ["adapter_config.json", "adapter_model.safetensors"]);
}

#[test]
fn ctrl_c_ends_with_a_checkpoint_and_130_and_the_run_goes_on_with_the_same_numbers() {
    let study = Study::sft(&[]);
    study.finish("whole");
    let run = study.path("interrupted");
    let mut n_interrupts = 0;
    for n_more in [1, 3, 1, 3, 1, 4, 2] {
        let n = checkpoints(&run).last().map_or(0, |&step| step as usize) + n_more;
        if n > 20 {
            break; // on a busy machine the signal comes some steps late
        }
        n_interrupts += 1;
        let mut child = study.command("interrupted").spawn().unwrap();
        wait_for(Moment::AtStep(n, Duration::ZERO), &run, &mut child);
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("writing a checkpoint") && said.contains("--resume"), "{said}");
        let n_taken = lines(&run.join("steps.jsonl")).len() as u64;
        assert!(said.contains(&format!("the run is kept at step {n_taken}")), "{said}");
        assert_eq!(checkpoints(&run).last(), Some(&n_taken));
        assert!(n_taken >= n as u64 && !run.join("done").exists());
    }
    assert!(n_interrupts >= 3, "{n_interrupts}");
    study.finish("interrupted");
    assert_same(&study, "whole", "interrupted");
}
