//! The training passes of an [`Mlp`](crate::Mlp) on plain slices.
//!
//! On the CPU a training step of the 785-512-256-10 network is two thirds matrix products. What a general graph adds
//! (a fresh zeroed buffer for every result, packing, bookkeeping) is most of the rest, so a small network that is
//! trained thousands of times earns passes of its own: one buffer per layer, reused; bias and ReLU in place; no
//! gradient for the inputs. Values and gradients equal the graph's up to rounding (unit test). Single-threaded.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::weights::{HostParameter, MlpWeights};

/// Weights, gradients and activations of an MLP in host memory.
#[derive(Debug, Clone)]
pub struct HostMlp {
    layers: Vec<HostLayer>,
    n_rows: usize,
}

#[derive(Debug, Clone)]
struct HostLayer {
    d_in: usize,
    d_out: usize,
    /// `[in, out]` row-major, as Burn keeps it.
    weight: Vec<f32>,
    bias: Vec<f32>,
    weight_gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
    /// What the layer gave for the last batch, after its ReLU: `[B, out]`.
    output: Vec<f32>,
    /// Gradient of the loss with respect to what the layer gave before its ReLU: `[B, out]`.
    delta: Vec<f32>,
}

impl HostMlp {
    /// A network with these weights.
    pub fn new(weights: &MlpWeights) -> Self {
        let layers = weights.parameters.chunks_exact(2).map(|pair| {
            let [d_in, d_out] = [pair[0].shape[0], pair[0].shape[1]];
            HostLayer {
                d_in,
                d_out,
                weight: pair[0].values.clone(),
                bias: pair[1].values.clone(),
                weight_gradient: vec![0.0; d_in * d_out],
                bias_gradient: vec![0.0; d_out],
                output: Vec::new(),
                delta: Vec::new(),
            }
        });
        Self { layers: layers.collect(), n_rows: 0 }
    }

    /// A copy of the weights.
    pub fn weights(&self) -> MlpWeights {
        let parameters = self.layers.iter().enumerate().flat_map(|(layer_idx, layer)| {
            let name = |kind: &str| format!("layers.{layer_idx}.{kind}");
            let (shape, values) = (vec![layer.d_in, layer.d_out], layer.weight.clone());
            let weight = HostParameter { name: name("weight"), shape, values };
            let (shape, values) = (vec![layer.d_out], layer.bias.clone());
            [weight, HostParameter { name: name("bias"), shape, values }]
        });
        MlpWeights { parameters: parameters.collect() }
    }

    /// Logits of each row, `[B, V]` row by row, unnormalized; keeps what [`Self::backward`] needs.
    ///
    /// # Shapes
    /// - `inputs`: `[B, inputs]` row by row
    ///
    /// # Panics
    /// When `inputs` is not made of whole rows.
    pub fn forward(&mut self, inputs: &[f32]) -> &[f32] {
        let d_in = self.layers[0].d_in;
        assert_eq!(inputs.len() % d_in, 0, "{} values are no rows of {d_in}", inputs.len());
        self.n_rows = inputs.len() / d_in;
        let n_layers = self.layers.len();
        for layer_idx in 0..n_layers {
            let (before, rest) = self.layers.split_at_mut(layer_idx);
            let inputs = before.last().map_or(inputs, |layer| &layer.output);
            rest[0].forward(inputs, self.n_rows, layer_idx + 1 < n_layers);
        }
        &self.layers[n_layers - 1].output
    }

    /// Output of each ReLU in the last [`Self::forward`], first to last, each `[B, width]` row by row.
    pub fn hidden(&self) -> impl Iterator<Item = &[f32]> {
        let n_hidden = self.layers.len() - 1;
        self.layers[..n_hidden].iter().map(|layer| layer.output.as_slice())
    }

    /// Fills the gradients of all weights, given the gradient of the loss with respect to the logits.
    ///
    /// # Shapes
    /// - `inputs`: those of the last [`Self::forward`]
    /// - `logit_gradient`: `[B, V]` row by row
    ///
    /// # Panics
    /// When the shapes are not those of the last forward pass.
    pub fn backward(&mut self, inputs: &[f32], logit_gradient: &[f32]) {
        let last = self.layers.last_mut().expect("an MLP has at least one layer");
        assert_eq!(
            logit_gradient.len(),
            self.n_rows * last.d_out,
            "one gradient per logit of the last forward pass"
        );
        last.delta.clear();
        last.delta.extend_from_slice(logit_gradient);
        for layer_idx in (0..self.layers.len()).rev() {
            let (before, rest) = self.layers.split_at_mut(layer_idx);
            let layer = &mut rest[0];
            match before.last_mut() {
                Some(previous) => {
                    layer.weight_gradients(&previous.output, self.n_rows);
                    layer.pass_back(previous, self.n_rows);
                }
                None => layer.weight_gradients(inputs, self.n_rows),
            }
        }
    }

    /// Every parameter with its gradient, in the order of [`MlpWeights`], for an optimizer.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = (&mut [f32], &[f32])> {
        self.layers.iter_mut().flat_map(|layer| {
            let weight = (layer.weight.as_mut_slice(), layer.weight_gradient.as_slice());
            [weight, (layer.bias.as_mut_slice(), layer.bias_gradient.as_slice())]
        })
    }
}

