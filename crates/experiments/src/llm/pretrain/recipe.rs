//! Everything that decides the weights of a pre-trained base.

use std::path::Path;

use anyhow::bail;
use razor_core::load_config;
use razor_data::CorpusMix;
use razor_models::{Family, LmConfig, RopeScaling};
use razor_trainers::language::{LearnerConfig, TrainingConfig};
use razor_trainers::{AdamWConfig, Schedule};
use serde::{Deserialize, Serialize};

/// The recipe of the embedded base.
const TINY: &str = include_str!("../../../presets/pretrain/tiny.toml");

/// Tokens of one pass through the network, and MiB for tiles of logits.
pub(super) const MICRO_BATCH_TOKENS: usize = 8_192;
pub(super) const TILE_MIB: usize = 64;

/// A pre-training. Equal recipes give equal weights on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainRecipe {
    /// Seed of everything that is random.
    pub seed: u64,
    /// Steps.
    pub n_steps: usize,
    /// Tokens of a step.
    pub tokens_per_step: usize,
    /// Weight of a prompt's token in the loss; that of a completion's is 1.
    pub prompt_weight: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub n_warmup: usize,
    /// What follows them.
    pub schedule: Schedule,
    /// The global norm that gradients are clipped to; 0 does not clip.
    pub max_grad_norm: f64,
    /// Steps between looks at the loss on documents that are not trained on.
    pub evaluate_every: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// The optimizer.
    pub adamw: AdamWConfig,
    /// Sizes of the network.
    pub model: ModelSizes,
    /// What the corpus is made of.
    pub mix: CorpusMix,
}

/// Sizes of a decoder in Qwen2's layout with tied embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in LmConfig")]
pub struct ModelSizes {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub max_positions: usize,
}

impl PretrainRecipe {
    /// The recipe in `file`, or that of the embedded base, after assignments `key=value`.
    ///
    /// # Errors
    /// When the file cannot be read, or a value is missing, unknown or out of its range.
    pub fn load(file: Option<&Path>, assignments: &[String]) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
        };
        let text = file.map_or_else(|| Ok(TINY.to_owned()), read)?;
        let origin = file.unwrap_or(Path::new("presets/pretrain/tiny.toml"));
        let recipe: Self = load_config(&text, origin, assignments)?;
        match recipe.problem() {
            Some(problem) => bail!("{}: {problem}", origin.display()),
            None => Ok(recipe),
        }
    }

    fn problem(&self) -> Option<String> {
        let Self { model, adamw, .. } = self;
        let counts = [
            ("n_steps", self.n_steps),
            ("tokens_per_step", self.tokens_per_step),
            ("model.hidden_size", model.hidden_size),
            ("model.intermediate_size", model.intermediate_size),
            ("model.n_layers", model.n_layers),
            ("model.n_heads", model.n_heads),
            ("model.n_kv_heads", model.n_kv_heads),
            ("model.max_positions", model.max_positions),
        ];
        const MOST: usize = 1_000_000; // larger ones are mistakes, and their products would not fit
        if let Some((name, count)) = counts.into_iter().find(|(_, count)| !(1..=MOST).contains(count)) {
            return Some(format!("`{name}` is {count}: expected 1 to {MOST}"));
        }
        let numbers = [
            ("prompt_weight", self.prompt_weight, 0.0..=1.0),
            ("learning_rate", self.learning_rate, f64::MIN_POSITIVE..=1.0),
            ("max_grad_norm", self.max_grad_norm, 0.0..=f64::MAX),
            ("adamw.beta1", adamw.beta1, 0.0..=1.0 - f64::EPSILON),
            ("adamw.beta2", adamw.beta2, 0.0..=1.0 - f64::EPSILON),
            ("adamw.epsilon", adamw.epsilon, f64::MIN_POSITIVE..=1.0),
            ("adamw.weight_decay", adamw.weight_decay, 0.0..=1.0),
        ];
        if let Some((name, number, range)) =
            numbers.into_iter().find(|(_, number, range)| !range.contains(number))
        {
            return Some(format!("`{name}` is {number}: expected {:e} to {:e}", range.start(), range.end()));
        }
        let (width, heads, keys) = (model.hidden_size, model.n_heads, model.n_kv_heads);
        if width % heads != 0 || width / heads % 2 != 0 || heads % keys != 0 {
            return Some(format!(
                "{width} channels cannot be shared by {heads} heads with {keys} for keys and values: expected an even \
                 number of channels a head, and a multiple of `model.n_kv_heads`"
            ));
        }
        if self.n_warmup >= self.n_steps {
            return Some(format!("`n_warmup` is {}: expected less than `n_steps`", self.n_warmup));
        }
        self.mix.problem()
    }

    /// The network, for a vocabulary of this many tokens.
    pub(super) fn config(&self, vocab_size: usize, eos: u32) -> LmConfig {
        let ModelSizes { hidden_size, intermediate_size, n_layers, n_heads, n_kv_heads, max_positions } =
            self.model;
        LmConfig {
            family: Family::Qwen2,
            vocab_size,
            hidden_size,
            intermediate_size,
            n_layers,
            n_heads,
            n_kv_heads,
            head_dim: hidden_size / n_heads,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            tie_word_embeddings: true,
            qkv_bias: true,
            output_bias: false,
            mlp_bias: false,
            max_positions,
            initializer_range: 0.02,
            eos_token_ids: vec![eos],
            bos_token_id: None,
        }
    }

    pub(super) fn learner(&self) -> LearnerConfig {
        LearnerConfig {
            adamw: self.adamw,
            max_grad_norm: self.max_grad_norm,
            micro_batch_tokens: MICRO_BATCH_TOKENS,
            recompute: false,
            tile_mib: TILE_MIB,
        }
    }

    pub(super) fn training(&self) -> TrainingConfig {
        TrainingConfig {
            n_steps: self.n_steps,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            n_warmup: self.n_warmup,
            evaluate_every: self.evaluate_every,
            measure_every: 0,
            checkpoint_every: self.checkpoint_every,
            show_every: 0,
            kl_budget: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recipe_can_be_read_and_changed() {
        let recipe =
            PretrainRecipe::load(None, &["n_steps=300".to_owned(), "mix.math=1.0".to_owned()]).unwrap();
        assert_eq!((recipe.n_steps, recipe.mix.math), (300, 1.0));
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (assignment, name) in [
            ("n_steps=0", "n_steps"),
            ("learning_rate=nan", "learning_rate"),
            ("adamw.beta2=1.0", "adamw.beta2"),
            ("model.n_heads=3", "3 heads"),
            ("mix.math=-1.0", "Math"),
            ("n_warmup=9999", "n_warmup"),
        ] {
            let message = PretrainRecipe::load(None, &[assignment.to_owned()]).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
