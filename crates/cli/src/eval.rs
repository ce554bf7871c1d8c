//! `razor eval`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use burn::tensor::DType;
use clap::{Args, ValueEnum};
use razor_benchmarks::{Benchmark, GroupResult, Judges, Task};
use razor_data::Sources;
use razor_tensor::Bf16Softmax;

use crate::UsageError;
use crate::backend::BACKEND;
use crate::eval_answers::{Answering, judged};
use crate::eval_compare::compare;
use crate::eval_output::{Evaluation, show};
use crate::model::{LoadedModel, ModelArgs};
use crate::score::BatchArgs;

/// Run prior-ability benchmarks
#[derive(Debug, Args)]
#[command(after_help = "\
Prompted and scored as in lm-evaluation-harness 0.4.13, by the log-likelihood of each choice or by greedy answers:

  hellaswag, mmlu (57 subjects), truthfulqa_mc1, truthfulqa_mc2, winogrande, arc_easy, arc_challenge
  gsm8k, ifeval, humaneval, humaneval_instruct (for chat models, with --apply-chat-template); all

Data sets are files below --data DIR, $RAZOR_DATA or datasets/raw, such as mmlu/test.jsonl, gzip or not; hellaswag is read
from hellaswag/hellaswag_val.jsonl as published, or from the text hellaswag/hellaswag_val_full.txt. With --out the
results are results_DATE.json and samples_TASK_DATE.jsonl in the layout of lm-evaluation-harness, below a folder with the
model's name, and answers are kept in OUT/answers: a run that was stopped goes on where it was. Kept answers are of the
same weights, tokenizer, chat template, type, task version and prompt, or they are not used.

Few-shot examples of mmlu are the first of its dev split, those of gsm8k are drawn from its training split; those of
hellaswag, winogrande and arc are drawn from the evaluated split, without the document itself, as their training splits
are not at hand. The others take none.

humaneval runs what the model writes: in a sandbox of bubblewrap or Linux namespaces, or not at all. Sentences of ifeval
are counted with lists of our own, or with the model of NLTK in the folder that RAZOR_PUNKT names.

With --base and --tuned both models answer the same documents; every difference has a 95 % interval from resampled
documents and McNemar's test.

Examples:
  razor eval --model Qwen2.5-0.5B --benchmarks hellaswag,mmlu --out runs/eval
  razor eval --model Qwen2.5-0.5B-Instruct --benchmarks mmlu --num-fewshot 5 --apply-chat-template --json
  razor eval --base Qwen2.5-0.5B --tuned runs/tuned --benchmarks all --limit 200 --out runs/compare")]
pub(crate) struct EvalArgs {
    /// Model folder or hub id
    #[arg(long, value_name = "MODEL", required_unless_present = "base", conflicts_with_all = ["base", "tuned"])]
    pub(crate) model: Option<String>,
    /// Compare: the model before tuning
    #[arg(long, value_name = "MODEL", requires = "tuned")]
    pub(crate) base: Option<String>,
    /// Compare: the model after tuning
    #[arg(long, value_name = "MODEL", requires = "base")]
    pub(crate) tuned: Option<String>,
    /// Which benchmarks, separated by commas; `all` for every one
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    pub(crate) benchmarks: Vec<String>,
    /// Only the first N documents of each task; below 1 this share of them
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub(crate) limit: Option<Limit>,
    /// Folder of the data sets, searched alone [default: $RAZOR_DATA, datasets/raw]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Few-shot examples of each prompt [default: the benchmark's own number]
    #[arg(long, value_name = "N")]
    pub(crate) num_fewshot: Option<usize>,
    /// Put prompts into the model's chat template
    #[arg(long)]
    pub(crate) apply_chat_template: bool,
    /// With the template: all examples and the question in one message, not a turn each
    #[arg(long, requires = "apply_chat_template")]
    pub(crate) fewshot_in_one_turn: bool,
    /// Stands before everything else
    #[arg(long, value_name = "TEXT")]
    pub(crate) system_instruction: Option<String>,
    /// Tokens after which a written answer is cut [default: the benchmark's own number]
    #[arg(long, value_name = "N", value_parser = parse_tokens)]
    pub(crate) max_new_tokens: Option<usize>,
    /// Written answers at a time; more are faster and take more memory
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) batch_rows: usize,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
    /// Type of logits and log-softmax behind log-likelihoods. `own`: that of the weights in memory, as lm-evaluation-harness
    /// has it without its softmax_dtype; for bf16 weights f32 is computed too and the difference is shown
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub(crate) logits_dtype: LogitsDtype,
    /// Where nothing can isolate programs, run what the model writes all the same, with your rights
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
    /// Resamples behind the intervals of a comparison
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_resamples)]
    pub(crate) resamples: usize,
    /// Seed of the resamples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Write results and samples below this folder, and go on from answers that are there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the results as one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Type of logits and log-softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogitsDtype {
    F32,
    Own,
}

