//! AdamW in one pass over each parameter.
//!
//! Burn's own AdamW is a chain of a dozen tensor operations, each of which goes over all weights again. This one updates weights and both moments in place, in one loop over plain slices. It equals
//! PyTorch's AdamW (golden test) and Burn's (unit test).
//!
//! Source: decoupled weight decay, arXiv 1711.05101, algorithm 2, with the learning rate multiplying the decay as
//! PyTorch does.

use razor_tensor::AdamWUpdate;
use serde::{Deserialize, Serialize};

/// Every value of AdamW but the learning rate. There is no `Default`: Burn's epsilon is 1e-5, PyTorch's 1e-8, and
/// the difference changes how much a model forgets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients, in `[0, 1)`.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in `[0, 1)`.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay per unit of learning rate.
    pub weight_decay: f64,
}

impl AdamWConfig {
    /// The arithmetic of step number `n_steps`, from 1.
    pub fn update(&self, n_steps: usize, learning_rate: f64) -> AdamWUpdate {
        AdamWUpdate::new([self.beta1, self.beta2], self.epsilon, self.weight_decay, n_steps, learning_rate)
    }
}

/// The optimizer with its moments.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    moments: Vec<Moments>,
    n_steps: usize,
}

#[derive(Debug)]
struct Moments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl AdamW {
    /// An optimizer that has not seen a gradient yet.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, moments: Vec::new(), n_steps: 0 }
    }

    /// One step over all parameters, given with their gradients and always in the same order.
    ///
    /// # Panics
    /// When a parameter has another length than its gradient, or than at the first step.
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = (&'a mut [f32], &'a [f32])>,
        learning_rate: f64,
    ) {
        self.n_steps += 1;
        let update = self.config.update(self.n_steps, learning_rate);
        for (param_idx, (values, gradient)) in parameters.into_iter().enumerate() {
            assert_eq!(values.len(), gradient.len(), "one gradient per value of parameter {param_idx}");
            if self.moments.len() == param_idx {
                self.moments.push(Moments { mean: vec![0.0; values.len()], square: vec![0.0; values.len()] });
            }
            let Moments { mean, square } = &mut self.moments[param_idx];
            assert_eq!(values.len(), mean.len(), "parameter {param_idx} changed its length");
            pulp::Arch::new().dispatch(|| update.apply(values, gradient, mean, square));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::{AdamWConfig as BurnAdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};
    use rand::Rng;
    use razor_core::Seed;

    use super::*;

    #[derive(Module, Debug)]
    struct OneParameter {
        values: Param<Tensor<1>>,
    }

    fn draw(label: &str, index: u64) -> Vec<f32> {
        let mut rng = Seed::new(0).derive(label, index).rng();
        (0..1003).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn it_agrees_with_burns_adamw() {
        let device = Device::flex().autodiff();
        let mut ours = draw("values", 0);
        let mut burns =
            OneParameter { values: Param::from_data(TensorData::new(ours.clone(), [1003]), &device) };
        let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let mut optimizer = AdamW::new(config);
        let mut burns_optimizer = BurnAdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.999)
            .with_epsilon(1e-8)
            .with_weight_decay(0.01)
            .init();
        for step_idx in 0..20 {
            let rate = 1e-2 / (step_idx + 1) as f64;
            let gradient = draw("gradient", step_idx);
            optimizer.step([(ours.as_mut_slice(), gradient.as_slice())], rate);
            let mut gradients = GradientsParams::new();
            let gradient = TensorData::new(gradient, [1003]);
            gradients.register(burns.values.id, Tensor::<1>::from_data(gradient, &Device::flex()));
            burns = burns_optimizer.step(rate, burns, gradients);
        }
        // 20 steps of f32 rounding in a different order of operations, on values below 1
        let ours = TensorData::new(ours, [1003]);
        burns.values.val().into_data().assert_approx_eq::<f32>(&ours, Tolerance::absolute(2e-6));
    }

    #[test]
    fn the_vector_path_equals_the_scalar_path_bit_for_bit() {
        let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let update = config.update(3, 1e-3);
        let (values, gradient, mean) = (draw("values", 1), draw("gradient", 1), draw("mean", 1));
        let square: Vec<f32> = draw("square", 1).iter().map(|value| value * value).collect();
        let mut fast = (values.clone(), mean.clone(), square.clone());
        pulp::Arch::new().dispatch(|| update.apply(&mut fast.0, &gradient, &mut fast.1, &mut fast.2));
        for idx in 0..values.len() {
            let mut slow = ([values[idx]], [mean[idx]], [square[idx]]);
            update.apply(&mut slow.0, &gradient[idx..=idx], &mut slow.1, &mut slow.2);
            assert_eq!((fast.0[idx], fast.1[idx], fast.2[idx]), (slow.0[0], slow.1[0], slow.2[0]));
        }
    }
}