impl HostLayer {
    fn forward(&mut self, inputs: &[f32], n_rows: usize, rectify: bool) {
        self.output.resize(n_rows * self.d_out, 0.0);
        product(
            MatMut::from_row_major_slice_mut(&mut self.output, n_rows, self.d_out),
            MatRef::from_row_major_slice(inputs, n_rows, self.d_in),
            MatRef::from_row_major_slice(&self.weight, self.d_in, self.d_out),
        );
        for row in self.output.chunks_exact_mut(self.d_out) {
            for (value, bias) in row.iter_mut().zip(&self.bias) {
                *value += bias;
                if rectify {
                    *value = value.max(0.0);
                }
            }
        }
    }

    /// Gradients of weight and bias from `delta` and the layer's inputs.
    fn weight_gradients(&mut self, inputs: &[f32], n_rows: usize) {
        product(
            MatMut::from_row_major_slice_mut(&mut self.weight_gradient, self.d_in, self.d_out),
            MatRef::from_row_major_slice(inputs, n_rows, self.d_in).transpose(),
            MatRef::from_row_major_slice(&self.delta, n_rows, self.d_out),
        );
        self.bias_gradient.fill(0.0);
        for row in self.delta.chunks_exact(self.d_out) {
            for (sum, delta) in self.bias_gradient.iter_mut().zip(row) {
                *sum += delta;
            }
        }
    }

    /// `delta` of the layer before, through this layer's weight and that layer's ReLU.
    fn pass_back(&self, previous: &mut Self, n_rows: usize) {
        previous.delta.resize(n_rows * self.d_in, 0.0);
        product(
            MatMut::from_row_major_slice_mut(&mut previous.delta, n_rows, self.d_in),
            MatRef::from_row_major_slice(&self.delta, n_rows, self.d_out),
            MatRef::from_row_major_slice(&self.weight, self.d_in, self.d_out).transpose(),
        );
        for (delta, &output) in previous.delta.iter_mut().zip(&previous.output) {
            // A select, not a branch: which units fire is unpredictable.
            *delta = if output > 0.0 { *delta } else { 0.0 };
        }
    }
}

/// `result = left · right` on this thread alone.
fn product(result: MatMut<'_, f32>, left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    matmul(result, Accum::Replace, left, right, 1.0, Par::Seq);
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};
    use razor_core::Seed;

    use super::*;
    use crate::Mlp;

    const WIDTHS: [usize; 4] = [7, 6, 5, 3];

    #[test]
    fn values_and_gradients_equal_those_of_the_graph() {
        let device = Device::flex().autodiff();
        let graph = Mlp::init(&WIDTHS, Seed::new(0), &device);
        let mut host = HostMlp::new(&MlpWeights::of(&graph));
        for n_rows in [4, 1, 9] {
            let rows: Vec<f32> = (0..n_rows * 7).map(|i| (0.7 * i as f32).sin() * 2.0).collect();
            let inputs = Tensor::<2>::from_data(TensorData::new(rows.clone(), [n_rows, 7]), &device);
            let direction: Vec<f32> = (0..n_rows * 3).map(|i| (1.3 * i as f32).cos()).collect();
            let weights = Tensor::<2>::from_data(TensorData::new(direction.clone(), [n_rows, 3]), &device);

            let logits = graph.forward(inputs);
            let found = TensorData::new(host.forward(&rows).to_vec(), [n_rows, 3]);
            let rounding = Tolerance::absolute(2e-6); // a few f32 roundings of values of size 1
            logits.clone().into_data().assert_approx_eq::<f32>(&found, rounding);
            assert_eq!(host.hidden().map(<[f32]>::len).collect::<Vec<_>>(), [n_rows * 6, n_rows * 5]);
            assert!(host.hidden().flatten().all(|&value| value >= 0.0), "a ReLU gives nothing negative");

            let gradients = (logits * weights).sum().backward();
            let mut gradients = GradientsParams::from_grads(gradients, &graph);
            host.backward(&rows, &direction);
            let mut found = host.parameters_mut().map(|(_, gradient)| gradient.to_vec());
            for layer in &graph.layers {
                let expected = gradients.remove::<2>(layer.weight.id).unwrap().into_data();
                let weight = TensorData::new(found.next().unwrap(), expected.shape().clone());
                expected.assert_approx_eq::<f32>(&weight, Tolerance::absolute(1e-5)); // sums over the rows
                let bias = layer.bias.as_ref().unwrap();
                let expected = gradients.remove::<1>(bias.id).unwrap().into_data();
                let bias = TensorData::new(found.next().unwrap(), expected.shape().clone());
                expected.assert_approx_eq::<f32>(&bias, Tolerance::absolute(1e-5));
            }
        }
    }

    #[test]
    fn weights_go_in_and_come_out_unchanged() {
        let weights = MlpWeights::of(&Mlp::init(&WIDTHS, Seed::new(1), &Device::flex()));
        assert_eq!(HostMlp::new(&weights).weights(), weights);
    }
}
