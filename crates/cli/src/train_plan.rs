//! What a training run will take, before it starts.

use std::fmt;
use std::time::Duration;

use burn::tensor::DType;
use razor_experiments::llm::fine_tune::{
    BaseModel, ExpectedTime, FineTuneSettings, MethodSettings, Prepared,
};
use razor_models::LmConfig;
use serde::Serialize;

use crate::terminal::duration_text;

/// Numbers of f32 per MiB.
const F32_PER_MIB: f64 = (1 << 18) as f64;

/// Size of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    /// About the data, a line each.
    notes: Vec<String>,
    /// Numbers that are trained.
    n_trained: usize,
    /// Numbers of the model.
    n_parameters: usize,
    n_steps: usize,
    /// Seconds by part, with every completion at its longest.
    seconds: ExpectedTime,
    /// MiB by part.
    memory_mib: Memory,
    settings: FineTuneSettings,
}

/// MiB by part. Sampling and training take turns, so the larger of both counts.
#[derive(Debug, Clone, Copy, Serialize)]
struct Memory {
    weights: f64,
    base: f64,
    gradients: f64,
    optimizer: f64,
    activations: f64,
    logits_tiles: f64,
    cache: f64,
    peak: f64,
}

impl Plan {
    pub(crate) fn new(prepared: &Prepared, base: &BaseModel) -> anyhow::Result<Self> {
        let settings = &prepared.settings;
        let config = base.decoder.config();
        let n_parameters = config.n_parameters();
        let n_trained = match &settings.lora {
            Some(lora) => n_lora(config, lora.rank, &lora.targets),
            None => n_parameters,
        };
        let is_narrow = base.decoder.head().dtype() == DType::BF16;
        let mib = |n: usize| n as f64 / F32_PER_MIB;
        let weights = mib(n_parameters) * if is_narrow { 0.5 } else { 1.0 };
        let n_tokens = settings.memory.micro_batch_tokens;
        let mut memory = Memory {
            weights,
            base: if settings.lora.is_some() { 0.0 } else { weights },
            gradients: mib(n_trained),
            optimizer: mib(n_trained) * if is_narrow && settings.lora.is_none() { 3.0 } else { 2.0 },
            activations: mib(activations(config, n_tokens, settings.memory.recompute)),
            logits_tiles: settings.memory.tile_mib as f64,
            cache: mib(cache(config, settings.memory.generation_rows, max_new_tokens(&settings.method))),
            peak: 0.0,
        };
        let standing = memory.weights + memory.base + memory.gradients + memory.optimizer;
        memory.peak = standing + (memory.activations + memory.logits_tiles).max(memory.cache);
        Ok(Self {
            notes: prepared.notes.clone(),
            n_trained,
            n_parameters,
            n_steps: prepared.n_steps(),
            seconds: prepared.expected_time(base)?,
            memory_mib: memory,
            settings: settings.clone(),
        })
    }
}

fn n_lora(config: &LmConfig, rank: usize, targets: &[String]) -> usize {
    let is_target = |name: &str| {
        let projection = name.trim_end_matches(".weight").rsplit('.').next().unwrap_or_default();
        name.ends_with(".weight") && targets.iter().any(|target| target == projection)
    };
    let sides = |shape: &[usize]| shape.iter().sum::<usize>() * rank;
    config.tensors().iter().filter(|spec| is_target(&spec.name)).map(|spec| sides(&spec.shape)).sum()
}

/// Numbers that a forward pass keeps, and what the backward pass of one layer holds besides.
fn activations(config: &LmConfig, n_tokens: usize, recompute: bool) -> usize {
    let d = config.hidden_size;
    let (queries, keys) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let layer = 2 * d + 2 * queries + 2 * keys + 2 * config.intermediate_size + config.n_heads;
    let kept = if recompute { config.n_layers * d + layer } else { config.n_layers * layer };
    let working = 3 * config.intermediate_size + 6 * d;
    n_tokens * (kept + working)
}

fn cache(config: &LmConfig, n_rows: usize, n_tokens: usize) -> usize {
    let slots = 2 * config.n_layers * n_tokens * config.n_kv_heads * config.head_dim;
    n_rows * (slots + 2 * config.vocab_size)
}

fn max_new_tokens(method: &MethodSettings) -> usize {
    match method {
        MethodSettings::PolicyGradient { config } => config.max_completion_tokens,
        MethodSettings::RejectionSft { max_completion_tokens, .. }
        | MethodSettings::SelfDistillation { max_completion_tokens, .. }
        | MethodSettings::Simpo { max_completion_tokens, .. } => *max_completion_tokens,
        MethodSettings::Sft { .. } => 0,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        let Self { n_trained, n_parameters, n_steps, memory_mib: memory, .. } = self;
        writeln!(f, "{n_steps} steps; {n_trained} of {n_parameters} parameters are trained")?;
        let time = |seconds: f64| duration_text(Duration::from_secs_f64(seconds));
        writeln!(
            f,
            "time, if completions run to their limit: about {} (training {}, sampling {}, measuring {})",
            time(self.seconds.total()),
            time(self.seconds.training),
            time(self.seconds.sampling),
            time(self.seconds.measuring)
        )?;
        writeln!(
            f,
            "memory, MiB: weights {:.0}, base {:.0}, gradients {:.0}, optimizer {:.0}, activations {:.0}, logits tiles {:.0}, \
             cache {:.0}; peak {:.0}",
            memory.weights,
            memory.base,
            memory.gradients,
            memory.optimizer,
            memory.activations,
            memory.logits_tiles,
            memory.cache,
            memory.peak
        )
    }
}
