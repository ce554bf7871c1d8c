//! AdamW in one pass over each parameter.
//!
//! Burn's own AdamW is a chain of a dozen tensor operations, which on the CPU costs as much as the forward pass of a
//! small network. This one updates weights and both moments in place, in one loop. It equals PyTorch's AdamW
//! (golden test) and Burn's (unit test). The loop runs on the host: on a GPU every parameter would be copied forth
//! and back, so use Burn's there.
//!
//! Source: decoupled weight decay, arXiv 1711.05101, algorithm 2, with the learning rate multiplying the decay as
//! PyTorch does.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
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

/// The optimizer with its moments.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    moments: HashMap<ParamId, Moments>,
    n_steps: i32,
}

#[derive(Debug)]
struct Moments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl AdamW {
    /// An optimizer that has not seen a gradient yet.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, moments: HashMap::new(), n_steps: 0 }
    }

    /// The policy after one step. A parameter without a gradient stays as it is.
    ///
    /// # Panics
    /// When a parameter is not f32.
    #[must_use]
    pub fn step<M: Module>(&mut self, policy: M, gradients: GradientsParams, learning_rate: f64) -> M {
        self.n_steps += 1;
        let update = Update::new(&self.config, self.n_steps, learning_rate);
        policy.map(&mut Stepper { update, moments: &mut self.moments, gradients })
    }
}

/// The numbers of one step, in the precision of the parameters.
#[derive(Debug, Clone, Copy)]
struct Update {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    keep: f32,
    step_size: f32,
    root_correction: f32,
}

impl Update {
    fn new(config: &AdamWConfig, n_steps: i32, learning_rate: f64) -> Self {
        Self {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
            keep: (1.0 - learning_rate * config.weight_decay) as f32,
            step_size: (learning_rate / (1.0 - config.beta1.powi(n_steps))) as f32,
            root_correction: (1.0 / (1.0 - config.beta2.powi(n_steps)).sqrt()) as f32,
        }
    }

    /// Updates values and moments. Written so that the compiler vectorizes it; no operation depends on the width
    /// of the vectors, so every CPU gives the same bits.
    #[inline(always)]
    fn apply(self, values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let moments = mean.iter_mut().zip(square.iter_mut());
        for ((value, &gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            *mean = self.beta1 * *mean + (1.0 - self.beta1) * gradient;
            *square = self.beta2 * *square + (1.0 - self.beta2) * (gradient * gradient);
            let denominator = square.sqrt() * self.root_correction + self.epsilon;
            *value = *value * self.keep - self.step_size * (*mean / denominator);
        }
    }
}

struct Stepper<'a> {
    update: Update,
    moments: &'a mut HashMap<ParamId, Moments>,
    gradients: GradientsParams,
}

impl ModuleMapper for Stepper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let (device, trained) = (tensor.device(), tensor.is_require_grad());
        // Neither call copies on the CPU: the module gave up its handle, and the gradient was removed.
        let mut data = tensor.inner().into_data();
        let gradient = gradient.into_data();
        let gradient = gradient.as_slice::<f32>().expect("gradients of f32 parameters are f32");
        let values = data.as_mut_slice::<f32>().expect("parameters are f32");
        let zeros = || vec![0.0; gradient.len()];
        let moments = self.moments.entry(id).or_insert_with(|| Moments { mean: zeros(), square: zeros() });
        let update = self.update;
        pulp::Arch::new().dispatch(|| update.apply(values, gradient, &mut moments.mean, &mut moments.square));
        let updated = Tensor::from_data(data, &device).set_require_grad(trained);
        Param::from_mapped_value(id, updated, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::AdamWConfig as BurnAdamWConfig;
    use burn::tensor::{Device, Distribution, Tolerance};
    use razor_core::Seed;
    use razor_models::Mlp;
    use razor_tensor::{log_probs, weighted_cross_entropy};

    use super::*;

    fn gradients(policy: &Mlp, step_idx: usize, device: &Device) -> GradientsParams {
        let inputs = Tensor::<2>::ones([4, 6], device) * (step_idx as f64 + 0.5).sin();
        let loss = weighted_cross_entropy(log_probs(policy.forward(inputs)), Tensor::eye(4, device));
        GradientsParams::from_grads(loss.backward(), policy)
    }

    #[test]
    fn it_agrees_with_burns_adamw() {
        let device = Device::flex().autodiff();
        let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let mut ours = Mlp::init(&[6, 5, 4], Seed::new(0), &device);
        let mut burns = ours.clone();
        let mut optimizer = AdamW::new(config);
        let mut burns_optimizer = BurnAdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.999)
            .with_epsilon(1e-8)
            .with_weight_decay(0.01)
            .init();
        for step_idx in 0..20 {
            let rate = 1e-2 / (step_idx + 1) as f64;
            let (ours_gradients, burns_gradients) =
                (gradients(&ours, step_idx, &device), gradients(&burns, step_idx, &device));
            ours = optimizer.step(ours, ours_gradients, rate);
            burns = burns_optimizer.step(rate, burns, burns_gradients);
        }
        for (ours, burns) in ours.layers.iter().zip(&burns.layers) {
            // 20 steps of f32 rounding in a different order of operations, on weights below 1
            let rounding = Tolerance::absolute(2e-6);
            ours.weight.val().into_data().assert_approx_eq::<f32>(&burns.weight.val().into_data(), rounding);
        }
    }

    #[test]
    fn a_parameter_without_gradient_stays() {
        let device = Device::flex().autodiff();
        let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5 };
        let policy = Mlp::init(&[6, 4], Seed::new(0), &device);
        let before = policy.layers[0].weight.val().into_data();
        let after = AdamW::new(config).step(policy, GradientsParams::new(), 0.1);
        after.layers[0].weight.val().into_data().assert_eq(&before, true);
        assert!(after.layers[0].weight.val().is_require_grad(), "it can still be trained");
    }

    #[test]
    fn the_vector_path_equals_the_scalar_path_bit_for_bit() {
        let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let update = Update::new(&config, 3, 1e-3);
        let draw = || -> Vec<f32> {
            let drawn = Tensor::<1>::random([1003], Distribution::Normal(0.0, 1.0), &Device::flex());
            drawn.into_data().try_into_vec().unwrap()
        };
        let (values, gradient, mean) = (draw(), draw(), draw());
        let square: Vec<f32> = draw().iter().map(|value| value * value).collect();
        let mut fast = (values.clone(), mean.clone(), square.clone());
        pulp::Arch::new().dispatch(|| update.apply(&mut fast.0, &gradient, &mut fast.1, &mut fast.2));
        for idx in 0..values.len() {
            let mut slow = ([values[idx]], [mean[idx]], [square[idx]]);
            update.apply(&mut slow.0, &gradient[idx..=idx], &mut slow.1, &mut slow.2);
            assert_eq!((fast.0[idx], fast.1[idx], fast.2[idx]), (slow.0[0], slow.1[0], slow.2[0]));
        }
    }
}
