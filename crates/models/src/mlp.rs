//! The multilayer perceptron of ParityMNIST.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use razor_core::Seed;

/// Linear layers with ReLU between them; the last one gives the logits of a categorical policy.
///
/// The paper says "3-layer MLP" and 785 → 512 → 256 → 10; ReLU is our choice, as the activation is not stated.
/// Paper: arXiv 2509.04259, appendix B.3.
#[derive(Module, Debug)]
pub struct Mlp {
    /// One layer per weight matrix, first to last. Burn keeps a weight as `[in, out]`.
    pub layers: Vec<Linear>,
}

impl Mlp {
    /// A fresh network with `widths` = inputs, hidden widths..., labels.
    ///
    /// Weights and biases are uniform in ±1/√fan_in, PyTorch's default (the paper states none).
    ///
    /// # Panics
    /// When there are fewer than two widths.
    pub fn init(widths: &[usize], seed: Seed, device: &Device) -> Self {
        assert!(widths.len() >= 2, "an MLP needs input and output widths, found {widths:?}");
        let layers = widths.windows(2).enumerate().map(|(layer_idx, pair)| {
            let mut rng = seed.derive("layer", layer_idx as u64).rng();
            let bound = 1.0 / (pair[0] as f32).sqrt();
            let mut draw =
                |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-bound..bound)).collect() };
            let (weight, bias) = (draw(pair[0] * pair[1]), draw(pair[1]));
            linear(weight, bias, [pair[0], pair[1]], device)
        });
        Self { layers: layers.collect() }
    }

    /// Logits of each row.
    ///
    /// # Shapes
    /// - `inputs`: `[B, inputs]`
    /// - returns: `[B, V]`, unnormalized
    pub fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let mut rows = inputs;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            rows = layer.forward(rows); // [B, out]
            if layer_idx + 1 < self.layers.len() {
                rows = relu(rows);
            }
        }
        rows
    }
}

/// A linear layer with given values: `weight` is row-major `[in, out]`, `bias` is `[out]`.
pub(crate) fn linear(weight: Vec<f32>, bias: Vec<f32>, [d_in, d_out]: [usize; 2], device: &Device) -> Linear {
    Linear {
        weight: Param::from_data(TensorData::new(weight, [d_in, d_out]), device),
        bias: Some(Param::from_data(TensorData::new(bias, [d_out]), device)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_the_paper_has_536_330_parameters() {
        let policy = Mlp::init(&[785, 512, 256, 10], Seed::new(0), &Device::flex());
        assert_eq!(policy.num_params(), 536_330);
    }

    #[test]
    fn weights_stay_inside_one_over_root_fan_in() {
        let policy = Mlp::init(&[100, 50, 10], Seed::new(2), &Device::flex());
        let largest = policy.layers[0].weight.val().abs().max().into_scalar::<f32>();
        assert!((0.09..=0.1).contains(&largest), "expected just under 0.1, found {largest}");
    }
}
