//! Forward and backward passes by hand, over packed sequences.
//!
//! No autodiff graph: what backward needs is kept in [`Activations`], so its memory is known before a run, a layer can be
//! computed again instead of kept, and frozen weights cost no product. Equal to transformers' gradients (golden test).

use burn::tensor::{DType, Int, Tensor, TensorData};
use razor_tensor::{
    AttentionSums, RotaryAngles, embedding_gradient, packed_attention, packed_attention_backward,
    rotate_halves, sum, swiglu, swiglu_backward,
};

use crate::decoder::gradients::Gradients;
use crate::decoder::layer::{DecoderLayer, GatedMlp, SelfAttention};
use crate::decoder::{Decoder, PackedTokens};

/// What is kept of a forward pass for the backward pass.
#[derive(Debug)]
pub struct Activations {
    tokens: PackedTokens,
    angles: RotaryAngles,
    layers: Vec<LayerActivations>,
    /// Rows of N that were asked for, `[M]`.
    rows: Tensor<1, Int>,
    /// Before the final norm, `[M, D]`.
    last: Tensor<2>,
}

/// What one layer keeps.
#[derive(Debug)]
struct LayerActivations {
    /// The residual stream before it, `[N, D]`.
    input: Tensor<2>,
    /// The rest, or nothing where the layer is computed again.
    inner: Option<Inner>,
}

#[derive(Debug)]
struct Inner {
    attention: AttentionActivations,
    /// The residual stream after attention, `[N, D]`.
    middle: Tensor<2>,
    gate: Tensor<2>,
    up: Tensor<2>,
}

#[derive(Debug)]
struct AttentionActivations {
    queries: Tensor<3>,
    keys: Tensor<3>,
    values: Tensor<3>,
    heads: Tensor<3>,
    sums: AttentionSums,
}

impl Decoder {
    /// The final hidden states of some tokens of packed sequences, after the final norm.
    ///
    /// # Shapes
    /// - `rows`: `[M]`, each below N
    /// - returns: `[M, D]`
    ///
    /// # Panics
    /// When an id is not in the vocabulary, or a row not among the tokens.
    pub fn forward_packed(&self, tokens: &PackedTokens, rows: &[usize]) -> Tensor<2> {
        let angles = self.packed_angles(tokens);
        let mut stream = self.embed(tokens.ids(), &self.device()); // [N, D]
        for layer in &self.model.layers {
            stream = layer.forward_packed(stream, &angles, tokens.ends()).0;
        }
        self.model.norm.forward(stream.select(0, self.row_indices(tokens, rows)))
    }

    /// As [`forward_packed`](Self::forward_packed), keeping what [`backward`](Self::backward) needs.
    ///
    /// With `recompute` only the residual stream between layers is kept, `layers · N · D` numbers instead of about
    /// `layers · N · (2 D + 2 H C + 2 K C + 2 I)`, for one more forward pass.
    pub fn forward_for_training(
        &self,
        tokens: PackedTokens,
        rows: &[usize],
        recompute: bool,
    ) -> (Tensor<2>, Activations) {
        let angles = self.packed_angles(&tokens);
        let mut stream = self.embed(tokens.ids(), &self.device()); // [N, D]
        let mut layers = Vec::with_capacity(self.model.layers.len());
        for layer in &self.model.layers {
            let input = stream.clone();
            let (output, inner) = layer.forward_packed(stream, &angles, tokens.ends());
            stream = output;
            layers.push(LayerActivations { input, inner: (!recompute).then_some(inner) });
        }
        let rows = self.row_indices(&tokens, rows);
        let last = stream.select(0, rows.clone()); // [M, D]
        let hidden = self.model.norm.forward(last.clone());
        (hidden, Activations { tokens, angles, layers, rows, last })
    }

    /// Adds the gradients of all trained parameters below the head.
    ///
    /// # Shapes
    /// - `d_hidden`: gradient of what [`forward_for_training`](Self::forward_for_training) returned, `[M, D]`
    pub fn backward(&self, activations: Activations, d_hidden: Tensor<2>, gradients: &mut Gradients) {
        let Activations { tokens, angles, layers, rows, last } = activations;
        let d_last = self.model.norm.backward(d_hidden.cast(last.dtype()), &last, gradients);
        let n = tokens.ids().len();
        let zeros = Tensor::zeros([n, self.config().hidden_size], (&self.device(), d_last.dtype()));
        let mut d_stream: Tensor<2> =
            zeros.select_assign(0, rows, d_last, burn::tensor::IndexingUpdateOp::Add); // [N, D]
        for (layer, kept) in self.model.layers.iter().zip(layers).rev() {
            let inner = match kept.inner {
                Some(inner) => inner,
                None => layer.forward_packed(kept.input.clone(), &angles, tokens.ends()).1,
            };
            d_stream = layer.backward(d_stream, &kept.input, inner, &angles, tokens.ends(), gradients);
        }
        let table = &self.model.embed_tokens.weight;
        if gradients.wants(table.id) {
            let sum = gradients.take(table.id);
            let sum = sum.unwrap_or_else(|| Tensor::zeros(table.val().dims(), (&self.device(), DType::F32)));
            gradients.put(table.id, embedding_gradient(sum, tokens.ids(), &d_stream));
        }
    }

