//! What single steps do to the old task (paper: appendix C.3, figure 10).

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use razor_metrics::DistributionShift;
use razor_models::MlpWeights;
use razor_tensor::log_probs;
use razor_trainers::sft_loss;

use crate::parity::record::DynamicsRecord;
use crate::parity::task::{N_LABELS, Task, TaskImages};

/// Test images on which single steps are watched. The paper takes the whole test sets; we take the first images of
/// each, as every watched step costs three passes over them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepProbe<'a> {
    pub parity: TaskImages<'a>,
    pub fashion: TaskImages<'a>,
    pub n_images: usize,
    pub every_n_steps: usize,
    pub device: &'a Device,
}

impl StepProbe<'_> {
    /// Whether `step` (from 1) is one of those watched.
    pub(crate) fn watches(&self, step: usize) -> bool {
        step.is_multiple_of(self.every_n_steps)
    }

    /// Compares the step from `before` to `after` with the gradients at `before`.
    pub(crate) fn record(&self, step: usize, before: &MlpWeights, after: &MlpWeights) -> DynamicsRecord {
        let idxs: Vec<usize> = (0..self.n_images).collect();
        let parity_inputs = self.parity.inputs(&idxs, self.device);
        let shift = DistributionShift::between(
            &log_probs(before.to_mlp(self.device).forward(parity_inputs.clone())),
            &log_probs(after.to_mlp(self.device).forward(parity_inputs)),
        );
        let pairs = before.parameters.iter().zip(&after.parameters);
        let update: Vec<Vec<f32>> =
            pairs.map(|(b, a)| a.values.iter().zip(&b.values).map(|(a, b)| a - b).collect()).collect();
        DynamicsRecord {
            step,
            step_kl: shift.kl_reference_to_policy,
            prior_cosine: cosine(&update, &self.gradient(before, Task::Fashion, &idxs)),
            new_cosine: cosine(&update, &self.gradient(before, Task::Parity, &idxs)),
        }
    }

    /// Gradient of the test loss of `task`, one vector per parameter.
    fn gradient(&self, weights: &MlpWeights, task: Task, idxs: &[usize]) -> Vec<Vec<f32>> {
        let tracked = self.device.clone().autodiff();
        let policy = weights.to_mlp(&tracked);
        let images = if task == Task::Parity { self.parity } else { self.fashion };
        let table = log_probs(policy.forward(images.inputs(idxs, &tracked))); // [B, V]
        let classes = images.classes(idxs);
        let loss = match task {
            Task::Fashion => {
                let classes: Vec<i32> = classes.into_iter().map(i32::from).collect();
                let classes = Tensor::<1, Int>::from_data(TensorData::new(classes, [idxs.len()]), &tracked);
                sft_loss(table, classes)
            }
            Task::Parity => right_parity_loss(&table, &classes),
        };
        let mut gradients =
            Gradients { all: GradientsParams::from_grads(loss.backward(), &policy), values: Vec::new() };
        policy.visit(&mut gradients);
        gradients.values
    }
}

/// Mean of −log π(right parity), by a log-sum-exp over the right labels: their mass may underflow.
fn right_parity_loss(log_probs: &Tensor<2>, classes: &[u8]) -> Tensor<1> {
    const EXCLUDED: f32 = -1e30;
    let wrong = |class: u8, label: usize| if Task::Parity.is_right(class, label) { 0.0 } else { EXCLUDED };
    let offsets: Vec<f32> =
        classes.iter().flat_map(|&class| (0..N_LABELS).map(move |y| wrong(class, y))).collect();
    let offsets = TensorData::new(offsets, [classes.len(), N_LABELS]);
    let right = log_probs.clone() + Tensor::from_data(offsets, &log_probs.device()); // [B, V]
    let largest = right.clone().max_dim(1).detach(); // [B, 1]
    let log_mass = (right - largest.clone()).exp().sum_dim(1).log() + largest; // [B, 1]
    -log_mass.mean()
}

struct Gradients {
    all: GradientsParams,
    values: Vec<Vec<f32>>,
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient =
            self.all.remove::<D>(param.id).expect("every parameter of the policy takes part in the loss");
        self.values.push(gradient.into_data().try_into_vec().expect("gradients of f32 parameters are f32"));
    }
}

/// Cosine of two vectors given in parts; 0 when one of them is zero.
fn cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let dot = |x: &[Vec<f32>], y: &[Vec<f32>]| -> f64 {
        let pairs = x.iter().flatten().zip(y.iter().flatten());
        pairs.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    let scale = (dot(a, a) * dot(b, b)).sqrt();
    if scale > 0.0 { dot(a, b) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;
    use razor_data::ImageSet;
    use razor_models::Mlp;

    use super::*;
    use crate::parity::task::WIDTHS;

    #[test]
    fn a_step_along_the_old_gradient_has_cosine_one() {
        let device = Device::flex();
        let images = ImageSet::new((0..784 * 3).map(|i| (i % 251) as u8).collect(), vec![1, 2, 3]);
        let probe = StepProbe {
            parity: TaskImages { task: Task::Parity, images: &images },
            fashion: TaskImages { task: Task::Fashion, images: &images },
            n_images: 3,
            every_n_steps: 10,
            device: &device,
        };
        let before = MlpWeights::of(&Mlp::init(&WIDTHS, Seed::new(0), &device));
        let mut after = before.clone();
        let gradient = probe.gradient(&before, Task::Fashion, &[0, 1, 2]);
        for (parameter, gradient) in after.parameters.iter_mut().zip(&gradient) {
            parameter.values.iter_mut().zip(gradient).for_each(|(value, g)| *value += g);
        }
        let record = probe.record(10, &before, &after);
        assert!((record.prior_cosine - 1.0).abs() < 1e-4, "{record:?}"); // weights round off small gradients
        assert!(record.new_cosine < 0.9 && record.step_kl > 0.0, "{record:?}");
        assert!(probe.watches(20) && !probe.watches(21));
    }
}
