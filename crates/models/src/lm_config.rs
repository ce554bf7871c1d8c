//! What a `config.json` in Hugging Face's layout says of a decoder.
//!
//! A field that changes the mathematics is honoured or refused by its name, never passed over. Names that are known to
//! be harmless are skipped; a name that is not known is skipped too unless it holds a word such as `multiplier` or
//! `window` and a value that is not null, false, zero or empty. Defaults are those of transformers 5.23 (and 4).

use std::path::Path;

use serde_json::{Value, json};

use crate::config_fields::{Fields, parse_object};
use crate::error::ModelError;
use crate::lm_fields::check_other_fields;
use crate::rope_config::{RopeScaling, inv_frequencies, parse_rope};
use crate::strict_json::shown;

/// The two families of decoders that are built here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Llama 1 to 3.
    Llama,
}

/// Sizes and constants of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LmConfig {
    /// Which decoder.
    pub family: Family,
    /// Rows of the embedding (V); may be above the number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream (D).
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub n_layers: usize,
    /// Query heads (H); a multiple of `n_kv_heads`.
    pub n_heads: usize,
    /// Key and value heads (K).
    pub n_kv_heads: usize,
    /// Channels of a head (C); even. Not always `hidden_size / n_heads`.
    pub head_dim: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How those are stretched.
    pub rope_scaling: RopeScaling,
    /// The output layer is the embedding.
    pub tie_word_embeddings: bool,
    /// `q_proj`, `k_proj` and `v_proj` have a bias.
    pub qkv_bias: bool,
    /// `o_proj` has a bias.
    pub output_bias: bool,
    /// `gate_proj`, `up_proj` and `down_proj` have a bias.
    pub mlp_bias: bool,
    /// Longest sequence, tokens.
    pub max_positions: usize,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Tokens that end a completion; may be empty.
    pub eos_token_ids: Vec<u32>,
    /// Token that starts a text, if any.
    pub bos_token_id: Option<u32>,
}

/// Name and shape of one tensor of a checkpoint; a linear weight is `[out, in]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the checkpoint: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Shape in the checkpoint.
    pub shape: Vec<usize>,
}

