//! `razor measure`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use razor_core::{Seed, write_atomic, write_json};
use razor_data::Message;
use razor_metrics::{LayerSimilarity, layer_similarities, mean_hidden_states};
use razor_report::{table_text, write_report};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::UsageError;
use crate::json_lines::read_lines;
use crate::measure_forecast::{ForecastArgs, NO_CALIBRATION, Outlook};
use crate::measure_page::report;
use crate::measure_shift::{Shift, draw, measure_shift};
use crate::measure_tables::{layer_table, quantity_csv, quantity_table, weight_table};
use crate::measure_weights::{Weights, check_same_tensors, fisher_of, measure_weights};
use crate::model::{LoadedModel, ModelArgs};
use crate::score::BatchArgs;
use crate::terminal::{print, print_json};

/// Neighbours of CKNNA; with no more prompts than this, representations are not compared.
const N_NEIGHBORS: usize = 10;

/// Measure how far a tuned model has moved from its base
#[derive(Debug, Args)]
#[command(after_help = "\
Prompts are JSON lines with `prompt` (text, taken as it is) or `messages` (rendered with the base's chat template), and
`id` if you like. Both models write completions at temperature 1; the reference is the base, the policy the tuned model:

  kl_reference_to_policy_*  KL(base || tuned) on completions of the base: what the forgetting of the base follows
  kl_policy_to_reference_*  KL(tuned || base) on completions of the tuned model
  *_exact_*                 summed over the whole vocabulary at each token; k1, k2, k3 from the drawn tokens only
  *_per_token               over all tokens; *_per_sequence over completions, up to --max-new-tokens
  total_variation, l2       mean distance of the next-token distributions, on completions of the base

Each quantity has `mean`, `low`, `high` (95 %, from resampling prompts with all their completions, the same for every
quantity) and `n` (prompts). A completion ends at a stop token of either model, so that both choose among the same texts.

With a calibration (finished runs whose prior-task scores are known) the drop of the prior-task score is forecast from
kl_reference_to_policy_exact_per_sequence, the relative weight change and, if you give them, learning rate and steps. Use
prompts of the new task that were not trained on, and the --max-new-tokens of the calibration.

Weights are compared tensor by tensor from the files. Rank, and the energy of the change in the leading singular
directions of the base, are left out for matrices whose shorter side is above 1024 unless --full-svd is given.

Examples:
  razor measure --base Qwen2.5-0.5B --tuned runs/tuned --prompts prompts.jsonl
  razor measure --base Qwen2.5-0.5B --tuned runs/tuned --prompts prompts.jsonl --json --skip-weights
  razor measure --base a --tuned b --prompts new.jsonl --calibration calibration.json --calibration-task math
  razor measure --base a --tuned b --prompts new.jsonl --fisher-prompts old.jsonl --out runs/measure")]
pub(crate) struct MeasureArgs {
    /// The model before tuning, a folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) base: String,
    /// The model after tuning, a folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) tuned: String,
    /// JSON lines with `prompt` or `messages`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: PathBuf,
    /// Completions of each prompt, from each model
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) samples: usize,
    /// Tokens after which a completion is cut
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Resamples behind the intervals
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) resamples: usize,
    /// Completions written at a time; more are faster and take more memory
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) batch_rows: usize,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    /// Do not compare the weights
    #[arg(long, conflicts_with_all = ["full_svd", "fisher_prompts"])]
    pub(crate) skip_weights: bool,
    /// Do not compare the hidden states
    #[arg(long)]
    pub(crate) skip_representation: bool,
    /// Leading singular directions of each base matrix in which the change is looked for
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) top_directions: usize,
    /// Decompose matrices of any size
    #[arg(long)]
    pub(crate) full_svd: bool,
    /// Weigh weight changes with the base's Fisher information on these prompts (f32, gradients of the whole model)
    #[arg(long, value_name = "FILE")]
    pub(crate) fisher_prompts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) forecast: ForecastArgs,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
    /// Branch, tag or commit of the tuned model's hub id; --revision is the base's
    #[arg(long, value_name = "REV")]
    pub(crate) tuned_revision: Option<String>,
    /// Also write measure.json, quantities.csv, layers.csv and report.html to this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Deserialize)]
