//! One layer: attention over the tokens before, then a gated network on each token.

use burn::module::Module;
use burn::tensor::Tensor;
use razor_tensor::{KvSlots, RotaryAngles, causal_attention, rotate_halves, sum, swiglu};

use crate::decoder::projection::{Projection, RmsNorm};
use crate::decoder::{KvCache, Tap};

/// Self-attention with grouped queries.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[H * C, D]`
    pub q_proj: Projection,
    /// `[K * C, D]`
    pub k_proj: Projection,
    /// `[K * C, D]`
    pub v_proj: Projection,
    /// `[D, H * C]`
    pub o_proj: Projection,
    /// C
    pub head_dim: usize,
}

/// The gated network on each token.
#[derive(Module, Debug)]
pub struct GatedMlp {
    /// `[I, D]`
    pub gate_proj: Projection,
    /// `[I, D]`
    pub up_proj: Projection,
    /// `[D, I]`
    pub down_proj: Projection,
}

/// One layer of a decoder.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Attention.
    pub self_attn: SelfAttention,
    /// Gated network.
    pub mlp: GatedMlp,
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Before the gated network.
    pub post_attention_layernorm: RmsNorm,
}

/// What all layers share in one forward pass.
pub(crate) struct Pass<'a> {
    pub(crate) angles: RotaryAngles,
    /// B and T.
    pub(crate) dims: [usize; 2],
    /// First slot of each row that is not padding.
    pub(crate) first: &'a [usize],
    pub(crate) cache: Option<&'a mut KvCache>,
}

impl DecoderLayer {
    /// `[N, D]` to `[N, D]` with N = B * T.
    pub(crate) fn forward(
        &self,
        rows: Tensor<2>,
        layer_idx: usize,
        pass: &mut Pass<'_>,
        tap: &mut impl Tap,
    ) -> Tensor<2> {
        let normed = self.input_layernorm.forward(rows.clone());
        let rows = sum(rows, self.self_attn.forward(normed, layer_idx, pass, tap));
        let normed = self.post_attention_layernorm.forward(rows.clone());
        sum(rows, self.mlp.forward(normed))
    }
}

impl SelfAttention {
    fn forward(
        &self,
        rows: Tensor<2>,
        layer_idx: usize,
        pass: &mut Pass<'_>,
        tap: &mut impl Tap,
    ) -> Tensor<2> {
        let [n, _] = rows.dims();
        let [n_rows, width] = pass.dims;
        let channels = self.head_dim;
        let split = |rows: Tensor<2>| -> Tensor<3> {
            let heads = rows.dims()[1] / channels;
            rows.reshape([n, heads, channels]) // [N, heads, C]
        };
        let in_rows = |heads: Tensor<3>| -> Tensor<4> {
            let n_heads = heads.dims()[1];
            heads.reshape([n_rows, width, n_heads, channels]) // [B, T, heads, C]
        };
        let queries = in_rows(rotate_halves(split(self.q_proj.forward(rows.clone())), &pass.angles));
        let keys = in_rows(rotate_halves(split(self.k_proj.forward(rows.clone())), &pass.angles));
        let values = in_rows(split(self.v_proj.forward(rows)));
        let (keys, values, n_filled) = match &mut pass.cache {
            Some(cache) => cache.append(layer_idx, keys, values),
            None => (keys, values, width),
        };
        let slots = KvSlots { n_filled, first: pass.first };
        let heads = tap.heads(layer_idx, causal_attention(queries, keys, values, slots)); // [B, T, H, C]
        let concatenated = heads.dims()[2] * channels;
        self.o_proj.forward(heads.reshape([n, concatenated]))
    }
}

impl GatedMlp {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        let gate = self.gate_proj.forward(rows.clone()); // [N, I]
        let up = self.up_proj.forward(rows); // [N, I]
        self.down_proj.forward(swiglu(gate, up))
    }
}
