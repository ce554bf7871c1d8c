//! Figures of `razor` and PyTorch side by side: medians, ratios, share of the machine's matrix-product rate.

use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Figures that both programs print under the same key: `(key, label, digits after the point)`. All are rates, so more
/// is faster. A value is a number or an object with a `median`.
const MEASURES: [(&str, &str, usize); 4] = [
    ("sft_steps_per_second", "SFT training, model-steps per second", 0),
    ("grpo_steps_per_second", "GRPO training, model-steps per second", 0),
    ("eval_images_per_second", "evaluation, images per second", 0),
    ("matrix_gflops_all_processes", "512 x 512 x 512 product, GFLOP/s", 0),
];
/// Place of the matrix-product rate in [`MEASURES`].
const MATRIX: usize = 3;
/// Places of the training rates.
const TRAINING: [usize; 2] = [0, 1];

/// What both sides measured over the rounds.
pub(crate) struct Comparison {
    ours: Side,
    /// `None` when PyTorch was not there.
    peer: Option<Side>,
    /// GFLOP of the matrix products in one training step, as razor counts them.
    gflop_per_step: f64,
}

struct Side {
    /// What the program printed, one object per round.
    rounds: Vec<Value>,
    /// Median over rounds of each of [`MEASURES`].
    medians: [f64; MEASURES.len()],
}

impl Side {
    fn new(name: &str, rounds: Vec<Value>) -> anyhow::Result<Self> {
        let mut medians = [0.0; MEASURES.len()];
        for (median, (key, _, _)) in medians.iter_mut().zip(MEASURES) {
            let rates: anyhow::Result<Vec<f64>> = rounds.iter().map(|round| rate(round, key)).collect();
            *median = median_of(rates.with_context(|| format!("output of the {name} benchmark"))?);
        }
        Ok(Self { rounds, medians })
    }
}

impl Comparison {
    /// Reads the rounds of both programs; `theirs` is empty when PyTorch was not there.
    ///
    /// # Errors
    /// When a key is missing or its value is not a positive number.
    pub(crate) fn new(ours: Vec<Value>, theirs: Vec<Value>) -> anyhow::Result<Self> {
        let gflop_per_step = rate(ours.first().context("razor was not measured")?, "gflop_per_step")?;
        let peer = if theirs.is_empty() { None } else { Some(Side::new("PyTorch", theirs)?) };
        Ok(Self { ours: Side::new("razor", ours)?, peer, gflop_per_step })
    }

    fn ratio(&self, measure: usize) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.ours.medians[measure] / peer.medians[measure])
    }

    /// The machine's rate: the better of what the two libraries reach, since it bounds both.
    fn matrix_gflops(&self) -> f64 {
        let peer = self.peer.as_ref().map_or(0.0, |peer| peer.medians[MATRIX]);
        self.ours.medians[MATRIX].max(peer)
    }

    /// Shares of the machine's rate that SFT and GRPO training reach.
    fn shares(&self, side: &Side) -> [f64; TRAINING.len()] {
        TRAINING.map(|measure| side.medians[measure] * self.gflop_per_step / self.matrix_gflops())
    }

    pub(crate) fn to_table(&self) -> String {
        let mut table =
            format!("{:<40} {:>12} {:>12} {:>8}\n", "medians over rounds", "razor", "PyTorch", "ratio");
        for (measure, (_, label, digits)) in MEASURES.into_iter().enumerate() {
            let ours = format!("{:.digits$}", self.ours.medians[measure]);
            let peer = self.peer.as_ref().map(|peer| format!("{:.digits$}", peer.medians[measure]));
            let ratio = self.ratio(measure).map(|ratio| format!("{ratio:.2}"));
            push_row(&mut table, label, &ours, peer, ratio);
        }
        let matrix_gflops = self.matrix_gflops();
        let ours = self.shares(&self.ours);
        let peer = self.peer.as_ref().map(|peer| self.shares(peer));
        for (place, label) in ["SFT", "GRPO"].into_iter().enumerate() {
            let label = format!("{label}, share of {matrix_gflops:.0} GFLOP/s");
            let percent = |share: f64| format!("{:.0} %", 100.0 * share);
            push_row(
                &mut table,
                &label,
                &percent(ours[place]),
                peer.map(|shares| percent(shares[place])),
                None,
            );
        }
        table
    }

    pub(crate) fn to_json(&self, seconds: f64) -> Value {
        let mut measures = serde_json::Map::new();
        for (measure, (key, _, _)) in MEASURES.into_iter().enumerate() {
            let peer = self.peer.as_ref().map(|peer| peer.medians[measure]);
            let entry =
                json!({"razor": self.ours.medians[measure], "pytorch": peer, "ratio": self.ratio(measure)});
            measures.insert(key.into(), entry);
        }
        let shares = |side: &Side| {
            let [sft, grpo] = self.shares(side);
            json!({"sft": sft, "grpo": grpo})
        };
        json!({
            "schema": "razor-bench-parity/1",
            "seconds": seconds,
            "measures": measures,
            "matrix_gflops": self.matrix_gflops(),
            "gflop_per_step": self.gflop_per_step,
            "share_of_matrix_rate": {"razor": shares(&self.ours), "pytorch": self.peer.as_ref().map(shares)},
            "rounds": {"razor": self.ours.rounds, "pytorch": self.peer.as_ref().map(|peer| &peer.rounds)},
        })
    }
}

