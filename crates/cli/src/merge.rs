//! `razor merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use burn::tensor::DType;
use clap::Args;
use razor_models::{WeightDtype, adapter_base, resolve_model};

use crate::model::{ModelArgs, read_decoder};
use crate::progress::download_progress;
use crate::terminal::print;

/// Put a LoRA adapter into the weights of its base
#[derive(Debug, Args)]
#[command(after_help = "\
Reads an adapter folder of `razor sft --lora-rank` or of PEFT and writes a model folder, with the tokenizer of the base.

Example:
  razor merge --adapter runs/lora/checkpoints/00000200/model --out merged")]
pub(crate) struct MergeArgs {
    /// Adapter folder in PEFT's layout
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: PathBuf,
    /// Model folder or hub id that the adapter belongs to [default: the one that it names]
    #[arg(long, value_name = "MODEL")]
    pub(crate) base: Option<String>,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) model_args: ModelArgs,
}

/// Weights of one file, bytes.
const MAX_SHARD_BYTES: u64 = 5_000_000_000;

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let Some(named) = adapter_base(&args.adapter)? else {
        bail!("{} is no adapter: it has no adapter_config.json", args.adapter.display());
    };
    let name = args.base.clone().unwrap_or(named);
    if name.is_empty() {
        bail!("{} does not name its base: give --base", args.adapter.display());
    }
    let ModelArgs { revision, offline, dtype } = &args.model_args;
    let base = resolve_model(&name, revision.as_deref(), *offline, download_progress(true))?;
    let merged = read_decoder(&base, *dtype, true)?.with_peft_adapter(&args.adapter)?.merged();
    let dtype = if merged.head().dtype() == DType::BF16 { WeightDtype::Bf16 } else { WeightDtype::F32 };
    merged.save(&args.out, Some(&base), dtype, MAX_SHARD_BYTES)?;
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
