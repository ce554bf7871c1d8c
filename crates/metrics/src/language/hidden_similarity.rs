//! Do both models arrange the same prompts alike, layer by layer?

use burn::tensor::{DType, Tensor};
use razor_models::{Decoder, Tap, TokenRows};
use serde::Serialize;

use crate::error::MetricsError;
use crate::representation::RepresentationProbe;

/// Similarity of the residual streams of two models at one depth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerSimilarity {
    /// Layers below: 0 is the embedding, the number of layers is the last hidden state, before the final norm.
    pub depth: usize,
    /// Linear CKA, in \[0, 1\].
    pub cka: f64,
    /// CKA among mutual nearest neighbours, in \[-1, 1\].
    pub cknna: f64,
}

/// The residual stream of each prompt, averaged over its tokens, at every depth.
///
/// Prompts are padded on the right in batches of at most `batch_tokens` tokens (at least one prompt); padding is not
/// averaged.
///
/// # Shapes
/// - returns: one `[N, D]` row-major per depth, layers + 1 of them
///
/// # Panics
/// When a prompt is empty or names a token outside the vocabulary.
pub fn mean_hidden_states(policy: &Decoder, prompts: &[Vec<u32>], batch_tokens: usize) -> Vec<Vec<f32>> {
    let config = policy.config();
    let width = config.hidden_size;
    let mut states = vec![vec![0.0; prompts.len() * width]; config.n_layers + 1];
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&idx| (std::cmp::Reverse(prompts[idx].len()), idx));
    let mut n_done = 0;
    while n_done < order.len() {
        let longest = prompts[order[n_done]].len().max(1);
        let n_rows = (batch_tokens / longest).clamp(1, order.len() - n_done);
        let members = &order[n_done..n_done + n_rows];
        let rows: Vec<&[u32]> = members.iter().map(|&idx| prompts[idx].as_slice()).collect();
        let mut pooled = PooledStates { lengths: rows.iter().map(|row| row.len()).collect(), states: vec![] };
        policy.forward(&TokenRows::right_padded(&rows), None, &mut pooled);
        for (states, pooled) in states.iter_mut().zip(&pooled.states) {
            for (&idx, mean) in members.iter().zip(pooled.chunks_exact(width)) {
                states[idx * width..(idx + 1) * width].copy_from_slice(mean);
            }
        }
        n_done += n_rows;
    }
    states
}

/// Averages over tokens at once, so that no batch of whole residual streams is kept.
struct PooledStates {
    lengths: Vec<usize>,
    /// `[B, D]` per depth.
    states: Vec<Vec<f32>>,
}

impl Tap for PooledStates {
    fn hidden(&mut self, _: usize, hidden: Tensor<3>) -> Tensor<3> {
        let [_, n_slots, width] = hidden.dims();
        let numbers = hidden.clone().cast(DType::F32).into_data();
        let numbers = numbers.as_slice::<f32>().expect("they were cast to f32");
        let mut pooled = Vec::with_capacity(self.lengths.len() * width);
        for (row, &n_tokens) in numbers.chunks_exact(n_slots * width).zip(&self.lengths) {
            let mut sums = vec![0.0_f64; width];
            for token in row.chunks_exact(width).take(n_tokens) {
                sums.iter_mut().zip(token).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            pooled.extend(sums.iter().map(|sum| (sum / n_tokens as f64) as f32));
        }
        self.states.push(pooled);
        hidden
    }
}

/// Compares what [`mean_hidden_states`] made of the same prompts under two models of equal depth; widths may differ.
///
/// Paper: arXiv 2509.04259, appendix C.1 (CKNNA of the last hidden layer, k = 10, pooled over tokens: our choice of
/// layer and pooling).
///
/// # Errors
/// [`MetricsError::NotFinite`] when a hidden state is not finite.
///
/// # Panics
/// When the depths differ, or `n_neighbors` is not in `1..n_prompts`.
pub fn layer_similarities(
    reference: &[Vec<f32>],
    policy: &[Vec<f32>],
    n_prompts: usize,
    n_neighbors: usize,
) -> Result<Vec<LayerSimilarity>, MetricsError> {
    assert_eq!(reference.len(), policy.len(), "reference and policy must have as many layers");
    let compare = |(depth, (reference, policy)): (usize, (&Vec<f32>, &Vec<f32>))| {
        let found = RepresentationProbe::new(reference, n_prompts, n_neighbors)?.compare(policy)?;
        Ok(LayerSimilarity { depth, cka: found.cka, cknna: found.cknna })
    };
    reference.iter().zip(policy).enumerate().map(compare).collect()
}
