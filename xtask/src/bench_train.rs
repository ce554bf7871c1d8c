//! `cargo xtask bench train`: steps of SFT and GRPO beside PyTorch.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::bench::{N_ROUNDS, Options, find_python, measure, razor_command};
use crate::cargo;
use crate::comparison::{Comparison, Measure, rate};

#[rustfmt::skip] // a table reads best with one row per line
const MEASURES: [Measure; 8] = [
    measured("small_sft_tokens_per_second", "0.87 M, SFT, tokens/s", 0),
    measured("small_grpo_steps_per_second", "0.87 M, GRPO of 16 x 8, steps/s", 2),
    measured("small_grpo_samplings_per_second", "  sampling alone, 1/s", 2),
    measured("small_grpo_updates_per_second", "  update alone, 1/s", 2),
    measured("wide_sft_tokens_per_second", "196 M, SFT, tokens/s", 1),
    measured("wide_grpo_steps_per_second", "196 M, GRPO of 2 x 4, steps/s", 3),
    measured("wide_grpo_samplings_per_second", "  sampling alone, 1/s", 3),
    measured("wide_grpo_updates_per_second", "  update alone, 1/s", 3),
];

const fn measured(key: &'static str, label: &'static str, digits: usize) -> Measure {
    Measure { key, peer_key: key, label, digits, peers: &["pytorch"] }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let python = find_python(options, &["torch", "transformers"])?;
    let razor = cargo::build_razor(Backend::Flex)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=N_ROUNDS {
        eprintln!("bench: round {round} of {N_ROUNDS}: razor");
        ours.push(with_rates(measure(&mut razor_command(&razor, "train", options.seconds))?)?);
        if let Some(python) = &python {
            eprintln!("bench: round {round} of {N_ROUNDS}: PyTorch");
            theirs.push(with_rates(measure(&mut peer_command(python, options.seconds))?)?);
        }
    }
    let comparison = Comparison::new(&MEASURES, ours, vec![("pytorch", theirs)])?;
    if options.is_json {
        let report = json!({
            "schema": "razor-bench-train/1",
            "seconds": options.seconds,
            "measures": comparison.measures_json(),
            "rounds": comparison.rounds_json(),
        });
        println!("{report}");
    } else {
        print!("{}", comparison.to_table());
    }
    Ok(ExitCode::SUCCESS)
}

fn peer_command(python: &OsStr, seconds: f64) -> Command {
    let mut command = Command::new(python);
    command.arg(cargo::root().join("tests/peers/train_bench.py"));
    command.args(["--json", "--seconds", &seconds.to_string()]);
    command
}

/// What one side printed, with times of a step turned into rates: more is better in every row.
fn with_rates(mut printed: Value) -> anyhow::Result<Value> {
    for model in ["small", "wide"] {
        let of_model = printed[model].clone();
        printed[format!("{model}_sft_tokens_per_second")] = json!(rate(&of_model, "sft_tokens_per_second")?);
        for (part, name) in [("step", "steps"), ("sampling", "samplings"), ("update", "updates")] {
            let seconds = rate(&of_model, &format!("grpo_{part}_seconds"))?;
            printed[format!("{model}_grpo_{name}_per_second")] = json!(1.0 / seconds);
        }
    }
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(seconds: f64) -> Value {
        let of_model = json!({
            "sft_tokens_per_second": 100.0 / seconds,
            "grpo_step_seconds": 2.0 * seconds,
            "grpo_sampling_seconds": seconds,
            "grpo_update_seconds": seconds,
        });
        with_rates(json!({"small": of_model, "wide": of_model})).unwrap()
    }

    #[test]
    fn who_takes_half_the_time_is_twice_as_fast_in_every_row() {
        let comparison =
            Comparison::new(&MEASURES, vec![round(0.5)], vec![("pytorch", vec![round(1.0)])]).unwrap();
        let measures = comparison.measures_json();
        for measure in MEASURES {
            assert_eq!(measures[measure.key]["ratio"], 2.0, "{measures}");
        }
    }

    #[test]
    fn the_peer_prints_the_keys_that_are_read() {
        let source = std::fs::read_to_string(cargo::root().join("tests/peers/train_bench.py")).unwrap();
        for key in
            ["sft_tokens_per_second", "grpo_step_seconds", "grpo_sampling_seconds", "grpo_update_seconds"]
        {
            assert!(source.contains(&format!("\"{key}\"")), "{key}");
        }
    }
}
