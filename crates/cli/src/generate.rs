//! `razor generate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use razor_core::Seed;
use razor_data::{ChatTemplate, Message, StopStrings};
use razor_models::{Completion, GenerationLimits, GenerationRequest, Sampling, StopReason, generate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::UsageError;
use crate::json_lines::{LineWriter, read_lines};
use crate::model::{LoadedModel, ModelArgs};
use crate::progress::CountProgress;

/// Write completions of prompts, JSON lines in and out
#[derive(Debug, Args)]
#[command(after_help = "\
Reads objects with `id` and either `prompt` (text, taken as it is) or `messages` (rendered with the model's chat
template); other fields are left alone. Writes, in the same order, `id`, `completion`, `token_ids`, `log_probs` (nats,
under the distribution that was drawn from) and `stop_reason`: stop_token, stop_string, length or context_full. With
--samples above 1 `sample` counts from 0. Nothing is written before all is drawn.

The text of a prompt depends on --seed and on its place in the input, not on --batch-rows. Completions end at the model's
own stop tokens; other settings of its generation_config.json are not used.

Examples:
  razor generate --model Qwen2.5-0.5B-Instruct --input prompts.jsonl --max-new-tokens 128
  razor generate --model runs/tuned --input prompts.jsonl --temperature 1 --samples 8 --seed 1 --out completions.jsonl")]
pub(crate) struct GenerateArgs {
    /// Model folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// JSON lines with `id` and `prompt` or `messages`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Write here, whole or not at all, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Tokens after which a completion is cut
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_new_tokens: usize,
    /// 0 takes the likeliest token, 1 draws from the model's own distribution
    #[arg(long, value_name = "T", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) temperature: f32,
    /// Draw among the N likeliest tokens only; 0 is all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) top_p: f32,
    /// Draw among tokens at least this share as likely as the likeliest
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) min_p: f32,
    /// End a completion before this text; may be given again
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stop: Vec<String>,
    /// Completions of each prompt
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count)]
    pub(crate) samples: usize,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Completions at a time; more are faster and take more memory
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse_count)]
    pub(crate) batch_rows: usize,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Completions that are kept in memory until they are written.
const MOST: usize = 1_000_000;

/// A number of rows or samples.
fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=MOST) => Ok(n),
        _ => Err(format!("expected a whole number from 1 to {MOST}")),
    }
}

#[derive(Deserialize)]
struct RawLine {
    id: Value,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(try_from = "RawLine")]
struct PromptLine {
    id: Value,
    prompt: Prompt,
}

enum Prompt {
    Text(String),
    Chat(Vec<Message>),
}

impl TryFrom<RawLine> for PromptLine {
    type Error = &'static str;

    fn try_from(raw: RawLine) -> Result<Self, Self::Error> {
        let prompt = match (raw.prompt, raw.messages) {
            (Some(text), None) => Prompt::Text(text),
            (None, Some(messages)) if messages.is_empty() => return Err("`messages` is empty"),
            (None, Some(messages)) => Prompt::Chat(messages),
            (None, None) => return Err("missing field `prompt` or `messages`"),
            (Some(_), Some(_)) => return Err("expected either `prompt` or `messages`, found both"),
        };
        Ok(Self { id: raw.id, prompt })
    }
}