impl EvalArgs {
    /// How logits are rounded; not at all unless they are asked for as the model has them and it has bf16.
    pub(crate) fn bf16_softmax(&self, model: &LoadedModel) -> Option<Bf16Softmax> {
        if self.logits_dtype == LogitsDtype::F32 || model.decoder.head().dtype() != DType::BF16 {
            return None;
        }
        Some(if BACKEND == "cuda" { Bf16Softmax::FullSum } else { Bf16Softmax::RoundedSum })
    }
}

/// How many documents of a task are evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    Count(usize),
    /// Above 0, below 1.
    Share(f64),
}

impl Limit {
    pub(crate) fn of(self, n: usize) -> usize {
        match self {
            Self::Count(limit) => limit.min(n),
            Self::Share(share) => (n as f64 * share).ceil() as usize,
        }
    }
}

fn parse_limit(text: &str) -> Result<Limit, String> {
    match (text.parse(), text.parse()) {
        (Ok(count @ 1..), _) => Ok(Limit::Count(count)),
        (_, Ok(share)) if share > 0.0 && share < 1.0 => Ok(Limit::Share(share)),
        _ => Err("expected a whole number from 1 up, or a share above 0 and below 1".to_owned()),
    }
}

fn parse_tokens(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1_000_000) => Ok(n),
        _ => Err("expected a whole number from 1 to 1000000".to_owned()),
    }
}

fn parse_resamples(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 100..=100_000) => Ok(n),
        _ => Err("expected a whole number from 100 to 100000".to_owned()),
    }
}

pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let benchmarks = Benchmark::named(&args.benchmarks).map_err(|error| UsageError(error.to_string()))?;
    let tasks = load(&benchmarks, args)?; // before the model: a missing file is told at once
    if let Some(model) = &args.model {
        show(&evaluate(model, &benchmarks, tasks, args)?, args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(base), Some(tuned)) = (&args.base, &args.tuned) else {
        unreachable!("the command line has --model, or --base with --tuned")
    };
    let before = evaluate(base, &benchmarks, tasks.clone(), args)?;
    let after = evaluate(tuned, &benchmarks, tasks, args)?;
    compare(&before, &after, args)?;
    Ok(ExitCode::SUCCESS)
}

/// The tasks of each benchmark.
fn load(benchmarks: &[Benchmark], args: &EvalArgs) -> anyhow::Result<Vec<Vec<Task>>> {
    let sources = Sources::new(args.data.clone());
    let mut tasks = Vec::new();
    for benchmark in benchmarks {
        tasks.push(benchmark.load(&sources, args.num_fewshot)?);
    }
    if let Some(max_new_tokens) = args.max_new_tokens {
        tasks.iter_mut().flatten().for_each(|task| task.scoring.cut_answers_after(max_new_tokens));
    }
    Ok(tasks)
}

/// One model on all tasks.
fn evaluate(
    name: &str,
    benchmarks: &[Benchmark],
    tasks: Vec<Vec<Task>>,
    args: &EvalArgs,
) -> anyhow::Result<Evaluation> {
    let start = Instant::now();
    // Before the model: nothing is written that could not be judged.
    let judges = Judges::for_tasks(&tasks.iter().flatten().collect::<Vec<_>>(), args.unsafe_no_sandbox)
        .context("answers cannot be judged here; --unsafe-no-sandbox runs programs without a sandbox, with your rights")?;
    if let Some(sandbox) = judges.sandbox_name().filter(|_| !args.quiet) {
        eprintln!("programs run in {sandbox}");
    }
    let model = LoadedModel::read(name, &args.model_args, args.quiet)?;
    if args.logits_dtype == LogitsDtype::Own && args.bf16_softmax(&model).is_none() && !args.quiet {
        eprintln!("the weights of {name} are f32 in memory, and so are its own logits");
    }
    let template = if args.apply_chat_template { Some(model.chat_template()?) } else { None };
    let answered = Answering { name, model: &model, template: template.as_ref(), args }.run(tasks)?;
    let results = judged(answered, &judges, args.quiet)?;
    let of_benchmarks = benchmarks.iter().zip(&results);
    Ok(Evaluation {
        name: name.to_owned(),
        groups: of_benchmarks.flat_map(|(benchmark, results)| GroupResult::of(benchmark, results)).collect(),
        benchmarks: benchmarks
            .iter()
            .zip(results)
            .map(|(benchmark, results)| (*benchmark, results))
            .collect(),
        facts: crate::eval_output::facts(&model, template.as_ref(), name, args),
        seconds: start.elapsed().as_secs_f64(),
    })
}
