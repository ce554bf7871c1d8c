//! TensorBoard's own reader on the event files of a resumed run. Needs a Python with tensorboard: `RAZOR_PYTHON`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use razor_trainers::language::run::{LogOffsets, RunFolder, RunLogs, StepRecord, metric_name};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// As `tests/golden/event_files.py --read` prints it.
#[derive(Deserialize)]
struct Seen {
    /// Events of each file.
    files: BTreeMap<String, usize>,
    /// `[step, value, wall time]` of each tag; what is not finite is a text.
    scalars: BTreeMap<String, Vec<(u64, Value, f64)>>,
}

fn record(step: u64) -> StepRecord {
    let loss = if step == 3 { f64::NAN } else { 1.0 / step as f64 };
    let record = StepRecord::new(step).with(metric_name::LOSS, loss);
    record.with(metric_name::REWARD_MEAN, 0.0).with_timing(metric_name::TOKENS_PER_SECOND, 1e9)
}

#[test]
fn tensorboard_reads_what_a_resumed_run_wrote_each_step_once() {
    let Some(python) = env::var_os("RAZOR_PYTHON") else {
        eprintln!("skipped: RAZOR_PYTHON names no Python with tensorboard");
        return;
    };
    let dir = TempDir::new().unwrap();
    let run = RunFolder::create(dir.path(), &json!({}), &json!({})).unwrap();
    let mut logs = RunLogs::open(&run, &LogOffsets::default()).unwrap();
    let mut at_checkpoint = LogOffsets::default();
    for step in 1..=200 {
        logs.append_step(&record(step)).unwrap();
        if step == 150 {
            at_checkpoint = logs.offsets().unwrap();
        }
    }
    drop(logs);
    let first = dir.path().join("tensorboard/events.out.tfevents.0000.razor");
    File::options().append(true).open(first).unwrap().write_all(&[0x40, 0, 0]).unwrap(); // torn
    let mut logs = RunLogs::open(&run, &at_checkpoint).unwrap();
    for step in 151..=300 {
        logs.append_step(&record(step)).unwrap();
    }

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/event_files.py");
    let output =
        Command::new(python).arg(script).arg("--read").arg(dir.path().join("tensorboard")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Seen = serde_json::from_slice(&output.stdout).unwrap();
    let n_events: Vec<usize> = seen.files.into_values().collect();
    assert_eq!(n_events, [151, 151], "a version and 150 steps in each file");
    let tags: Vec<&str> = seen.scalars.keys().map(String::as_str).collect();
    assert_eq!(tags, ["loss", "reward/mean", "timing/tokens_per_second"]);
    let mut last_time = 0.0;
    for (step, (seen_step, value, wall_time)) in (1..).zip(&seen.scalars["loss"]) {
        assert_eq!(*seen_step, step);
        match step {
            3 => assert_eq!(value, "nan"),
            _ => assert_eq!(value.as_f64().unwrap() as f32, (1.0 / step as f64) as f32, "step {step}"),
        }
        assert!(*wall_time >= last_time && *wall_time > 1.7e9, "step {step} at {wall_time}");
        last_time = *wall_time;
    }
    assert_eq!(seen.scalars["loss"].len(), 300);
    assert!(seen.scalars["reward/mean"].iter().all(|(_, value, _)| value.as_f64() == Some(0.0)));
}
