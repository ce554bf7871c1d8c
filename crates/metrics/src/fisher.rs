//! Diagonal Fisher information of a policy.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Mean over samples of the squared gradient of one log-probability each: the diagonal of the Fisher information when
/// the label of each sample is drawn from the policy itself.
///
/// Table 1 of arXiv 2509.04259 weights weight changes with it, expectation over prior-task inputs.
///
/// `log_prob(sample_idx)` gives `[1]`, log π(y | x) in nats, computed with `policy` on a device with gradients.
///
/// Returns one vector per float parameter, in the order in which the module visits them.
pub fn diagonal_fisher<M: Module>(
    policy: &M,
    n_samples: usize,
    mut log_prob: impl FnMut(usize) -> Tensor<1>,
) -> Vec<Vec<f32>> {
    let mut squares = Squares::default();
    for sample_idx in 0..n_samples {
        squares.gradients = GradientsParams::from_grads(log_prob(sample_idx).backward(), policy);
        squares.param_idx = 0;
        policy.visit(&mut squares);
    }
    let mean = |sum: Vec<f64>| sum.into_iter().map(|sum| (sum / n_samples as f64) as f32).collect();
    squares.sums.into_iter().map(mean).collect()
}

#[derive(Default)]
struct Squares {
    gradients: GradientsParams,
    param_idx: usize,
    sums: Vec<Vec<f64>>,
}

impl ModuleVisitor for Squares {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.sums.len() == self.param_idx {
            self.sums.push(vec![0.0; param.val().shape().num_elements()]);
        }
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let gradient = gradient.into_data();
            let gradient = gradient.as_slice::<f32>().expect("gradients of f32 parameters are f32");
            for (sum, &value) in self.sums[self.param_idx].iter_mut().zip(gradient) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        self.param_idx += 1;
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use razor_core::Seed;
    use razor_models::Mlp;
    use razor_tensor::log_probs;

    use super::*;

    #[test]
    fn a_linear_softmax_has_the_fisher_worked_by_hand() {
        let device = Device::flex().autodiff();
        let policy = Mlp::init(&[2, 2], Seed::new(0), &device);
        let inputs = Tensor::<2>::from_data([[2.0, -1.0]], &device);
        let table = log_probs(policy.forward(inputs.clone()));
        let probs: Vec<f32> = table.exp().into_data().try_into_vec().unwrap();
        let log_prob = |sample_idx: usize| {
            log_probs(policy.forward(inputs.clone())).slice([0..1, sample_idx..sample_idx + 1]).reshape([1])
        };
        // One sample of each label; d log π(0)/dz = (1 − p₀, −p₁) and d log π(1)/dz = (−p₀, 1 − p₁).
        let fisher = diagonal_fisher(&policy, 2, log_prob);
        let of_logit = [
            ((1.0 - probs[0]).powi(2) + probs[0].powi(2)) / 2.0,
            (probs[1].powi(2) + (1.0 - probs[1]).powi(2)) / 2.0,
        ];
        let expected = [4.0 * of_logit[0], 4.0 * of_logit[1], of_logit[0], of_logit[1]]; // weight is [in, out]
        for (found, expected) in fisher[0].iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{fisher:?} against {expected:?}"); // f32
        }
        assert!((fisher[1][0] - of_logit[0]).abs() < 1e-5, "{fisher:?}");
    }
}
