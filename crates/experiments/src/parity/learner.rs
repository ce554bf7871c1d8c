//! The policy that is being trained, and one step of it.

use burn::tensor::{Device, Tensor, TensorData};
use razor_models::{HostMlp, MlpWeights};
use razor_trainers::{AdamW, AdamWConfig};

use crate::parity::task::{N_LABELS, to_host};

/// A policy with its optimizer. Losses are Burn graphs over the logits; the network's own passes are [`HostMlp`]'s.
pub(crate) struct Learner {
    policy: HostMlp,
    optimizer: AdamW,
    device: Device,
}

impl Learner {
    pub(crate) fn new(start: &MlpWeights, optimizer: AdamWConfig, device: &Device) -> Self {
        let device = device.clone().autodiff();
        Self { policy: HostMlp::new(start), optimizer: AdamW::new(optimizer), device }
    }

    /// One optimizer step on the loss that `loss` makes of the logits `[B, V]`; hands on what else it returns.
    ///
    /// # Shapes
    /// - `rows`: `[B, 785]` row by row
    pub(crate) fn step<T>(
        &mut self,
        rows: &[f32],
        learning_rate: f64,
        loss: impl FnOnce(Tensor<2>) -> (Tensor<1>, T),
    ) -> T {
        let logits = self.policy.forward(rows);
        let data = TensorData::new(logits.to_vec(), [logits.len() / N_LABELS, N_LABELS]);
        let logits = Tensor::<2>::from_data(data, &self.device).require_grad();
        let (loss, rest) = loss(logits.clone());
        let gradient = logits.grad_remove(&mut loss.backward()).expect("the loss depends on the logits");
        self.policy.backward(rows, &to_host(gradient));
        self.optimizer.step(self.policy.parameters_mut(), learning_rate);
        rest
    }

    pub(crate) fn weights(&self) -> MlpWeights {
        self.policy.weights()
    }
}