/// One line of the table; what was not measured is a dash.
fn push_row(table: &mut String, label: &str, ours: &str, peer: Option<String>, ratio: Option<String>) {
    let [peer, ratio] = [peer, ratio].map(|cell| cell.unwrap_or_else(|| "-".into()));
    writeln!(table, "{label:<40} {ours:>12} {peer:>12} {ratio:>8}").expect("writing to a string cannot fail");
}

fn rate(round: &Value, key: &str) -> anyhow::Result<f64> {
    let value = round.get(key).with_context(|| format!("key `{key}` is missing"))?;
    match value.as_f64().or_else(|| value["median"].as_f64()) {
        Some(rate) if rate > 0.0 => Ok(rate),
        _ => {
            bail!("key `{key}`: expected a positive number or an object with one in `median`, found {value}")
        }
    }
}

/// Median; for an even count the mean of the middle two. `rates` is not empty.
fn median_of(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    let middle = rates.len() / 2;
    if rates.len() % 2 == 1 { rates[middle] } else { (rates[middle - 1] + rates[middle]) / 2.0 }
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
    fn the_ratio_is_taken_between_medians_over_rounds() {
        let ours = vec![round(900.0), round(1000.0), round(5.0)];
        let comparison = Comparison::new(ours, vec![round(400.0), round(450.0), round(600.0)]).unwrap();
        assert_eq!(comparison.ratio(0), Some(2.0)); // 900 / 450
    }

    #[test]
    fn without_pytorch_every_ratio_is_null() {
        let comparison = Comparison::new(vec![round(900.0)], Vec::new()).unwrap();
        let json = comparison.to_json(1.0);
        for (key, _, _) in MEASURES {
            assert!(
                json["measures"][key]["ratio"].is_null() && json["measures"][key]["razor"].is_f64(),
                "{json}"
            );
        }
        assert!(comparison.to_table().contains(" -"));
    }

    #[test]
    fn a_machine_that_did_only_matrix_products_would_have_a_share_of_one() {
        // 800 steps of 0.25 GFLOP are the 200 GFLOP/s that the machine can do.
        let comparison = Comparison::new(vec![round(800.0)], Vec::new()).unwrap();
        assert_eq!(comparison.shares(&comparison.ours)[0], 1.0);
    }

    #[test]
    fn a_missing_key_is_named_with_the_program_that_left_it_out() {
        let error =
            Comparison::new(vec![json!({"gflop_per_step": 0.25})], Vec::new()).err().expect("refused");
        let message = format!("{error:#}");
        assert!(message.contains("razor") && message.contains("sft_steps_per_second"), "{message}");
    }
}
