//! A decoder from its weights, tensor by tensor.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::checkpoint::{HostData, HostTensor};
use crate::decoder::Decoder;
use crate::decoder::layer::{DecoderLayer, GatedMlp, SelfAttention};
use crate::decoder::model::DecoderStack;
use crate::decoder::projection::{Projection, RmsNorm};
use crate::lm_config::{LmConfig, TensorSpec};

impl Decoder {
    /// A decoder from a source that is asked for one tensor at a time, in the order of [`LmConfig::tensors`].
    ///
    /// A tensor is handed to the device before the next one is asked for, so the memory needed is that of the model and
    /// one tensor. Activations are computed in `compute`: f32 on the CPU, whatever the weights are stored in.
    ///
    /// # Errors
    /// The source's.
    ///
    /// # Panics
    /// When the source hands out another shape than it was asked for.
    pub fn build<E>(
        config: &LmConfig,
        compute: DType,
        device: &Device,
        read: impl FnMut(&TensorSpec) -> Result<HostTensor, E>,
    ) -> Result<Self, E> {
        let mut builder = Builder { config, device, read };
        let (d, vocab) = (config.hidden_size, config.vocab_size);
        let embed_tokens = builder.projection("model.embed_tokens", [vocab, d], false)?;
        let layers = (0..config.n_layers).map(|idx| builder.layer(idx)).collect::<Result<_, _>>()?;
        let norm = builder.norm("model.norm")?;
        let lm_head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.projection("lm_head", [vocab, d], false)?),
        };
        let model = DecoderStack { embed_tokens, layers, norm };
        Ok(Self::new(model, lm_head, config.clone(), compute))
    }
}

struct Builder<'a, F> {
    config: &'a LmConfig,
    device: &'a Device,
    read: F,
}

impl<E, F: FnMut(&TensorSpec) -> Result<HostTensor, E>> Builder<'_, F> {
    fn layer(&mut self, idx: usize) -> Result<DecoderLayer, E> {
        let config = self.config;
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
        let at = |part: &str| format!("model.layers.{idx}.{part}");
        Ok(DecoderLayer {
            self_attn: SelfAttention {
                q_proj: self.projection(&at("self_attn.q_proj"), [queries, d], config.qkv_bias)?,
                k_proj: self.projection(&at("self_attn.k_proj"), [keys, d], config.qkv_bias)?,
                v_proj: self.projection(&at("self_attn.v_proj"), [keys, d], config.qkv_bias)?,
                o_proj: self.projection(&at("self_attn.o_proj"), [d, queries], config.output_bias)?,
                head_dim: config.head_dim,
            },
            mlp: GatedMlp {
                gate_proj: self.projection(&at("mlp.gate_proj"), [inner, d], config.mlp_bias)?,
                up_proj: self.projection(&at("mlp.up_proj"), [inner, d], config.mlp_bias)?,
                down_proj: self.projection(&at("mlp.down_proj"), [d, inner], config.mlp_bias)?,
            },
            input_layernorm: self.norm(&at("input_layernorm"))?,
            post_attention_layernorm: self.norm(&at("post_attention_layernorm"))?,
        })
    }

    fn projection(&mut self, name: &str, shape: [usize; 2], has_bias: bool) -> Result<Projection, E> {
        let weight = self.param(format!("{name}.weight"), shape)?;
        let bias = match has_bias {
            true => Some(self.param(format!("{name}.bias"), [shape[0]])?),
            false => None,
        };
        Ok(Projection { weight, bias, lora: None })
    }

    fn norm(&mut self, name: &str) -> Result<RmsNorm, E> {
        let weight = self.param(format!("{name}.weight"), [self.config.hidden_size])?;
        Ok(RmsNorm { weight, epsilon: self.config.rms_norm_eps })
    }

    fn param<const D: usize>(&mut self, name: String, shape: [usize; D]) -> Result<Param<Tensor<D>>, E> {
        let spec = TensorSpec { name, shape: shape.to_vec() };
        let tensor = (self.read)(&spec)?;
        assert_eq!(tensor.shape, spec.shape, "the source of `{}` hands out another shape", spec.name);
        let (data, dtype) = match tensor.data {
            HostData::F32(numbers) => (TensorData::new(numbers, shape), DType::F32),
            HostData::Bf16(numbers) => (TensorData::new(numbers, shape), DType::BF16),
        };
        Ok(Param::from_tensor(Tensor::from_data(data, (self.device, dtype))))
    }
}