impl LmConfig {
    /// Reads `config.json` of a model folder, and adds the end tokens that only `generation_config.json` names.
    ///
    /// # Errors
    /// As [`LmConfig::parse`]; [`ModelError::Read`] when a file cannot be read.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })
        };
        let path = folder.join("config.json");
        let mut config = Self::parse(&path, &read(&path)?)?;
        let path = folder.join("generation_config.json");
        if path.exists() {
            let object = parse_object(&path, &read(&path)?)?;
            let more = Fields::new(&path, &object).token_ids("eos_token_id")?.unwrap_or_default();
            for id in more {
                if !config.eos_token_ids.contains(&id) {
                    config.eos_token_ids.push(id);
                }
            }
            config.check(&path)?;
        }
        Ok(config)
    }

    /// Reads the text of a `config.json`; `path` only names the file in errors.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the text is not JSON, repeats a key, lacks a size, holds an absurd number, or asks
    /// for mathematics that the decoders here do not have.
    pub fn parse(path: &Path, json: &str) -> Result<Self, ModelError> {
        let object = parse_object(path, json)?;
        let fields = Fields::new(path, &object);
        let family = parse_family(&fields)?;
        check_other_fields(&fields, family)?;
        let (n_heads, hidden_size) =
            (fields.required_size("num_attention_heads")?, fields.required_size("hidden_size")?);
        let attention_bias = fields.flag("attention_bias")?;
        let max_positions = match family {
            Family::Qwen2 => fields.size("max_position_embeddings")?.unwrap_or(32_768),
            Family::Llama => fields.size("max_position_embeddings")?.unwrap_or(2_048),
        };
        let (rope_theta, rope_scaling) = parse_rope(&fields, max_positions)?;
        let config = Self {
            family,
            vocab_size: fields.required_size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.required_size("intermediate_size")?,
            n_layers: fields.required_size("num_hidden_layers")?,
            n_heads,
            n_kv_heads: n_kv_heads(&fields, family, n_heads)?,
            head_dim: head_dim(&fields, hidden_size, n_heads)?,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: family == Family::Qwen2 || attention_bias == Some(true),
            output_bias: family == Family::Llama && attention_bias == Some(true),
            mlp_bias: fields.flag("mlp_bias")?.unwrap_or(false),
            max_positions,
            initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
            eos_token_ids: default_token(&fields, family, "eos_token_id", 2)?,
            bos_token_id: default_token(&fields, family, "bos_token_id", 1)?.first().copied(),
        };
        config.check(path)?;
        Ok(config)
    }

    /// Refuses sizes that no decoder has or that contradict each other; `path` only names the file.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ModelError> {
        match self.problem() {
            Some(message) => Err(ModelError::Config { path: path.to_owned(), message }),
            None => Ok(()),
        }
    }

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("intermediate_size", self.intermediate_size, 1 << 20),
            ("num_hidden_layers", self.n_layers, 1 << 10),
            ("num_attention_heads", self.n_heads, 1 << 10),
            ("num_key_value_heads", self.n_kv_heads, 1 << 10),
            ("head_dim", self.head_dim, 1 << 12),
            ("max_position_embeddings", self.max_positions, 1 << 28),
        ];
        if let Some((name, found, most)) =
            sizes.into_iter().find(|(_, found, most)| !(1..=*most).contains(found))
        {
            return Some(format!("`{name}` is {found}, expected 1 to {most}"));
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let (heads, groups) = (self.n_heads, self.n_kv_heads);
            return Some(format!(
                "`num_attention_heads` {heads} is not a multiple of `num_key_value_heads` {groups}"
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Some(format!(
                "`head_dim` is {}, expected an even number: pairs are rotated",
                self.head_dim
            ));
        }
        let range = |name: &str, found: f64, low: f64, high: f64| {
            let outside = !(found >= low && found <= high);
            outside.then(|| format!("`{name}` is {found}, expected {low} to {high}"))
        };
        range("rms_norm_eps", self.rms_norm_eps, 0.0, 1.0)
            .or_else(|| range("rope_theta", self.rope_theta, 1.0, 1e15))
            .or_else(|| range("initializer_range", self.initializer_range, 0.0, 1.0))
            .or_else(|| self.rope_scaling.problem())
            .or_else(|| self.token_problem())
    }

    fn token_problem(&self) -> Option<String> {
        let ids = self.bos_token_id.iter().map(|id| ("bos_token_id", *id));
        let mut ids = ids.chain(self.eos_token_ids.iter().map(|id| ("eos_token_id", *id)));
        let (name, id) = ids.find(|(_, id)| *id as usize >= self.vocab_size)?;
        Some(format!("`{name}` is {id}, expected less than `vocab_size` {}", self.vocab_size))
    }

    /// A `config.json` from which transformers builds the same mathematics.
    ///
    /// # Panics
    /// When the family has no field for these biases: Qwen2 has them on q, k, v only, Llama on all four or none.
    pub fn to_json(&self) -> Value {
        let (model_type, architecture) = self.family.names();
        let sayable = match self.family {
            Family::Qwen2 => self.qkv_bias && !self.output_bias && !self.mlp_bias,
            Family::Llama => self.qkv_bias == self.output_bias,
        };
        assert!(sayable, "{:?} has no field for these biases: {self:?}", self.family);
        let mut object = json!({
            "architectures": [architecture],
            "attention_dropout": 0.0,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": token_value(&self.eos_token_ids),
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_positions,
            "model_type": model_type,
            "num_attention_heads": self.n_heads,
            "num_hidden_layers": self.n_layers,
            "num_key_value_heads": self.n_kv_heads,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": self.rope_scaling.to_json(),
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        let own = match self.family {
            Family::Qwen2 => vec![("use_sliding_window", false)],
            Family::Llama => vec![("attention_bias", self.qkv_bias), ("mlp_bias", self.mlp_bias)],
        };
        for (name, flag) in own {
            object[name] = Value::Bool(flag);
        }
        object
    }

    /// Every tensor of a checkpoint: embedding, layers in order, final norm, and `lm_head` unless it is the embedding.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut specs = vec![spec("model.embed_tokens.weight", &[self.vocab_size, self.hidden_size])];
        for layer_idx in 0..self.n_layers {
            self.push_layer(layer_idx, &mut specs);
        }
        specs.push(spec("model.norm.weight", &[self.hidden_size]));
        if !self.tie_word_embeddings {
            specs.push(spec("lm_head.weight", &[self.vocab_size, self.hidden_size]));
        }
        specs
    }

    fn push_layer(&self, layer_idx: usize, specs: &mut Vec<TensorSpec>) {
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        let (queries, keys) = (self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim);
        let projections = [
            ("self_attn.q_proj", queries, width, self.qkv_bias),
            ("self_attn.k_proj", keys, width, self.qkv_bias),
            ("self_attn.v_proj", keys, width, self.qkv_bias),
            ("self_attn.o_proj", width, queries, self.output_bias),
            ("mlp.gate_proj", inner, width, self.mlp_bias),
            ("mlp.up_proj", inner, width, self.mlp_bias),
            ("mlp.down_proj", width, inner, self.mlp_bias),
        ];
        for (name, n_out, n_in, has_bias) in projections {
            specs.push(spec(&format!("model.layers.{layer_idx}.{name}.weight"), &[n_out, n_in]));
            if has_bias {
                specs.push(spec(&format!("model.layers.{layer_idx}.{name}.bias"), &[n_out]));
            }
        }
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            specs.push(spec(&format!("model.layers.{layer_idx}.{norm}.weight"), &[width]));
        }
    }

    /// Trained numbers; a tied output layer is not counted twice.
    pub fn n_parameters(&self) -> usize {
        self.tensors().iter().map(|spec| spec.shape.iter().product::<usize>()).sum()
    }

    /// Rotations in radians a position of the `head_dim / 2` pairs, stretched as `rope_scaling` says.
    pub fn inv_frequencies(&self) -> Vec<f32> {
        inv_frequencies(self.head_dim, self.rope_theta, self.rope_scaling)
    }
}

