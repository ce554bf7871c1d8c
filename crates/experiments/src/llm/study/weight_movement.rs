//! How far weights moved, by how much the new task asks of them.
//!
//! AdamW divides each gradient by its own size: a weight whose new-task gradient is almost zero moves as far as any other
//! unless epsilon is larger than that gradient. Such movement costs the new task nothing, so KL on new-task prompts cannot
//! see it. Our own measurement; arXiv 2509.04259 has none of it.

use burn::tensor::DType;
use razor_models::Decoder;

use crate::llm::study::record::WeightMovement;

/// Parts that the weights are cut into.
const PARTS: usize = 10;

/// Which tenth of the base's weights each weight is in, from the smallest to the largest new-task gradient.
#[derive(Debug, Clone)]
pub(crate) struct GradientOrder {
    /// By tensor in the order of the checkpoint, then by weight; empty where no gradient was taken.
    parts: Vec<Vec<u8>>,
}

impl GradientOrder {
    /// No order.
    pub(crate) fn none() -> Self {
        Self { parts: Vec::new() }
    }

    /// From the mean squared gradient of each weight, by tensor. Equal gradients keep the order of the checkpoint.
    pub(crate) fn new(squared_gradients: &[(String, Vec<f32>)]) -> Self {
        let places = squared_gradients.iter().enumerate().flat_map(|(tensor, (_, gradients))| {
            gradients.iter().enumerate().map(move |(idx, &gradient)| (gradient, tensor, idx))
        });
        let mut places: Vec<(f32, usize, usize)> = places.collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut parts: Vec<Vec<u8>> =
            squared_gradients.iter().map(|(_, gradients)| vec![0; gradients.len()]).collect();
        let n = places.len();
        for (rank, (_, tensor, idx)) in places.into_iter().enumerate() {
            parts[tensor][idx] = (rank * PARTS / n) as u8;
        }
        Self { parts }
    }
}

/// The movement of `policy` from `base`; adapters count as the change that they make to the weights.
pub(crate) fn weight_movement(base: &Decoder, policy: &Decoder, order: &GradientOrder) -> WeightMovement {
    let merged = if policy.adapter_parameters().is_empty() { None } else { Some(policy.clone().merged()) };
    let policy = merged.as_ref().unwrap_or(policy);
    let (mut moved, mut norm, mut n_unchanged, mut n) = (0.0, 0.0, 0_usize, 0_usize);
    let (mut by_part, mut of_part) = ([0.0; PARTS], [0_usize; PARTS]);
    let pairs = base.parameters().into_iter().zip(policy.parameters());
    for (tensor_idx, ((_, before), (_, after))) in pairs.enumerate() {
        let [before, after] =
            [before, after].map(|values| values.values().clone().cast(DType::F32).into_data());
        let before = before.as_slice::<f32>().expect("it was cast");
        let after = after.as_slice::<f32>().expect("it was cast");
        n += before.len();
        for (idx, (&before, &after)) in before.iter().zip(after).enumerate() {
            let square = (f64::from(after) - f64::from(before)).powi(2);
            moved += square;
            norm += f64::from(before).powi(2);
            n_unchanged += usize::from(before == after);
            if let Some(parts) = order.parts.get(tensor_idx) {
                by_part[usize::from(parts[idx])] += square;
                of_part[usize::from(parts[idx])] += 1;
            }
        }
    }
    let rms = |(sum, n): (&f64, &usize)| (sum / (*n).max(1) as f64).sqrt();
    WeightMovement {
        relative: (moved / norm).sqrt(),
        unchanged: n_unchanged as f64 / n.max(1) as f64,
        by_gradient: match order.parts.is_empty() {
            true => Vec::new(),
            false => by_part.iter().zip(&of_part).map(rms).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_cut_into_equal_parts_from_the_smallest_gradient() {
        let gradients: Vec<f32> = (0..20).rev().map(|value| value as f32).collect();
        let order = GradientOrder::new(&[
            ("a".to_owned(), gradients[..5].to_vec()),
            ("b".to_owned(), gradients[5..].to_vec()),
        ]);
        assert_eq!(order.parts[0], [9, 9, 8, 8, 7]);
        assert_eq!(order.parts[1][14], 0);
        for part in 0..10 {
            assert_eq!(order.parts.iter().flatten().filter(|&&found| found == part).count(), 2);
        }
    }
}