struct PromptLine {
    id: Option<Value>,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
}

/// The hidden states of both models on the prompts.
#[derive(Debug, Serialize)]
pub(crate) struct Representation {
    /// Empty where they were not compared.
    pub(crate) layers: Vec<LayerSimilarity>,
    /// Why they were not.
    pub(crate) left_out: Option<String>,
}

/// Everything that was measured.
pub(crate) struct Measurement {
    pub(crate) shift: Shift,
    pub(crate) weights: Option<Weights>,
    pub(crate) representation: Representation,
    /// `None` without a calibration.
    pub(crate) outlook: Option<Outlook>,
    pub(crate) settings: Value,
}

pub(crate) fn run(args: &MeasureArgs) -> anyhow::Result<ExitCode> {
    check_usage(args)?;
    let lines: Vec<PromptLine> = read_lines(&args.prompts)?;
    let fisher_lines: Option<Vec<PromptLine>> = args.fisher_prompts.as_deref().map(read_lines).transpose()?;
    let base = LoadedModel::read(&args.base, &args.model_args, args.quiet)?;
    let tuned = LoadedModel::read(&args.tuned, &tuned_args(args), args.quiet)?;
    check_pair(&base, &tuned)?;
    if !args.skip_weights {
        let [before, after] = [&base, &tuned].map(|model| model.decoder.config().tensors());
        check_same_tensors(&before, &after)?; // before the long work
    }
    let calibration = args.forecast.read(&base)?;
    let prompts = encode(&base, &tuned, &lines)?;
    let shift = measure_shift(&base, &tuned, &prompts, args)?;
    let representation = measure_representation(&base, &tuned, &prompts, args)?;
    let fisher_completions = match &fisher_lines {
        Some(lines) => {
            let prompts = encode(&base, &tuned, lines).context("--fisher-prompts")?;
            let seed = Seed::new(args.seed).derive("fisher", 0);
            Some(draw(&base.decoder, &prompts, 1, &base.stop_tokens(), seed, "the base for Fisher", args)?)
        }
        None => None,
    };
    let folders = [base.folder.clone(), tuned.folder.clone()];
    let settings = settings(args, &folders, prompts.len());
    drop((base, tuned));
    let weights = match args.skip_weights {
        true => None,
        false => {
            let fisher =
                fisher_completions.map(|drawn| fisher_of(&folders[0], &drawn, args.quiet)).transpose()?;
            Some(measure_weights(&folders, fisher, args)?)
        }
    };
    let outlook = calibration.map(|read| Outlook::new(read, &shift, weights.as_ref(), &args.forecast));
    let measurement = Measurement { shift, weights, representation, outlook, settings };
    show(&measurement, args)?;
    Ok(ExitCode::SUCCESS)
}

fn check_usage(args: &MeasureArgs) -> anyhow::Result<()> {
    let least_one = [
        ("--samples", args.samples),
        ("--max-new-tokens", args.max_new_tokens),
        ("--batch-rows", args.batch_rows),
        ("--top-directions", args.top_directions),
    ];
    if let Some((name, _)) = least_one.into_iter().find(|&(_, value)| value == 0) {
        return Err(UsageError(format!("{name} is 0, expected at least 1")).into());
    }
    args.forecast.check()?;
    if args.resamples < 100 {
        let found = args.resamples;
        return Err(UsageError(format!("--resamples is {found}, expected at least 100")).into());
    }
    let is_standard = |path: &Path| path == Path::new("-");
    if is_standard(&args.prompts) && args.fisher_prompts.as_deref().is_some_and(is_standard) {
        return Err(UsageError("--prompts and --fisher-prompts cannot both be standard input".into()).into());
    }
    Ok(())
}

