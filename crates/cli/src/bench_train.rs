//! `razor bench train`.

use std::process::ExitCode;

use razor_experiments::llm::{HeadCosts, StepSpeed, TrainSpeed, measure_head_costs, measure_train_speed};
use serde_json::{Value, json};

use crate::args::BenchTrainArgs;
use crate::backend::{self, BACKEND};
use crate::bench::with_rates;
use crate::n_workers;
use crate::terminal::{print, print_json};

pub(crate) fn run(args: &BenchTrainArgs) -> anyhow::Result<ExitCode> {
    let device = backend::device();
    if args.head {
        let costs = measure_head_costs(args.seconds, &device);
        if args.json {
            print_json(&with_rates(about(args), &costs))?
        } else {
            print(&costs_text(&costs))?
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json {
        eprintln!("measuring for at least {:.0} s", 5.0 * args.seconds);
    }
    let speed = measure_train_speed(args.seconds, &device)?;
    if args.json {
        print_json(&with_rates(about(args), &speed))?
    } else {
        print(&speed_text(&speed))?
    }
    Ok(ExitCode::SUCCESS)
}

/// What `tests/peers/train_bench.py` says of itself too.
fn about(args: &BenchTrainArgs) -> Value {
    let environment = backend::environment(n_workers(None));
    json!({
        "peer": "razor",
        "razor": environment.razor,
        "commit": environment.commit,
        "burn": environment.burn,
        "backend": BACKEND,
        "platform": environment.platform,
        "threads": environment.n_workers,
        "allocator": "mimalloc",
        "dtype": "float32",
        "seconds": args.seconds,
    })
}

fn speed_text(speed: &TrainSpeed) -> String {
    let wide = "4 of Qwen2.5-0.5B's 24 layers and its head";
    format!(
        "{BACKEND}, full fine-tuning in f32\n{}{}",
        steps_text("4 layers of 128, 1,024 words", &speed.small),
        steps_text(wide, &speed.wide)
    )
}

fn steps_text(name: &str, speed: &StepSpeed) -> String {
    let rows = [
        ("SFT", speed.sft_tokens_per_second, "tokens/s"),
        ("SFT step", 1e3 * speed.sft_step_seconds, "ms"),
        ("GRPO step", 1e3 * speed.grpo_step_seconds, "ms"),
        ("  sampling", 1e3 * speed.grpo_sampling_seconds, "ms"),
        ("  update", 1e3 * speed.grpo_update_seconds, "ms"),
    ];
    let rows = rows.map(|(label, figure, unit)| format!("  {label:<36} {figure:>10.1} {unit}\n"));
    format!("{name}: {:.2} million parameters\n{}", speed.parameters as f64 * 1e-6, rows.concat())
}

fn costs_text(costs: &HeadCosts) -> String {
    let mut text = format!("{BACKEND}, gradient of cross-entropy over 151,936 words of 896 numbers\n");
    for (label, cost) in [("2,048 tokens", costs.tokens_2048), ("8,192 tokens", costs.tokens_8192)] {
        let memory = cost.memory_mb.map_or_else(|| "unknown".to_owned(), |mb| format!("{mb:.0} MB"));
        text.push_str(&format!(
            "  {label}: {:.2} s, {memory} besides inputs and results; whole logits: {:.0} MB\n",
            cost.seconds, cost.logits_mb
        ));
    }
    text
}
