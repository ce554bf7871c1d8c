//! Causal attention over a cache of keys and values.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, DType, Tensor, TensorData};

#[cfg(feature = "flex")]
use crate::host::{borrow, f32s, from_host, is_here};
#[cfg(feature = "flex")]
use crate::kernel::{AttentionShape, attend};

/// Which slots of keys and values hold something.
#[derive(Debug, Clone, Copy)]
pub struct KvSlots<'a> {
    /// Slots filled from the left, those of the queries included; at least the number of queries.
    pub n_filled: usize,
    /// First slot of each row that is not left padding. `[B]`
    pub first: &'a [usize],
}

/// softmax(q kᵀ / √C) v, where the queries are the last T filled slots and see their own slot and those before it.
///
/// Query heads share key heads in groups of H / K neighbours. Padding asks too, and its result means nothing.
/// Scores and softmax are f32.
///
/// # Shapes
/// - `queries`: `[B, T, H, C]`
/// - `keys`, `values`: `[B, S, K, C]`, S at least the filled slots
/// - returns: `[B, T, H, C]`
pub fn causal_attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    slots: KvSlots<'_>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if [&queries, &keys, &values].into_iter().all(is_here) {
        return on_cpu(&queries, &keys, &values, slots);
    }
    let [n_rows, n_queries, n_heads, channels] = queries.dims();
    let [_, _, n_kv_heads, _] = keys.dims();
    let group = n_heads / n_kv_heads;
    let n_keys = slots.n_filled;
    let filled = |cache: Tensor<4>| -> Tensor<4> {
        cache.slice([0..n_rows, 0..n_keys, 0..n_kv_heads, 0..channels]).swap_dims(1, 2) // [B, K, S, C]
    };
    let (keys, values) = (filled(keys), filled(values));
    let device = queries.device();
    let dtype = queries.dtype();
    // A group of query heads is folded into the rows of its key head: no copy of keys and values per query head.
    let queries = queries
        .swap_dims(1, 2) // [B, H, T, C]
        .reshape([n_rows, n_kv_heads, group * n_queries, channels]);
    let scores = queries.matmul(keys.swap_dims(2, 3)).cast(DType::F32); // [B, K, G*T, S]
    let scores = scores.mul_scalar(1.0 / (channels as f64).sqrt());
    let scores = scores.reshape([n_rows, n_heads, n_queries, n_keys]);
    let hidden = hidden_slots(n_rows, n_queries, slots);
    let hidden: Tensor<4, Bool> = Tensor::from_data(hidden, &device); // [B, 1, T, S]
    // A finite floor: a padding query that sees nothing must not become NaN
    let shares = softmax(scores.mask_fill(hidden.expand([n_rows, n_heads, n_queries, n_keys]), -1e30), 3);
    let shares = shares.cast(dtype).reshape([n_rows, n_kv_heads, group * n_queries, n_keys]);
    shares
        .matmul(values) // [B, K, G*T, C]
        .reshape([n_rows, n_heads, n_queries, channels])
        .swap_dims(1, 2) // [B, T, H, C]
}

fn hidden_slots(n_rows: usize, n_queries: usize, slots: KvSlots<'_>) -> TensorData {
    let n_keys = slots.n_filled;
    let mut hidden = Vec::with_capacity(n_rows * n_queries * n_keys);
    for &first in slots.first {
        for query in n_keys - n_queries..n_keys {
            hidden.extend((0..n_keys).map(|key| key < first || key > query));
        }
    }
    TensorData::new(hidden, [n_rows, 1, n_queries, n_keys])
}

#[cfg(feature = "flex")]
fn on_cpu(queries: &Tensor<4>, keys: &Tensor<4>, values: &Tensor<4>, slots: KvSlots<'_>) -> Tensor<4> {
    let dims @ [_, n_queries, n_heads, head_dim] = queries.dims();
    let [_, capacity, n_kv_heads, _] = keys.dims();
    let shape = AttentionShape { n_queries, n_keys: slots.n_filled, capacity, n_heads, n_kv_heads, head_dim };
    let [queries, keys, values] = [queries, keys, values].map(borrow);
    from_host(attend(f32s(&queries), f32s(&keys), f32s(&values), slots.first, shape), dims)
}