fn tuned_args(args: &MeasureArgs) -> ModelArgs {
    let ModelArgs { dtype, offline, .. } = args.model_args;
    ModelArgs { dtype, revision: args.tuned_revision.clone(), offline }
}

/// Refuses two models whose tokens are not the same.
fn check_pair(base: &LoadedModel, tuned: &LoadedModel) -> anyhow::Result<()> {
    let [of_base, of_tuned] = [base, tuned].map(|model| model.folder.display());
    let [rows, other] = [base, tuned].map(|model| model.decoder.config().vocab_size);
    if rows != other {
        bail!(
            "{of_base} has {rows} rows of the vocabulary, {of_tuned} {other}: distributions over different words have no \
             distance; tune without resizing the embedding"
        );
    }
    let [n_tokens, other] = [base, tuned].map(|model| model.tokenizer.vocab_len());
    if n_tokens != other {
        bail!(
            "the tokenizer of {of_base} has {n_tokens} tokens, that of {of_tuned} {other}: expected the same"
        );
    }
    let [words, others] = [base, tuned].map(|model| &model.tokenizer);
    let differs = |id: &u32| words.token_text(*id) != others.token_text(*id);
    if let Some(id) = (0..rows as u32).find(differs) {
        let [word, other] = [words.token_text(id), others.token_text(id)];
        bail!("token {id} is {word:?} in {of_base} and {other:?} in {of_tuned}: expected the same tokenizer");
    }
    Ok(())
}

/// The tokens of every prompt, as the base has them; the tuned model's tokenizer must agree.
fn encode(base: &LoadedModel, tuned: &LoadedModel, lines: &[PromptLine]) -> anyhow::Result<Vec<Vec<u32>>> {
    let has_chats = lines.iter().any(|line| line.messages.is_some());
    let template = if has_chats { Some(base.chat_template()?) } else { None };
    let encode_line = |(idx, line): (usize, &PromptLine)| {
        let name =
            || line.id.as_ref().map_or_else(|| format!("prompt {}", idx + 1), |id| format!("prompt {id}"));
        let (ids, others) = match (&line.prompt, &line.messages, &template) {
            (Some(prompt), None, _) => (base.encode_prompt(prompt), tuned.encode_prompt(prompt)),
            (None, Some(messages), Some(template)) => {
                (base.encode_chat(template, messages), tuned.encode_chat(template, messages))
            }
            _ => bail!("{}: expected either `prompt` or `messages`", name()),
        };
        let (ids, others) = (ids.with_context(name)?, others.with_context(name)?);
        if ids != others {
            bail!("{}: the two tokenizers cut it into different tokens, expected the same tokenizer", name());
        }
        if ids.is_empty() {
            bail!("{} has no tokens", name());
        }
        Ok(ids)
    };
    lines.iter().enumerate().map(encode_line).collect()
}

fn measure_representation(
    base: &LoadedModel,
    tuned: &LoadedModel,
    prompts: &[Vec<u32>],
    args: &MeasureArgs,
) -> anyhow::Result<Representation> {
    let [n_layers, other] = [base, tuned].map(|model| model.decoder.config().n_layers);
    let left_out = if args.skip_representation {
        Some("left out by --skip-representation".to_owned())
    } else if prompts.len() <= N_NEIGHBORS {
        let n = prompts.len();
        Some(format!("needs more than {N_NEIGHBORS} prompts for {N_NEIGHBORS} neighbours, there are {n}"))
    } else if n_layers != other {
        Some(format!("the base has {n_layers} layers, the tuned model {other}"))
    } else {
        None
    };
    if left_out.is_some() {
        return Ok(Representation { layers: vec![], left_out });
    }
    let states =
        [base, tuned].map(|model| mean_hidden_states(&model.decoder, prompts, args.batch.batch_tokens));
    let layers = layer_similarities(&states[0], &states[1], prompts.len(), N_NEIGHBORS)?;
    Ok(Representation { layers, left_out: None })
}

