//! `razor bench`.

use std::process::ExitCode;

use razor_experiments::parity::{Speed, measure_speed};
use serde::Serialize;
use serde_json::json;

use crate::args::{BenchArgs, BenchCommand, BenchParityArgs};
use crate::backend::{self, BACKEND};
use crate::terminal::{print, print_json};
use crate::{bench_llm, bench_train, n_workers};

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        BenchCommand::Parity(args) => run_parity(args),
        BenchCommand::Llm(args) => bench_llm::run(args),
        BenchCommand::Train(args) => bench_train::run(args),
    }
}

fn run_parity(args: &BenchParityArgs) -> anyhow::Result<ExitCode> {
    let n_workers = n_workers(args.workers);
    if !args.json {
        eprintln!("measuring for about {:.0} s with {n_workers} models at a time", 6.0 * args.seconds);
    }
    let speed = measure_speed(n_workers, args.seconds, &backend::device());
    if args.json {
        print_json(&speed_json(args, &speed))?
    } else {
        print(&speed_text(&speed))?
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys of `tests/peers/parity_bench.py`, so that one can be divided by the other.
fn speed_json(args: &BenchParityArgs, speed: &Speed) -> serde_json::Value {
    let environment = backend::environment(speed.processes);
    let about = json!({
        "peer": "razor",
        "razor": environment.razor,
        "commit": environment.commit,
        "burn": environment.burn,
        "backend": BACKEND,
        "platform": environment.platform,
        "threads_per_process": 1,
        "allocator": "mimalloc",
        "seconds": args.seconds,
        "gflop_per_step": Speed::flop_per_step() * 1e-9,
    });
    with_rates(about, speed)
}

/// One flat object: what is said about the run, then the rates.
pub(crate) fn with_rates(mut about: serde_json::Value, speed: &impl Serialize) -> serde_json::Value {
    let rates = serde_json::to_value(speed).expect("a speed is plain numbers");
    if let (Some(about), serde_json::Value::Object(rates)) = (about.as_object_mut(), rates) {
        about.extend(rates);
    }
    about
}

fn speed_text(speed: &Speed) -> String {
    let n = speed.processes;
    let rows = [
        ("SFT training", speed.sft_steps_per_second, "steps/s"),
        ("GRPO training, 8 labels an image", speed.grpo_steps_per_second, "steps/s"),
        ("evaluation", speed.eval_images_per_second, "images/s"),
        ("512 x 512 x 512 product, one alone", speed.matrix_gflops_one_process, "GFLOP/s"),
        ("512 x 512 x 512 product, all", speed.matrix_gflops_all_processes, "GFLOP/s"),
        ("share of that rate, SFT", 100.0 * speed.sft_matrix_share, "%"),
        ("share of that rate, GRPO", 100.0 * speed.grpo_matrix_share, "%"),
    ];
    let rows = rows.map(|(label, figure, unit)| format!("  {label:<36} {figure:>10.0} {unit}\n"));
    format!("{BACKEND}, {n} single-threaded models at a time, batch 64\n{}", rows.concat())
}