#[derive(Serialize)]
struct CompletionLine<'a> {
    id: &'a Value,
    /// Only where a prompt has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<usize>,
    completion: String,
    token_ids: Vec<u32>,
    log_probs: Vec<f32>,
    stop_reason: StopReason,
}

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    let sampling =
        Sampling { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p, min_p: args.min_p };
    if let Some(problem) = sampling.problem() {
        return Err(UsageError(problem).into());
    }
    let lines: Vec<PromptLine> = read_lines(&args.input)?;
    if lines.len().saturating_mul(args.samples) > MOST {
        let n = lines.len();
        return Err(UsageError(format!(
            "{n} prompts with {} samples are over {MOST} completions: split the input",
            args.samples
        ))
        .into());
    }
    let model = LoadedModel::read(&args.model, &args.model_args, args.quiet)?;
    let has_chats = lines.iter().any(|line| matches!(line.prompt, Prompt::Chat(_)));
    let template = if has_chats { Some(model.chat_template()?) } else { None };
    let requests = lines
        .iter()
        .enumerate()
        .map(|(idx, line)| {
            let request = request(&model, template.as_ref(), line, idx, args);
            request.with_context(|| format!("prompt {}", line.id))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut drawing = Drawing::new(&model, args, &lines)?;
    drawing.run(&requests, sampling)?;
    drawing.writer.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn request(
    model: &LoadedModel,
    template: Option<&ChatTemplate>,
    line: &PromptLine,
    idx: usize,
    args: &GenerateArgs,
) -> anyhow::Result<GenerationRequest> {
    let prompt = match &line.prompt {
        Prompt::Text(text) => model.encode_prompt(text)?,
        Prompt::Chat(messages) => {
            model.encode_chat(template.expect("it was read as there are chats"), messages)?
        }
    };
    let seed = Seed::new(args.seed).derive("prompt", idx as u64);
    Ok(GenerationRequest {
        prompt,
        seeds: (0..args.samples as u64).map(|sample| seed.derive("sample", sample)).collect(),
    })
}

/// Completions on their way to the output, in the order of the input.
struct Drawing<'a> {
    model: &'a LoadedModel,
    args: &'a GenerateArgs,
    lines: &'a [PromptLine],
    /// One matcher per completion, where there are stop strings.
    matchers: Vec<StopStrings<'a>>,
    finished: Vec<Option<Completion>>,
    n_written: usize,
    writer: LineWriter,
}

impl<'a> Drawing<'a> {
    fn new(model: &'a LoadedModel, args: &'a GenerateArgs, lines: &'a [PromptLine]) -> anyhow::Result<Self> {
        let n = lines.len() * args.samples;
        let n_matchers = if args.stop.is_empty() { 0 } else { n };
        let matchers = (0..n_matchers).map(|_| StopStrings::new(&model.tokenizer, &args.stop));
        Ok(Self {
            model,
            args,
            lines,
            matchers: matchers.collect::<Result<_, _>>()?,
            finished: vec![None; n],
            n_written: 0,
            writer: LineWriter::new(args.out.as_deref()),
        })
    }

    fn run(&mut self, requests: &[GenerationRequest], sampling: Sampling) -> anyhow::Result<()> {
        let limits = GenerationLimits {
            max_new_tokens: self.args.max_new_tokens,
            stop_tokens: self.model.stop_tokens(),
            max_rows: self.args.batch_rows,
        };
        let n_samples = self.args.samples;
        let progress = CountProgress::new("completions", self.finished.len(), self.args.quiet);
        let mut matchers = std::mem::take(&mut self.matchers);
        let mut failure = None;
        let mut is_done = |request: usize, sample: usize, token: u32| {
            let Some(matcher) = matchers.get_mut(request * n_samples + sample) else { return false };
            matcher.push(token).unwrap_or_else(|error| {
                failure = Some(error);
                true
            })
        };
        let finished = &mut self.finished;
        let mut on_end = |request: usize, sample: usize, completion: Completion| {
            finished[request * n_samples + sample] = Some(completion);
            progress.add(1);
        };
        let drawn = generate(&self.model.decoder, requests, sampling, &limits, &mut is_done, &mut on_end);
        drop(progress); // the bar is away before anything is printed
        drawn.map_err(|error| self.explain(error))?;
        if let Some(error) = failure {
            return Err(error.into());
        }
        self.matchers = matchers;
        self.write_finished()
    }

    /// Names the prompt by the user's id.
    fn explain(&self, error: razor_models::ModelError) -> anyhow::Error {
        match error {
            razor_models::ModelError::Prompt { request_idx, message } => {
                anyhow::anyhow!("prompt {} {message}", self.lines[request_idx].id)
            }
            other => other.into(),
        }
    }

    fn write_finished(&mut self) -> anyhow::Result<()> {
        while let Some(completion) = self.finished.get_mut(self.n_written).and_then(Option::take) {
            let (line, sample) = (self.n_written / self.args.samples, self.n_written % self.args.samples);
            let completion_line = CompletionLine {
                id: &self.lines[line].id,
                sample: (self.args.samples > 1).then_some(sample),
                completion: self.text(self.n_written, &completion)?,
                token_ids: completion.tokens,
                log_probs: completion.log_probs,
                stop_reason: completion.stop_reason,
            };
            self.writer.write(&completion_line)?;
            self.n_written += 1;
        }
        Ok(())
    }

    /// Without the stop token and what follows a stop string.
    fn text(&self, idx: usize, completion: &Completion) -> anyhow::Result<String> {
        if completion.stop_reason == StopReason::StopString {
            return Ok(self.matchers[idx].text());
        }
        Ok(self.model.tokenizer.decode(&completion.tokens, true)?)
    }
}
