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
    /// When a row does not exist or its tokens do not fit.
    pub fn select_rows(&mut self, rows: &[usize], capacity: usize) {
        let whole: Vec<_> = rows.iter().map(|&row| (row, self.filled - self.first[row])).collect();
        let prefixes = Prefixes::new(self, &whole, capacity);
        for layer in &mut self.layers {
            let caches = layer.take().expect("a layer is there between writes");
            *layer = Some(caches.map(|cache| prefixes.of(&cache)));
        }
        (self.first, self.filled, self.capacity) = (prefixes.first, prefixes.filled, capacity);
    }

    /// The first so many tokens of some rows, as `(row, n_tokens)`, moved so that all of them end in the same slot.
    ///
    /// Keys know the position of their token, not its slot, so a row may be moved.
    ///
    /// # Panics
    /// When a row does not exist or has fewer tokens, or when the longest prefix does not fit.
    #[must_use]
    pub fn select_prefixes(&self, prefixes: &[(usize, usize)], capacity: usize) -> Self {
        let prefixes = Prefixes::new(self, prefixes, capacity);
        let layers = self.layers.iter().map(|layer| {
            let caches = layer.as_ref().expect("a layer is there between writes");
            Some(caches.each_ref().map(|cache| prefixes.of(cache)))
        });
        Self { layers: layers.collect(), first: prefixes.first, filled: prefixes.filled, capacity }
    }
}

/// Slots that are chosen from a cache, and how they lie in the next one.
struct Prefixes {
    /// Counted through all rows, `[rows * capacity]`.
    slots: Vec<i64>,
    first: Vec<usize>,
    filled: usize,
    capacity: usize,
}

impl Prefixes {
    fn new(cache: &KvCache, prefixes: &[(usize, usize)], capacity: usize) -> Self {
        let filled = prefixes.iter().map(|&(_, n_tokens)| n_tokens).max().unwrap_or(0);
        assert!(capacity >= filled, "{filled} slots are needed, {capacity} are not enough");
        let mut slots = Vec::with_capacity(prefixes.len() * capacity);
        for &(row, n_tokens) in prefixes {
            let first = cache.first[row];
            assert!(first + n_tokens <= cache.filled, "row {row} has less than {n_tokens} tokens");
            let start = row * cache.capacity + first;
            // What stands in slots before and after the tokens is never read.
            slots.extend(std::iter::repeat_n(start as i64, filled - n_tokens));
            slots.extend((start..start + n_tokens).map(|slot| slot as i64));
            slots.extend(std::iter::repeat_n(start as i64, capacity - filled));
        }
        let first = prefixes.iter().map(|&(_, n_tokens)| filled - n_tokens).collect();
        Self { slots, first, filled, capacity }
    }

    /// # Shapes
    /// - `cache`: `[B, any capacity, K, C]`
    /// - returns: `[rows, capacity, K, C]`
    fn of(&self, cache: &Tensor<4>) -> Tensor<4> {
        let [n_rows, capacity, n_kv_heads, channels] = cache.dims();
        let slots = TensorData::new(self.slots.clone(), [self.slots.len()]);
        let slots = Tensor::<1, Int>::from_data(slots, &cache.device());
        let by_slot: Tensor<2> = cache.clone().reshape([n_rows * capacity, n_kv_heads * channels]);
        by_slot.select(0, slots).reshape([self.first.len(), self.capacity, n_kv_heads, channels])
    }
}
