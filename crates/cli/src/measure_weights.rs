//! The weights of both models, straight from their files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::DType;
use rayon::prelude::*;
use razor_metrics::{DrawnCompletion, DriftOptions, TensorDrift, WeightDrift, sequence_fisher};
use razor_models::{
    Checkpoint, Decoder, HostData, HostTensor, LmConfig, ScoreRequest, TensorSpec, WeightDtype,
};
use razor_tensor::TileBudget;
use serde::Serialize;

use crate::backend;
use crate::measure::MeasureArgs;
use crate::progress::CountProgress;

/// Longest short side of a matrix that is decomposed without `--full-svd`.
const SVD_LIMIT: usize = 1024;
/// Weights up to which a tensor shares the machine with others; larger ones come one at a time, for the memory.
const SHARED: usize = 1 << 24;
/// Tensors in memory at a time.
const AT_ONCE: usize = 8;

/// How far the weights moved.
#[derive(Debug, Serialize)]
pub(crate) struct Weights {
    #[serde(flatten)]
    pub(crate) drift: WeightDrift,
    pub(crate) tensors: Vec<TensorDrift>,
}

/// Fisher values by tensor.
pub(crate) type Fisher = HashMap<String, Vec<f32>>;

/// Compares two model folders of the same tensors, a few tensors at a time, as f32.
pub(crate) fn measure_weights(
    folders: &[PathBuf; 2],
    mut fisher: Option<Fisher>,
    args: &MeasureArgs,
) -> anyhow::Result<Weights> {
    let open = |folder: &PathBuf| -> anyhow::Result<(LmConfig, Checkpoint)> {
        let (config, checkpoint) = (LmConfig::load(folder)?, Checkpoint::open(folder)?);
        checkpoint.check(&config)?;
        Ok((config, checkpoint))
    };
    let [(config, base), (_, tuned)] = [open(&folders[0])?, open(&folders[1])?];
    let specs = config.tensors();
    let svd_limit = if args.full_svd { None } else { Some(SVD_LIMIT) };
    let options = DriftOptions { n_directions: args.top_directions, svd_limit };
    let progress = CountProgress::new("tensors compared", specs.len(), args.quiet);
    let compare = |(spec, fisher): (&TensorSpec, Option<Vec<f32>>)| -> anyhow::Result<TensorDrift> {
        let [before, after] = [&base, &tuned].map(|checkpoint| read_f32(checkpoint, spec));
        let drift =
            TensorDrift::between(&spec.name, &spec.shape, &before?, &after?, fisher.as_deref(), options)
                .with_context(|| format!("tensor `{}`", spec.name))?;
        progress.add(1);
        Ok(drift)
    };
    let mut tensors = Vec::with_capacity(specs.len());
    let is_large = |spec: &TensorSpec| spec.shape.iter().product::<usize>() > SHARED;
    for group in specs.chunk_by(|left, right| !is_large(left) && !is_large(right)) {
        for few in group.chunks(AT_ONCE) {
            let mut fisher_of = |spec: &TensorSpec| fisher.as_mut().and_then(|all| all.remove(&spec.name));
            let inputs: Vec<_> = few.iter().map(|spec| (spec, fisher_of(spec))).collect();
            let compared: anyhow::Result<Vec<_>> = inputs.into_par_iter().map(compare).collect();
            tensors.extend(compared?);
        }
    }
    Ok(Weights { drift: WeightDrift::over(&tensors, options)?, tensors })
}

/// Refuses models whose weights cannot be compared one by one.
pub(crate) fn check_same_tensors(base: &[TensorSpec], tuned: &[TensorSpec]) -> anyhow::Result<()> {
    let hint = "leave the weights out with --skip-weights";
    for (own, other) in base.iter().zip(tuned) {
        if own != other {
            bail!(
                "the base has `{}` {:?} where the tuned model has `{}` {:?}: expected the same tensors; {hint}",
                own.name,
                own.shape,
                other.name,
                other.shape
            );
        }
    }
    if base.len() != tuned.len() {
        bail!("the base has {} tensors, the tuned model {}; {hint}", base.len(), tuned.len());
    }
    Ok(())
}

fn read_f32(checkpoint: &Checkpoint, spec: &TensorSpec) -> anyhow::Result<Vec<f32>> {
    match checkpoint.read(spec, WeightDtype::F32)?.data {
        HostData::F32(values) => Ok(values),
        HostData::Bf16(values) => Ok(values.into_iter().map(f32::from).collect()),
    }
}

/// Memory for tiles of logits.
const TILES: TileBudget = TileBudget { bytes: 64 << 20 };

/// The diagonal Fisher information of the model in `folder` from completions that it drew, in f32.
pub(crate) fn fisher_of(folder: &Path, drawn: &[DrawnCompletion], is_quiet: bool) -> anyhow::Result<Fisher> {
    let (config, checkpoint) = (LmConfig::load(folder)?, Checkpoint::open(folder)?);
    let device = backend::device();
    let read =
        |spec: &TensorSpec| -> anyhow::Result<HostTensor> { Ok(checkpoint.read(spec, WeightDtype::F32)?) };
    let policy = Decoder::build(&config, DType::F32, &device, read)?;
    let completions: Vec<ScoreRequest> = drawn.iter().map(|drawn| drawn.request.clone()).collect();
    let progress = CountProgress::new("completions for the Fisher information", completions.len(), is_quiet);
    let fisher = sequence_fisher(&policy, &completions, TILES, &mut |n_done| progress.set(n_done))?;
    Ok(fisher.into_iter().collect())
}
