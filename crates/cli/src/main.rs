//! `razor`: reproduces studies, redraws their reports, looks after their data, measures its own speed.
//!
//! The only crate that names a backend. It parses, prints and chooses exit codes; everything else is in the libraries.
//! Exit codes: 0 success, 1 failure, 2 bad usage, 130 interrupted.

mod args;
mod backend;
mod bench;
mod bench_llm;
mod bench_train;
mod benchmark_list;
mod data;
mod data_task;
mod eval;
mod eval_answers;
mod eval_compare;
mod eval_compare_page;
mod eval_kept;
mod eval_output;
mod freed_memory;
mod generate;
mod interpolate;
mod interrupt;
mod json_lines;
mod measure;
mod measure_forecast;
mod measure_page;
mod measure_shift;
mod measure_tables;
mod measure_weights;
mod merge;
mod model;
mod pretrain;
mod progress;
mod report;
mod reproduce;
mod reproduce_llm;
mod reproduce_parity;
mod reproduce_theory;
mod score;
mod task_list;
mod terminal;
mod train;
mod train_plan;
mod train_progress;
mod train_settings;
mod train_watch;

use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use clap::Parser;

use crate::args::{BenchCommand, Cli, Command};
use crate::train_settings::TrainCommand;

/// Tensors come and go many times a step, and glibc maps and unmaps each large one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The sandbox for generated programs starts this binary again as its own helper.
    #[cfg(target_os = "linux")]
    if let Some(code) = razor_benchmarks::sandbox::enter_if_asked() {
        return code;
    }
    freed_memory::keep();
    let command = Cli::parse().command;
    let done = if has_own_threads(&command) { run(&command) } else { rayon::scope(|_| run(&command)) };
    match done {
        Ok(code) => code,
        Err(error) => {
            terminal::print_error(&error);
            if error.is::<UsageError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether a command trains several models side by side, each on a thread of its own.
///
/// All others run on a thread of the pool, so that a parallel part starts where the command already is: waking the pool
/// from outside for every part of every layer costs a small model a tenth of its step.
fn has_own_threads(command: &Command) -> bool {
    match command {
        Command::Reproduce(_) => true,
        Command::Bench(args) => matches!(args.command, BenchCommand::Parity(_)),
        _ => false,
    }
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Reproduce(args) => reproduce::run(args),
        Command::Report(args) => report::run(args),
        Command::Data(args) => data::run(args),
        Command::Pretrain(args) => pretrain::run(args),
        Command::Sft(args) => train::run(&TrainCommand::Sft(args), &args.train, args.preview),
        Command::RejectionSft(args) => {
            train::run(&TrainCommand::RejectionSft(args), &args.train, args.preview)
        }
        Command::Grpo(args) => train::run(&TrainCommand::Grpo(args), &args.train, None),
        Command::SelfDistill(args) => train::run(&TrainCommand::SelfDistill(args), &args.train, None),
        Command::Simpo(args) => train::run(&TrainCommand::Simpo(args), &args.train, None),
        Command::Interpolate(args) => interpolate::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Score(args) => score::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Measure(args) => measure::run(args),
        Command::Bench(args) => bench::run(args),
    }
}

/// An option or value that cannot be used, known only after the command line was parsed.
#[derive(Debug)]
struct UsageError(String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// As many as the machine has cores, unless the user says otherwise.
fn n_workers(given: Option<usize>) -> usize {
    given.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
}
