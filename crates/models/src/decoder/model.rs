//! The whole decoder.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use razor_tensor::{RotaryAngles, linear};

use crate::decoder::layer::{DecoderLayer, Pass};
use crate::decoder::projection::{Projection, RmsNorm};
use crate::decoder::{KvCache, Tap, TokenRows};
use crate::lm_config::LmConfig;

/// Everything below the head.
#[derive(Module, Debug)]
pub struct DecoderStack {
    /// `[V, D]`
    pub embed_tokens: Projection,
    /// First to last.
    pub layers: Vec<DecoderLayer>,
    /// After the last layer.
    pub norm: RmsNorm,
}

/// A causal language model of the Qwen2 or Llama family. Fields are named as in the checkpoint.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Everything below the head.
    pub model: DecoderStack,
    /// `[V, D]`; `None` when the embedding is the head.
    pub lm_head: Option<Projection>,
    #[module(skip)]
    config: LmConfig,
    #[module(skip)]
    compute: DType,
}

/// One parameter, as its rank has it.
#[derive(Debug, Clone, Copy)]
pub enum ParameterRef<'a> {
    /// A weight matrix.
    Matrix(&'a Param<Tensor<2>>),
    /// A bias or the scale of a norm.
    Vector(&'a Param<Tensor<1>>),
}

impl Decoder {
    pub(crate) fn new(
        model: DecoderStack,
        lm_head: Option<Projection>,
        config: LmConfig,
        compute: DType,
    ) -> Self {
        Self { model, lm_head, config, compute }
    }

    /// What the decoder was made from.
    pub fn config(&self) -> &LmConfig {
        &self.config
    }

    /// Type of the activations.
    pub fn compute(&self) -> DType {
        self.compute
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.model.norm.weight.val().device()
    }

    /// The last hidden state of every token, after the final norm: what the head turns into logits.
    ///
    /// With a cache the rows continue what it holds: the first pass over it decides the left padding, and later ones
    /// have none of their own. Position 0 is the first token after the padding.
    ///
    /// # Shapes
    /// - `tokens`: `[B, T]`
    /// - returns: `[B, T, D]`; rows of padding mean nothing
    ///
    /// # Panics
    /// When an id is not in the vocabulary, or the cache belongs to other rows or is full.
    pub fn forward(&self, tokens: &TokenRows, cache: Option<&mut KvCache>, tap: &mut impl Tap) -> Tensor<3> {
        let dims @ [n_rows, width] = [tokens.n_rows(), tokens.width()];
        let hidden_size = self.config.hidden_size;
        let (filled, first) = match &cache {
            Some(cache) => (cache.filled(), cache.first().to_vec()),
            None => (0, tokens.left_padding().to_vec()),
        };
        assert_eq!(first.len(), n_rows, "the cache holds {} rows, the tokens are {n_rows}", first.len());
        let positions: Vec<usize> = first
            .iter()
            .flat_map(|&first| (filled..filled + width).map(move |slot| slot.saturating_sub(first)))
            .collect();
        let device = self.device();
        let angles = RotaryAngles::new(&positions, &self.config.inv_frequencies(), &device);
        let mut pass = Pass { angles, dims, first: &first, cache };
        let mut rows = self.embed(tokens.ids(), &device); // [N, D]
        let in_batch = |rows: Tensor<2>| -> Tensor<3> { rows.reshape([n_rows, width, hidden_size]) };
        let in_rows = |hidden: Tensor<3>| -> Tensor<2> { hidden.reshape([n_rows * width, hidden_size]) };
        for (layer_idx, layer) in self.model.layers.iter().enumerate() {
            rows = in_rows(tap.hidden(layer_idx, in_batch(rows)));
            rows = layer.forward(rows, layer_idx, &mut pass, tap);
        }
        rows = in_rows(tap.hidden(self.model.layers.len(), in_batch(rows)));
        in_batch(self.model.norm.forward(rows))
    }

    pub(super) fn embed(&self, ids: &[u32], device: &Device) -> Tensor<2> {
        let vocab_size = self.config.vocab_size;
        let unknown = ids.iter().find(|&&id| id as usize >= vocab_size);
        assert!(unknown.is_none(), "token {unknown:?} is not in a vocabulary of {vocab_size}");
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let n = ids.len();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), device);
        self.model.embed_tokens.weight.val().select(0, ids).cast(self.compute) // [N, D]
    }

    /// The matrix that turns hidden states into logits.
    ///
    /// # Shapes
    /// - returns: `[V, D]`
    pub fn head(&self) -> Tensor<2> {
        self.lm_head.as_ref().unwrap_or(&self.model.embed_tokens).weight.val()
    }

    /// What gradients of the head are kept under: those of the embedding where it is the head.
    pub fn head_parameter(&self) -> ParamId {
        self.lm_head.as_ref().unwrap_or(&self.model.embed_tokens).weight.id
    }

    /// Logits of hidden states. Over many rows and a large vocabulary this is the largest tensor of all: scoring goes by
    /// tiles instead.
    ///
    /// # Shapes
    /// - `hidden`: `[N, D]`
    /// - returns: `[N, V]`, unnormalized
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        linear(hidden, self.head(), None)
    }

    /// Every parameter with its name in the checkpoint, in the order of [`LmConfig::tensors`].
    pub fn parameters(&self) -> Vec<(String, ParameterRef<'_>)> {
        let mut list = Vec::new();
        projection("model.embed_tokens", &self.model.embed_tokens, &mut list);
        for (idx, layer) in self.model.layers.iter().enumerate() {
            let at = |part: &str| format!("model.layers.{idx}.{part}");
            projection(&at("self_attn.q_proj"), &layer.self_attn.q_proj, &mut list);
            projection(&at("self_attn.k_proj"), &layer.self_attn.k_proj, &mut list);
            projection(&at("self_attn.v_proj"), &layer.self_attn.v_proj, &mut list);
            projection(&at("self_attn.o_proj"), &layer.self_attn.o_proj, &mut list);
            projection(&at("mlp.gate_proj"), &layer.mlp.gate_proj, &mut list);
            projection(&at("mlp.up_proj"), &layer.mlp.up_proj, &mut list);
            projection(&at("mlp.down_proj"), &layer.mlp.down_proj, &mut list);
            norm(&at("input_layernorm"), &layer.input_layernorm, &mut list);
            norm(&at("post_attention_layernorm"), &layer.post_attention_layernorm, &mut list);
        }
        norm("model.norm", &self.model.norm, &mut list);
        if let Some(head) = &self.lm_head {
            projection("lm_head", head, &mut list);
        }
        list
    }
}

fn projection<'a>(name: &str, layer: &'a Projection, list: &mut Vec<(String, ParameterRef<'a>)>) {
    list.push((format!("{name}.weight"), ParameterRef::Matrix(&layer.weight)));
    if let Some(bias) = &layer.bias {
        list.push((format!("{name}.bias"), ParameterRef::Vector(bias)));
    }
}

fn norm<'a>(name: &str, layer: &'a RmsNorm, list: &mut Vec<(String, ParameterRef<'a>)>) {
    list.push((format!("{name}.weight"), ParameterRef::Vector(&layer.weight)));
}
