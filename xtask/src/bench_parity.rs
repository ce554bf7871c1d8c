//! `cargo xtask bench parity`: the ParityMNIST network beside PyTorch, and the share of the matrix-product rate.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::bench::{N_ROUNDS, Options, find_python, measure, python_command, razor_command};
use crate::cargo;
use crate::comparison::{Comparison, Measure, push_row, rate};

const MATRIX: &str = "matrix_gflops_all_processes";
const TRAINING: [(&str, &str); 2] = [("SFT", "sft_steps_per_second"), ("GRPO", "grpo_steps_per_second")];
const MEASURES: [Measure; 4] = [
    measured("sft_steps_per_second", "SFT training, model-steps per second"),
    measured("grpo_steps_per_second", "GRPO training, model-steps per second"),
    measured("eval_images_per_second", "evaluation, images per second"),
    measured(MATRIX, "512 x 512 x 512 product, GFLOP/s"),
];

const fn measured(key: &'static str, label: &'static str) -> Measure {
    Measure { key, peer_key: key, label, digits: 0, peers: &["pytorch"] }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let python = find_python(options, &["torch", "numpy"])?;
    let razor = cargo::build_razor(Backend::Flex)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=N_ROUNDS {
        eprintln!("bench: round {round} of {N_ROUNDS}: razor");
        ours.push(measure(&mut razor_command(&razor, "parity", options.seconds))?);
        if let Some(python) = &python {
            eprintln!("bench: round {round} of {N_ROUNDS}: PyTorch");
            theirs.push(measure(&mut python_command(python, "parity_bench.py", options.seconds))?);
        }
    }
    let report = Report::new(ours, theirs)?;
    if options.is_json {
        println!("{}", report.to_json(options.seconds));
    } else {
        print!("{}", report.to_table());
    }
    Ok(ExitCode::SUCCESS)
}

struct Report {
    comparison: Comparison,
    /// GFLOP of the matrix products in one training step, as razor counts them.
    gflop_per_step: f64,
}

impl Report {
    fn new(ours: Vec<Value>, theirs: Vec<Value>) -> anyhow::Result<Self> {
        let gflop_per_step = rate(ours.first().context("razor was not measured")?, "gflop_per_step")?;
        Ok(Self { comparison: Comparison::new(&MEASURES, ours, vec![("pytorch", theirs)])?, gflop_per_step })
    }

    /// The machine's rate: the better of what the two libraries reach, since it bounds both.
    fn matrix_gflops(&self) -> f64 {
        ["razor", "pytorch"]
            .iter()
            .filter_map(|name| self.comparison.median(name, MATRIX))
            .fold(0.0, f64::max)
    }

    /// Share of the machine's rate that a kind of training reaches.
    fn share(&self, program: &str, key: &str) -> Option<f64> {
        Some(self.comparison.median(program, key)? * self.gflop_per_step / self.matrix_gflops())
    }

    fn to_table(&self) -> String {
        let mut table = self.comparison.to_table();
        for (label, key) in TRAINING {
            let label = format!("{label}, share of {:.0} GFLOP/s", self.matrix_gflops());
            let percent = |program| {
                let share = self.share(program, key);
                share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share))
            };
            push_row(&mut table, &label, &[percent("razor"), percent("pytorch"), "-".into()]);
        }
        table
    }

    fn to_json(&self, seconds: f64) -> Value {
        let shares = |program| -> Option<Value> {
            let [sft, grpo] = TRAINING.map(|(_, key)| self.share(program, key));
            Some(json!({"sft": sft?, "grpo": grpo?}))
        };
        json!({
            "schema": "razor-bench-parity/1",
            "seconds": seconds,
            "measures": self.comparison.measures_json(),
            "matrix_gflops": self.matrix_gflops(),
            "gflop_per_step": self.gflop_per_step,
            "share_of_matrix_rate": {"razor": shares("razor"), "pytorch": shares("pytorch")},
            "rounds": self.comparison.rounds_json(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(sft: f64) -> Value {
        json!({
            "sft_steps_per_second": {"median": sft},
            "grpo_steps_per_second": 400.0,
            "eval_images_per_second": 1e5,
            "matrix_gflops_all_processes": 200.0,
            "gflop_per_step": 0.25,
        })
    }

    #[test]
    fn a_machine_that_did_only_matrix_products_would_have_a_share_of_one() {
        // 800 steps of 0.25 GFLOP are the 200 GFLOP/s that the machine can do.
        let report = Report::new(vec![round(800.0)], Vec::new()).unwrap();
        assert_eq!(report.share("razor", "sft_steps_per_second"), Some(1.0));
    }

    #[test]
    fn without_pytorch_every_ratio_is_null() {
        let report = Report::new(vec![round(900.0)], Vec::new()).unwrap();
        let json = report.to_json(1.0);
        for measure in MEASURES {
            let entry = &json["measures"][measure.key];
            assert!(entry["ratio"].is_null() && entry["razor"].is_f64(), "{json}");
        }
        assert!(json["share_of_matrix_rate"]["pytorch"].is_null(), "{json}");
    }
}
