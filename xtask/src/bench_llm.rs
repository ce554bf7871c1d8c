//! `cargo xtask bench llm`: a network of Qwen2.5-0.5B's shape beside `transformers` and candle.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::bail;
use serde_json::json;

use crate::backend::Backend;
use crate::bench::{N_ROUNDS, Options, find_python, measure, python_command, razor_command};
use crate::cargo;
use crate::comparison::{Comparison, Measure};

const BOTH: &[&str] = &["pytorch", "candle"];
#[rustfmt::skip] // a table reads best with one row per line
const MEASURES: [Measure; 10] = [
    measured("prefill_tokens_per_second", "prefill_tokens_per_second", "prefill of 512, tokens/s", 1, BOTH),
    measured("prefill_bf16_weights_tokens_per_second", "prefill_tokens_per_second", "  razor with bf16 weights", 1, BOTH),
    measured("score_tokens_per_second", "score_tokens_per_second", "scoring of 512, tokens/s", 1, &["pytorch"]),
    measured("decode_batch_1_tokens_per_second", "decode_batch_1_tokens_per_second", "decoding, 1 row, tokens/s", 1, BOTH),
    measured("decode_batch_1_bf16_weights_tokens_per_second", "decode_batch_1_tokens_per_second", "  razor with bf16 weights", 1, BOTH),
    measured("decode_batch_8_tokens_per_second", "decode_batch_8_tokens_per_second", "decoding, 8 rows, tokens/s", 1, BOTH),
    measured("decode_batch_8_bf16_weights_tokens_per_second", "decode_batch_8_tokens_per_second", "  razor with bf16 weights", 1, BOTH),
    measured("matrix_gflops", "matrix_gflops", "512 x 512 x 512 product, GFLOP/s", 0, BOTH),
    measured("copy_bandwidth_gb_per_second", "", "memory copied, GB/s", 1, &[]),
    measured("decode_batch_1_bandwidth_share", "", "weights read by 1 row, of GB/s copied", 2, &[]),
];

const fn measured(
    key: &'static str,
    peer_key: &'static str,
    label: &'static str,
    digits: usize,
    peers: &'static [&'static str],
) -> Measure {
    Measure { key, peer_key, label, digits, peers }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let python = find_python(options, &["torch", "transformers"])?;
    let razor = cargo::build_razor(Backend::Flex)?;
    let candle = if options.has_candle { Some(build_candle()?) } else { None };
    if candle.is_none() {
        eprintln!("bench: candle is left out; --candle builds its side first, which takes minutes");
    }
    let layers = options.layers.to_string();
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for round in 1..=N_ROUNDS {
        let commands = [
            ("razor", Some(razor_command(&razor, "llm", options.seconds))),
            ("PyTorch", python.as_ref().map(|path| python_command(path, "llm_bench.py", options.seconds))),
            ("candle", candle.as_ref().map(|path| candle_command(path, options.seconds))),
        ];
        for ((name, command), rounds) in commands.into_iter().zip(&mut rounds) {
            if let Some(mut command) = command {
                eprintln!("bench: round {round} of {N_ROUNDS}: {name}");
                rounds.push(measure(command.args(["--layers", &layers]))?);
            }
        }
    }
    let [ours, pytorch, candle] = rounds;
    let comparison = Comparison::new(&MEASURES, ours, vec![("pytorch", pytorch), ("candle", candle)])?;
    if options.is_json {
        let report = json!({
            "schema": "razor-bench-llm/1",
            "seconds": options.seconds,
            "layers": options.layers,
            "measures": comparison.measures_json(),
            "rounds": comparison.rounds_json(),
        });
        println!("{report}");
    } else {
        print!("{}", comparison.to_table());
    }
    Ok(ExitCode::SUCCESS)
}

fn candle_command(program: &Path, seconds: f64) -> Command {
    let mut command = Command::new(program);
    command.args(["--seconds", &seconds.to_string()]);
    command
}

/// Builds candle's side in a target directory of its own, for this very CPU: candle chooses its element-wise kernels when it
/// is compiled.
///
/// # Errors
/// When the build fails.
fn build_candle() -> anyhow::Result<PathBuf> {
    let target = cargo::root().join("target/candle_bench");
    let mut command = cargo::cargo();
    command.current_dir(cargo::root().join("tests/peers/candle_bench"));
    command.args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
    command.env("RUSTFLAGS", "-Ctarget-cpu=native");
    if !command.status()?.success() {
        bail!("`{}` failed: candle's side was not built", cargo::shown(&command));
    }
    Ok(target.join("release/candle_bench"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_a_peer_must_print_stands_in_its_source() {
        let source = |path: &str| std::fs::read_to_string(cargo::root().join(path)).unwrap();
        let sources = [
            ("pytorch", source("tests/peers/llm_bench.py")),
            ("candle", source("tests/peers/candle_bench/src/main.rs")),
        ];
        for measure in MEASURES {
            // The Python composes the keys of decoding from the batch.
            let composed =
                measure.peer_key.replace("batch_1", "batch_{batch}").replace("batch_8", "batch_{batch}");
            for (name, source) in sources.iter().filter(|(name, _)| measure.peers.contains(name)) {
                let is_there =
                    [measure.peer_key, &composed].iter().any(|key| source.contains(&format!("\"{key}\"")));
                assert!(is_there, "{name} lacks `{}`", measure.peer_key);
            }
        }
    }
}
