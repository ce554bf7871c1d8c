//! `razor score`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use razor_data::encode_continuation;
use razor_models::{ModelError, ScoreLimits, ScoreRequest, score_continuations};
use razor_tensor::TileBudget;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json_lines::{LineWriter, read_lines};
use crate::model::{LoadedModel, ModelArgs};
use crate::progress::CountProgress;

/// Log-probabilities of given texts, JSON lines in and out
#[derive(Debug, Args)]
#[command(after_help = "\
Reads objects with `id`, `context` and `continuation`. Writes, in the same order, `id`, `log_prob` (nats, the sum over the
continuation), `is_greedy` (every token is the model's likeliest), `n_tokens` and `token_log_probs`. Where context and
continuation meet, and what an empty context is, is as in lm-evaluation-harness. The softmax is f32.

Example:
  razor score --model Qwen2.5-0.5B-Instruct --input pairs.jsonl --out scores.jsonl")]
pub(crate) struct ScoreArgs {
    /// Model folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// JSON lines with `id`, `context` and `continuation`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Write here, whole or not at all, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// How much is computed at a time.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// Tokens of one batch, padding included
    #[arg(long, value_name = "N", default_value = "4096", value_parser = parse_amount)]
    pub(crate) batch_tokens: usize,
    /// Memory for tiles of logits, in MiB; the whole logits are never kept
    #[arg(long, value_name = "MIB", default_value = "128", value_parser = parse_amount)]
    pub(crate) tile_memory: usize,
}

/// Tokens or MiB; a million MiB still counts in bytes.
fn parse_amount(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1_000_000) => Ok(n),
        _ => Err("expected a whole number from 1 to 1000000".to_owned()),
    }
}

impl BatchArgs {
    pub(crate) fn limits(&self) -> ScoreLimits {
        ScoreLimits { batch_tokens: self.batch_tokens, tiles: TileBudget { bytes: self.tile_memory << 20 } }
    }
}

#[derive(Deserialize)]
struct PairLine {
    id: Value,
    context: String,
    continuation: String,
}

#[derive(Serialize)]
struct ScoreLine<'a> {
    id: &'a Value,
    log_prob: f64,
    is_greedy: bool,
    n_tokens: usize,
    token_log_probs: &'a [f32],
}

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let lines: Vec<PairLine> = read_lines(&args.input)?;
    let model = LoadedModel::read(&args.model, &args.model_args, args.quiet)?;
    let requests = lines
        .iter()
        .map(|line| request(&model, line).with_context(|| format!("pair {}", line.id)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let progress = CountProgress::new("texts", requests.len(), args.quiet);
    let mut on_score = |_, _: &_| progress.add(1);
    let scores = score_continuations(&model.decoder, &requests, None, args.batch.limits(), &mut on_score);
    let scores = scores.map_err(|error| match error {
        ModelError::Prompt { request_idx, message } => {
            anyhow::anyhow!("pair {} {message}", lines[request_idx].id)
        }
        other => other.into(),
    })?;
    drop(progress);
    let mut writer = LineWriter::new(args.out.as_deref());
    for (line, score) in lines.iter().zip(&scores) {
        writer.write(&ScoreLine {
            id: &line.id,
            log_prob: score.token_log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum(),
            is_greedy: score.is_greedy,
            n_tokens: score.token_log_probs.len(),
            token_log_probs: &score.token_log_probs,
        })?;
    }
    writer.finish()?;
    let n_cut = scores.iter().filter(|score| score.n_cut > 0).count();
    if n_cut > 0 && !args.quiet {
        eprintln!(
            "{n_cut} of {} contexts were cut from the left to the model's {} positions",
            scores.len(),
            model.decoder.config().max_positions
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn request(model: &LoadedModel, line: &PairLine) -> anyhow::Result<ScoreRequest> {
    let encoded = encode_continuation(&model.tokenizer, &line.context, &line.continuation)?;
    if encoded.continuation.is_empty() {
        bail!("the continuation {:?} adds no token to its context", line.continuation);
    }
    Ok(ScoreRequest { context: encoded.context, continuation: encoded.continuation })
}