impl Family {
    /// `model_type` and the class in `architectures`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
            Self::Llama => ("llama", "LlamaForCausalLM"),
        }
    }
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}

fn parse_family(fields: &Fields<'_>) -> Result<Family, ModelError> {
    let family = match fields.text("model_type")? {
        Some("qwen2") => Family::Qwen2,
        Some("llama") => Family::Llama,
        Some(other) => {
            return Err(fields.error(format!("`model_type` is `{}`, expected qwen2 or llama", shown(other))));
        }
        None => return Err(fields.error("`model_type` is missing, expected qwen2 or llama".to_owned())),
    };
    let architecture = family.names().1;
    match fields.value("architectures") {
        None => Ok(family),
        Some(found) if *found == json!([architecture]) => Ok(family),
        Some(found) => {
            let found = shown(&found.to_string());
            Err(fields.error(format!("`architectures` is {found}, expected [\"{architecture}\"]")))
        }
    }
}

fn n_kv_heads(fields: &Fields<'_>, family: Family, n_heads: usize) -> Result<usize, ModelError> {
    // Absent and null differ in transformers for Qwen2: 32 and the number of heads.
    if family == Family::Qwen2 && !fields.has("num_key_value_heads") {
        return Err(fields.error("`num_key_value_heads` is missing".to_owned()));
    }
    Ok(fields.size("num_key_value_heads")?.unwrap_or(n_heads))
}

fn head_dim(fields: &Fields<'_>, hidden_size: usize, n_heads: usize) -> Result<usize, ModelError> {
    match fields.size("head_dim")? {
        Some(head_dim) => Ok(head_dim),
        None if n_heads > 0 && hidden_size.is_multiple_of(n_heads) => Ok(hidden_size / n_heads),
        None => {
            let sizes =
                format!("`hidden_size` {hidden_size} is not a multiple of `num_attention_heads` {n_heads}");
            Err(fields.error(format!("{sizes}, and there is no `head_dim`")))
        }
    }
}

/// Transformers gives Llama start and end tokens when the file has no such field; null means none.
fn default_token(
    fields: &Fields<'_>,
    family: Family,
    name: &str,
    llama: u32,
) -> Result<Vec<u32>, ModelError> {
    match fields.token_ids(name)? {
        Some(ids) => Ok(ids),
        None if family == Family::Llama && !fields.has(name) => Ok(vec![llama]),
        None => Ok(Vec::new()),
    }
}

fn token_value(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}
