//! `razor bench llm`.

use std::process::ExitCode;

use razor_experiments::llm::{LlmSpeed, measure_llm_speed};
use serde_json::{Value, json};

use crate::args::BenchLlmArgs;
use crate::backend::{self, BACKEND};
use crate::bench::with_rates;
use crate::n_workers;
use crate::terminal::{print, print_json};

pub(crate) fn run(args: &BenchLlmArgs) -> anyhow::Result<ExitCode> {
    if !args.json {
        eprintln!("measuring for at least {:.0} s", 11.0 * args.seconds);
    }
    let speed = measure_llm_speed(args.layers, args.seconds, &backend::device());
    if args.json {
        print_json(&speed_json(args, &speed))?
    } else {
        print(&speed_text(args, &speed))?
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys of `tests/peers/llm_bench.py`, so that one can be divided by the other.
fn speed_json(args: &BenchLlmArgs, speed: &LlmSpeed) -> Value {
    let environment = backend::environment(n_workers(None));
    let about = json!({
        "peer": "razor",
        "razor": environment.razor,
        "commit": environment.commit,
        "burn": environment.burn,
        "backend": BACKEND,
        "platform": environment.platform,
        "threads": environment.n_workers,
        "allocator": "mimalloc",
        "dtype": "float32",
        "layers": args.layers,
        "seconds": args.seconds,
    });
    with_rates(about, speed)
}

fn speed_text(args: &BenchLlmArgs, speed: &LlmSpeed) -> String {
    let rows = [
        ("prefill of 512 tokens, f32 weights", speed.prefill_tokens_per_second, "tokens/s"),
        ("the same, bf16 weights", speed.prefill_bf16_weights_tokens_per_second, "tokens/s"),
        ("scoring of 512 tokens, f32 weights", speed.score_tokens_per_second, "tokens/s"),
        ("decoding, 1 row, f32 weights", speed.decode_batch_1_tokens_per_second, "tokens/s"),
        ("the same, bf16 weights", speed.decode_batch_1_bf16_weights_tokens_per_second, "tokens/s"),
        ("decoding, 8 rows, f32 weights", speed.decode_batch_8_tokens_per_second, "tokens/s"),
        ("the same, bf16 weights", speed.decode_batch_8_bf16_weights_tokens_per_second, "tokens/s"),
        ("512 x 512 x 512 product", speed.matrix_gflops, "GFLOP/s"),
        ("memory, copied", speed.copy_bandwidth_gb_per_second, "GB/s"),
        ("share of it, 1 row, f32 weights", 100.0 * speed.decode_batch_1_bandwidth_share, "%"),
        ("the same, bf16 weights", 100.0 * speed.decode_batch_1_bf16_weights_bandwidth_share, "%"),
        ("f32 weights read per token", speed.weight_bytes_per_token as f64 * 1e-6, "MB"),
    ];
    let rows = rows.map(|(label, figure, unit)| format!("  {label:<36} {figure:>10.1} {unit}\n"));
    format!("{BACKEND}, {} of Qwen2.5-0.5B's 24 layers and its head\n{}", args.layers, rows.concat())
}
