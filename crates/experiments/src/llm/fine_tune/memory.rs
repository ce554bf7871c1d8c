//! How much memory a run will take, from the shapes of its tensors.

use razor_models::LmConfig;
use serde::Serialize;

use crate::llm::fine_tune::settings::{FineTuneSettings, LoraSettings};
use crate::llm::process_memory::resident_bytes;

const MIB: f64 = (1 << 20) as f64;

/// MiB by part.
///
/// Training, drawing and measuring take turns in one memory, so the largest of them counts in `peak`; a tensor that is
/// written finds no room in the pieces that they leave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExpectedMemory {
    /// The program, the tokenizer and the data, as resident now; 0 where the system does not tell.
    pub program: f64,
    /// The base, which the KL is measured to.
    pub base: f64,
    /// The policy, or what LoRA adds to the base.
    pub policy: f64,
    /// Sums in f32.
    pub gradients: f64,
    /// Both moments, and the weights in f32 where the policy has fewer digits.
    pub optimizer: f64,
    /// What a forward pass keeps of the largest micro-batch, and what the backward pass of a layer holds besides.
    pub activations: f64,
    /// Logits that exist at a time in training.
    pub logits_tiles: f64,
    /// Fisher information that the penalty of EWC weighs the weights with.
    pub anchor: f64,
    /// Keys, values and logits of the completions that are drawn at a time, and what reading their prompts holds.
    pub cache: f64,
    /// What measuring the KL to the base and evaluating hold: a layer at work, and the logits of both models.
    pub measuring: f64,
    /// The largest tensor of a checkpoint, on its way to the disk.
    pub writing: f64,
    /// All that may be there at once. Within 10 % of what runs of 200 million weights took; small ones may take 60 MiB more.
    pub peak: f64,
}

/// What decides how large tensors get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes of a number of the weights as they are held.
    pub(super) bytes_per_weight: usize,
    /// Tokens of the largest micro-batch.
    pub(super) n_tokens: usize,
    /// Completions that are drawn at a time.
    pub(super) n_drawn: usize,
    /// Prompts of these.
    pub(super) n_prompts: usize,
    /// Tokens of the longest prompt.
    pub(super) prompt_len: usize,
    /// Tokens after which a completion is cut.
    pub(super) n_new: usize,
    /// Tokens of the largest batch that is measured.
    pub(super) n_measured: usize,
    /// Whether the loss reads the base beside the policy.
    pub(super) reads_base: bool,
}

impl ExpectedMemory {
    pub(super) fn new(config: &LmConfig, settings: &FineTuneSettings, sizes: Sizes) -> Self {
        let n_weights = config.n_parameters();
        let n_trained = settings.lora.as_ref().map_or(n_weights, |lora| n_adapter(config, lora));
        let weights = (n_weights * sizes.bytes_per_weight) as f64 / MIB;
        let f32s = |n: usize| n as f64 * 4.0 / MIB;
        let (policy, n_optimizer) = match settings.lora {
            Some(_) => (f32s(n_trained), 2),
            None => (weights, if sizes.bytes_per_weight < 4 { 3 } else { 2 }),
        };
        let resident = resident_bytes().map_or(0.0, |bytes| bytes as f64 / MIB);
        let n_models = if sizes.reads_base { 2 } else { 1 };
        let logits = f32s(n_models * sizes.n_tokens * config.vocab_size);
        // Half of the budget keeps logits where that holds 64 rows; otherwise they are computed twice, in all of it (TileBudget).
        let budget = settings.memory.tile_mib as f64;
        let is_kept = f32s(n_models * sizes.n_tokens.min(64) * config.vocab_size) <= 0.5 * budget;
        let tiles = if is_kept { 0.5 * budget } else { budget };
        let has_fisher = settings.anchor.as_ref().is_some_and(|anchor| anchor.fisher.is_some());
        let mut memory = Self {
            program: (resident - weights).max(0.0),
            base: weights,
            policy,
            gradients: f32s(n_trained),
            optimizer: f32s(n_optimizer * n_trained),
            activations: f32s(activations(config, sizes.n_tokens, settings.memory.recompute)),
            logits_tiles: logits.min(tiles),
            anchor: if has_fisher { f32s(n_weights) } else { 0.0 },
            cache: f32s(cache(config, sizes)),
            measuring: f32s(sizes.n_measured * working(config))
                + f32s(2 * sizes.n_measured * config.vocab_size).min(settings.memory.tile_mib as f64),
            writing: f32s(if settings.lora.is_some() { 0 } else { largest_tensor(config) }),
            peak: 0.0,
        };
        let of_model = memory.base + memory.policy + memory.gradients + memory.optimizer;
        let standing = memory.program + of_model + memory.anchor;
        let training = memory.activations + memory.logits_tiles;
        memory.peak = standing + training.max(memory.cache).max(memory.measuring) + memory.writing;
        memory
    }
}

/// Numbers of the adapters.
pub(super) fn n_adapter(config: &LmConfig, lora: &LoraSettings) -> usize {
    let is_target = |name: &str| {
        let projection = name.trim_end_matches(".weight").rsplit('.').next().unwrap_or_default();
        name.ends_with(".weight") && lora.targets.iter().any(|target| target == projection)
    };
    let sides = |shape: &[usize]| shape.iter().sum::<usize>() * lora.rank;
    config.tensors().iter().filter(|spec| is_target(&spec.name)).map(|spec| sides(&spec.shape)).sum()
}

fn largest_tensor(config: &LmConfig) -> usize {
    config.tensors().iter().map(|spec| spec.shape.iter().product()).max().unwrap_or(0)
}

/// Numbers that a forward pass keeps, and what the backward pass of one layer holds besides.
fn activations(config: &LmConfig, n_tokens: usize, recompute: bool) -> usize {
    let d = config.hidden_size;
    let (queries, keys) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let layer = 2 * d + 2 * queries + 2 * keys + 2 * config.intermediate_size + config.n_heads;
    let kept = if recompute { config.n_layers * d + layer } else { config.n_layers * layer };
    n_tokens * (kept + working(config))
}

/// Numbers per token that one layer holds while it works.
fn working(config: &LmConfig) -> usize {
    3 * config.intermediate_size + 6 * config.hidden_size
}

/// Numbers that drawing completions holds: reading the prompts, or drawing from what was read.
fn cache(config: &LmConfig, sizes: Sizes) -> usize {
    let slot = 2 * config.n_layers * config.n_kv_heads * config.head_dim;
    let read = sizes.n_prompts * sizes.prompt_len;
    let drawing = sizes.n_drawn * ((sizes.prompt_len + sizes.n_new) * slot + 2 * config.vocab_size);
    (read * (slot + working(config))).max(drawing)
}
