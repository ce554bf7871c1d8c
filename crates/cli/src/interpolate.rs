//! `razor interpolate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use razor_models::{
    Checkpoint, HostData, HostTensor, LmConfig, ModelError, TensorSpec, WeightDtype, resolve_model,
    save_model,
};
use razor_trainers::language::loss::interpolate_weights;

use crate::UsageError;
use crate::model::refuse_adapter;
use crate::progress::download_progress;
use crate::terminal::print;

/// Average a base and a tuned model, weight by weight (WiSE-FT)
#[derive(Debug, Args)]
#[command(after_help = "\
Writes (1 - alpha) base + alpha tuned, tensor by tensor, in the tuned model's folder layout.

Example:
  razor interpolate --base Qwen2.5-0.5B-Instruct --tuned runs/sft/checkpoints/00000200/model --alpha 0.5 --out half")]
pub(crate) struct InterpolateArgs {
    /// Model folder or hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) base: String,
    /// The same model after fine-tuning
    #[arg(long, value_name = "MODEL")]
    pub(crate) tuned: String,
    /// Share of the tuned weights, from 0 to 1
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub(crate) alpha: f32,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Use the hub's cache only
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Weights of one file, bytes.
const MAX_SHARD_BYTES: u64 = 5_000_000_000;

pub(crate) fn run(args: &InterpolateArgs) -> anyhow::Result<ExitCode> {
    if !(0.0..=1.0).contains(&args.alpha) {
        return Err(UsageError(format!("--alpha is {}: expected a number from 0 to 1", args.alpha)).into());
    }
    let folder = |name: &str| resolve_model(name, None, args.offline, download_progress(true));
    let (base, tuned) = (folder(&args.base)?, folder(&args.tuned)?);
    refuse_adapter(&tuned)?;
    let config = LmConfig::load(&tuned)?;
    let (of_base, of_tuned) = (Checkpoint::open(&base)?, Checkpoint::open(&tuned)?);
    let specs = config.tensors();
    if LmConfig::load(&base)?.tensors() != specs {
        bail!(
            "{} and {} have tensors of different shapes: they are not the same model",
            base.display(),
            tuned.display()
        );
    }
    let is_narrow = of_tuned.check(&config)?.dtypes.iter().all(|dtype| *dtype == "BF16");
    let dtype = if is_narrow { WeightDtype::Bf16 } else { WeightDtype::F32 };
    let mut read = |spec: &TensorSpec| -> Result<HostTensor, ModelError> {
        let (start, mut end) =
            (of_base.read(spec, WeightDtype::F32)?, of_tuned.read(spec, WeightDtype::F32)?);
        if let (HostData::F32(start), HostData::F32(end)) = (&start.data, &mut end.data) {
            interpolate_weights(start, end, args.alpha);
        }
        Ok(end)
    };
    save_model(&args.out, &config.to_json(), Some(&tuned), &specs, dtype, MAX_SHARD_BYTES, &mut read)?;
    print(&format!("{}\n", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
