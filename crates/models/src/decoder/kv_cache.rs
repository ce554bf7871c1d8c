//! Keys and values of the tokens so far.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::lm_config::LmConfig;

/// Preallocated keys and values of every layer, for rows that grow together.
///
/// Memory: 2 x layers x B x capacity x K x C numbers.
#[derive(Debug)]
pub struct KvCache {
    /// Keys and values, `[B, capacity, K, C]` each; `None` only while a layer is written.
    layers: Vec<Option<[Tensor<4>; 2]>>,
    /// First slot of each row that is not padding.
    first: Vec<usize>,
    filled: usize,
    capacity: usize,
}

impl KvCache {
    /// An empty cache for rows with this left padding and `capacity` slots.
    pub fn new(
        config: &LmConfig,
        left_padding: &[usize],
        capacity: usize,
        dtype: DType,
        device: &Device,
    ) -> Self {
        let dims = [left_padding.len(), capacity, config.n_kv_heads, config.head_dim];
        let empty = || Tensor::zeros(dims, (device, dtype));
        Self {
            layers: (0..config.n_layers).map(|_| Some([empty(), empty()])).collect(),
            first: left_padding.to_vec(),
            filled: 0,
            capacity,
        }
    }

    /// Slots that hold a token or padding.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Slots in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// First slot of each row that is not padding. `[B]`
    pub fn first(&self) -> &[usize] {
        &self.first
    }

    /// Writes T more slots of one layer; gives its keys, values and the number of slots filled so far.
    ///
    /// The slots count as filled after the last layer has written them.
    ///
    /// # Shapes
    /// - `keys`, `values`: `[B, T, K, C]`
    /// - returns: `[B, capacity, K, C]` twice
    pub(crate) fn append(
        &mut self,
        layer_idx: usize,
        keys: Tensor<4>,
        values: Tensor<4>,
    ) -> (Tensor<4>, Tensor<4>, usize) {
        let [n_rows, width, n_kv_heads, channels] = keys.dims();
        let end = self.filled + width;
        assert!(end <= self.capacity, "the cache has {} slots, {end} are needed", self.capacity);
        let slots = [0..n_rows, self.filled..end, 0..n_kv_heads, 0..channels];
        // Taken out, so that there is one owner and the slots are written in place.
        let [all_keys, all_values] = self.layers[layer_idx].take().expect("a layer is there between writes");
        let written = [all_keys.slice_assign(slots.clone(), keys), all_values.slice_assign(slots, values)];
        let [all_keys, all_values] = self.layers[layer_idx].insert(written).clone();
        if layer_idx + 1 == self.layers.len() {
            self.filled = end;
        }
        (all_keys, all_values, end)
    }

    /// Keeps some rows, in this order, a row as often as it is named, with another capacity. One layer at a time is there twice.
    ///
    /// # Panics
    /// When a row does not exist or the filled slots do not fit.
    pub fn select_rows(&mut self, rows: &[usize], capacity: usize) {
        assert!(capacity >= self.filled, "{} slots are filled, {capacity} are not enough", self.filled);
        for layer in &mut self.layers {
            let caches = layer.take().expect("a layer is there between writes");
            *layer = Some(caches.map(|cache| select(cache, rows, self.filled, capacity)));
        }
        self.first = rows.iter().map(|&row| self.first[row]).collect();
        self.capacity = capacity;
    }
}

/// The filled slots of some rows, with room for more.
fn select(cache: Tensor<4>, rows: &[usize], filled: usize, capacity: usize) -> Tensor<4> {
    let [n_rows, _, n_kv_heads, channels] = cache.dims();
    let device = cache.device();
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &device);
    let empty = Tensor::zeros([rows.len(), capacity, n_kv_heads, channels], (&device, cache.dtype()));
    let written = cache.slice([0..n_rows, 0..filled, 0..n_kv_heads, 0..channels]);
    empty.slice_assign([0..rows.len(), 0..filled, 0..n_kv_heads, 0..channels], written.select(0, indices))
}