    fn packed_angles(&self, tokens: &PackedTokens) -> RotaryAngles {
        RotaryAngles::new(&tokens.positions(), &self.config().inv_frequencies(), &self.device())
    }

    fn row_indices(&self, tokens: &PackedTokens, rows: &[usize]) -> Tensor<1, Int> {
        let n = tokens.ids().len();
        assert!(rows.iter().all(|&row| row < n), "every row is one of {n} tokens");
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let n_rows = rows.len();
        Tensor::from_data(TensorData::new(rows, [n_rows]), &self.device())
    }
}

impl DecoderLayer {
    fn forward_packed(&self, input: Tensor<2>, angles: &RotaryAngles, ends: &[usize]) -> (Tensor<2>, Inner) {
        let normed = self.input_layernorm.forward(input.clone());
        let (attended, attention) = self.self_attn.forward_packed(normed, angles, ends);
        let middle = sum(attended, input);
        let normed = self.post_attention_layernorm.forward(middle.clone());
        let gate = self.mlp.gate_proj.forward(normed.clone()); // [N, I]
        let up = self.mlp.up_proj.forward(normed); // [N, I]
        let output = sum(self.mlp.down_proj.forward(swiglu(gate.clone(), up.clone())), middle.clone());
        (output, Inner { attention, middle, gate, up })
    }

    fn backward(
        &self,
        d_output: Tensor<2>,
        input: &Tensor<2>,
        inner: Inner,
        angles: &RotaryAngles,
        ends: &[usize],
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let Inner { attention, middle, gate, up } = inner;
        let normed = self.post_attention_layernorm.forward(middle.clone());
        let d_normed = self.mlp.backward(d_output.clone(), &normed, (gate, up), gradients);
        let d_middle = sum(d_output, self.post_attention_layernorm.backward(d_normed, &middle, gradients));
        let normed = self.input_layernorm.forward(input.clone());
        let d_normed = self.self_attn.backward(d_middle.clone(), &normed, attention, angles, ends, gradients);
        sum(d_middle, self.input_layernorm.backward(d_normed, input, gradients))
    }
}

impl GatedMlp {
    fn backward(
        &self,
        d_out: Tensor<2>,
        rows: &Tensor<2>,
        (gate, up): (Tensor<2>, Tensor<2>),
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let gated = swiglu(gate.clone(), up.clone()); // [N, I]
        let d_gated = self.down_proj.backward(d_out, &gated, gradients);
        drop(gated);
        let (d_gate, d_up) = swiglu_backward(&gate, &up, d_gated);
        drop((gate, up));
        sum(self.gate_proj.backward(d_gate, rows, gradients), self.up_proj.backward(d_up, rows, gradients))
    }
}

impl SelfAttention {
    fn forward_packed(
        &self,
        rows: Tensor<2>,
        angles: &RotaryAngles,
        ends: &[usize],
    ) -> (Tensor<2>, AttentionActivations) {
        let queries = rotate_halves(self.in_heads(self.q_proj.forward(rows.clone())), angles);
        let keys = rotate_halves(self.in_heads(self.k_proj.forward(rows.clone())), angles);
        let values = self.in_heads(self.v_proj.forward(rows));
        let (heads, sums) = packed_attention(&queries, &keys, &values, ends); // [N, H, C]
        let out = self.o_proj.forward(in_rows(heads.clone()));
        (out, AttentionActivations { queries, keys, values, heads, sums })
    }

    fn backward(
        &self,
        d_out: Tensor<2>,
        rows: &Tensor<2>,
        kept: AttentionActivations,
        angles: &RotaryAngles,
        ends: &[usize],
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let AttentionActivations { queries, keys, values, heads, sums } = kept;
        let d_heads = self.o_proj.backward(d_out, &in_rows(heads.clone()), gradients);
        let d_heads = self.in_heads(d_heads);
        let (d_queries, d_keys, d_values) =
            packed_attention_backward(&queries, &keys, &values, &heads, &sums, ends, d_heads);
        let back = angles.reversed();
        let d_queries = in_rows(rotate_halves(d_queries, &back));
        let d_keys = in_rows(rotate_halves(d_keys, &back));
        let of_queries = self.q_proj.backward(d_queries, rows, gradients);
        let of_keys = self.k_proj.backward(d_keys, rows, gradients);
        sum(sum(of_queries, of_keys), self.v_proj.backward(in_rows(d_values), rows, gradients))
    }

    /// `[N, heads * C]` to `[N, heads, C]`.
    fn in_heads(&self, rows: Tensor<2>) -> Tensor<3> {
        let [n, width] = rows.dims();
        rows.reshape([n, width / self.head_dim, self.head_dim])
    }
}

/// `[N, heads, C]` to `[N, heads * C]`.
fn in_rows(heads: Tensor<3>) -> Tensor<2> {
    let [n, n_heads, channels] = heads.dims();
    heads.reshape([n, n_heads * channels])
}