fn settings(args: &MeasureArgs, folders: &[PathBuf; 2], n_prompts: usize) -> Value {
    let dtype = format!("{:?}", args.model_args.dtype).to_lowercase();
    json!({
        "base": args.base,
        "tuned": args.tuned,
        "base_folder": folders[0],
        "tuned_folder": folders[1],
        "prompts": args.prompts,
        "n_prompts": n_prompts,
        "samples": args.samples,
        "max_new_tokens": args.max_new_tokens,
        "temperature": 1.0,
        "seed": args.seed,
        "resamples": args.resamples,
        "dtype": dtype,
        "n_neighbors": N_NEIGHBORS,
        "fisher_prompts": args.fisher_prompts,
        "calibration": args.forecast.calibration,
        "calibration_task": args.forecast.calibration_task,
        "learning_rate": args.forecast.learning_rate,
        "steps": args.forecast.steps,
        "razor": crate::backend::VERSION,
        "backend": crate::backend::BACKEND,
    })
}

/// What `--json` prints and `measure.json` holds.
fn as_json(measurement: &Measurement) -> anyhow::Result<Value> {
    let mut quantities = Map::new();
    for quantity in &measurement.shift.quantities {
        let mut object = serde_json::to_value(quantity)?;
        let fields = object.as_object_mut().expect("a quantity is an object");
        fields.shift_remove("name");
        quantities.insert(quantity.name.clone(), object);
    }
    Ok(json!({
        "quantities": quantities,
        "sampler_gap": measurement.shift.sampler_gap,
        "weights": measurement.weights,
        "representation": measurement.representation.layers,
        "representation_left_out": measurement.representation.left_out,
        "forecast": measurement.outlook,
        "forecast_left_out": measurement.outlook.is_none().then_some(NO_CALIBRATION),
        "settings": measurement.settings,
    }))
}

fn show(measurement: &Measurement, args: &MeasureArgs) -> anyhow::Result<()> {
    let json = as_json(measurement)?;
    let quantities = quantity_table(&measurement.shift);
    let layers = layer_table(measurement);
    if let Some(dir) = &args.out {
        let (page, summary) = report(measurement)?;
        write_report(dir, &page, &summary)?;
        write_atomic(&dir.join("quantities.csv"), &quantity_csv(&measurement.shift)?)?;
        write_atomic(&dir.join("layers.csv"), &layers.to_csv()?)?;
        write_json(&dir.join("measure.json"), &json)?;
    }
    if args.json {
        return print_json(&json);
    }
    let mut text = table_text(&quantities);
    let gap = measurement.shift.sampler_gap.largest();
    text.push_str(&format!("\nlargest gap between drawing and scoring a token: {gap:.1e} nats\n"));
    if let Some(weights) = &measurement.weights {
        text.push_str(&format!("\n{}", table_text(&weight_table(&weights.drift))));
        text.push_str(&too_large_text(&weights.drift.too_large));
    }
    let layers = table_text(&layers);
    if !layers.is_empty() {
        text.push_str(&format!("\n{layers}"));
    }
    if let Some(reason) = &measurement.representation.left_out {
        text.push_str(&format!("\nhidden states were not compared: {reason}\n"));
    }
    text.push_str(&format!("\n{}\n", forecast_lines(measurement).join("\n")));
    if let Some(table) = measurement.outlook.as_ref().and_then(Outlook::table) {
        text.push_str(&format!("\n{}", table_text(&table)));
    }
    if let Some(dir) = &args.out {
        text.push_str(&format!("\nreport   {}\n", dir.join("report.html").display()));
    }
    print(&text)
}

/// The forecast, or how to get one.
pub(crate) fn forecast_lines(measurement: &Measurement) -> Vec<String> {
    measurement.outlook.as_ref().map_or_else(|| vec![NO_CALIBRATION.to_owned()], Outlook::lines)
}

/// Says which matrices got neither rank nor energy.
pub(crate) fn too_large_text(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!(
        "rank and energy leave out {} matrices, which are too large without --full-svd: {}\n",
        names.len(),
        names.join(", ")
    )
}
