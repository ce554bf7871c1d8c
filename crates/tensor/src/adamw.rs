//! The arithmetic of one AdamW step.
//!
//! Source: decoupled weight decay, arXiv 1711.05101, algorithm 2, with the learning rate multiplying the decay as
//! PyTorch does.

use burn::tensor::{DType, Tensor};
#[cfg(feature = "flex")]
use rayon::prelude::*;

#[cfg(feature = "flex")]
use crate::vectorized::vectorized;

/// The numbers of one step, in the precision of the parameters.
#[derive(Debug, Clone, Copy)]
pub struct AdamWUpdate {
    beta1: f32,
    beta2: f32,
    /// 1 − β of both moments, taken in f64: 1 − 0.999 in f32 is 1.3e-5 too small, and every step 7e-6 too large.
    shares: [f32; 2],
    epsilon: f32,
    keep: f32,
    step_size: f32,
    root_correction: f32,
    gradient_scale: f32,
}

/// A parameter with its moments, all of one shape in f32.
#[derive(Debug, Clone)]
pub struct AdamWTensors {
    /// The parameter.
    pub values: Tensor<2>,
    /// Decayed mean of its gradients.
    pub mean: Tensor<2>,
    /// Decayed mean of their squares.
    pub square: Tensor<2>,
}

impl AdamWUpdate {
    /// Step number `n_steps`, from 1.
    ///
    /// - `betas`: decay of both moments, in `[0, 1)`
    /// - `epsilon`: added to the root of the second moment
    /// - `weight_decay`: per unit of learning rate
    pub fn new(betas: [f64; 2], epsilon: f64, weight_decay: f64, n_steps: usize, learning_rate: f64) -> Self {
        let n_steps = i32::try_from(n_steps).unwrap_or(i32::MAX);
        Self {
            beta1: betas[0] as f32,
            beta2: betas[1] as f32,
            shares: betas.map(|beta| (1.0 - beta) as f32),
            epsilon: epsilon as f32,
            keep: (1.0 - learning_rate * weight_decay) as f32,
            step_size: (learning_rate / (1.0 - betas[0].powi(n_steps))) as f32,
            root_correction: (1.0 / (1.0 - betas[1].powi(n_steps)).sqrt()) as f32,
            gradient_scale: 1.0,
        }
    }

    /// Multiplies gradients by `scale` before anything else, as clipping of the norm does.
    #[must_use]
    pub fn with_gradient_scale(self, scale: f32) -> Self {
        Self { gradient_scale: scale, ..self }
    }

    /// Updates values and moments. Written so that the compiler vectorizes it; no operation depends on the width
    /// of the vectors, so every CPU gives the same bits.
    #[inline(always)]
    pub fn apply(self, values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let moments = mean.iter_mut().zip(square.iter_mut());
        for ((value, &gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = self.gradient_scale * gradient;
            *mean = self.beta1 * *mean + self.shares[0] * gradient;
            *square = self.beta2 * *square + self.shares[1] * (gradient * gradient);
            let denominator = square.sqrt() * self.root_correction + self.epsilon;
            *value = *value * self.keep - self.step_size * (*mean / denominator);
        }
    }

    /// [`apply`](Self::apply) on tensors: on the CPU in their own memory, by all threads, with the same bits.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn apply_to(self, tensors: AdamWTensors, gradient: &Tensor<2>) -> AdamWTensors {
        assert_eq!(tensors.values.dims(), gradient.dims(), "a gradient has the shape of its parameter");
        let AdamWTensors { values, mean, square } = tensors;
        #[cfg(feature = "flex")]
        if [&values, &mean, &square, gradient].into_iter().all(crate::host::is_here) {
            let gradient = crate::host::borrow(gradient);
            let gradient = crate::host::f32s(&gradient);
            let [values, mean, square] = crate::host::all_changed([values, mean, square], |numbers| {
                self.by_threads(numbers, gradient)
            });
            return AdamWTensors { values, mean, square };
        }
        let gradient = gradient.clone().cast(DType::F32) * self.gradient_scale;
        let mean = mean * self.beta1 + gradient.clone() * self.shares[0];
        let square = square * self.beta2 + gradient.square() * self.shares[1];
        let denominator = square.clone().sqrt() * self.root_correction + self.epsilon;
        let values = values * self.keep - mean.clone() / denominator * self.step_size;
        AdamWTensors { values, mean, square }
    }

    #[cfg(feature = "flex")]
    fn by_threads(self, [values, mean, square]: [&mut [f32]; 3], gradient: &[f32]) {
        /// Numbers of one piece of work: enough to be worth a thread.
        const PIECE: usize = 1 << 15;
        let moments = mean.par_chunks_mut(PIECE).zip(square.par_chunks_mut(PIECE));
        values.par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE)).zip(moments).for_each(
            |((values, gradient), (mean, square))| {
                vectorized(
                    #[inline(always)]
                    || self.apply(values, gradient, mean, square),
                );
            },
        );
    }
}

/// Σ x² in f64, in an order that does not depend on the number of threads.
pub fn sum_of_squares(tensor: &Tensor<2>) -> f64 {
    /// Numbers of one sum.
    const PIECE: usize = 1 << 12;
    #[cfg(feature = "flex")]
    if crate::host::is_here(tensor) {
        let host = crate::host::borrow(tensor);
        let square = |&x: &f32| f64::from(x) * f64::from(x);
        let sums: Vec<f64> =
            crate::host::f32s(&host).par_chunks(PIECE).map(|piece| piece.iter().map(square).sum()).collect();
        return sums.into_iter().sum();
    }
    // Row by row on the device, then in f64: one f32 sum over millions of squares would lose digits.
    let rows = tensor.clone().cast(DType::F32).square().sum_dim(1);
    rows.into_data().iter::<f32>().map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn tensor(numbers: &[f32], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len() / 7, 7]), device)
    }

    fn host(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn tensors_are_updated_as_slices_are_and_as_other_devices_do() {
        let n = 7 * 9001;
        let update = AdamWUpdate::new([0.9, 0.999], 1e-8, 0.01, 3, 1e-3).with_gradient_scale(0.25);
        let (mut values, gradient, mut mean) = (noise(n, 1), noise(n, 2), noise(n, 3));
        let mut square: Vec<f32> = noise(n, 4).iter().map(|x| x * x).collect();
        let tensors = |device: &Device| AdamWTensors {
            values: tensor(&values, device),
            mean: tensor(&mean, device),
            square: tensor(&square, device),
        };
        let plain = Device::flex();
        let here = update.apply_to(tensors(&plain), &tensor(&gradient, &plain));
        // Under autodiff nothing is host memory, so Burn's operations compute.
        let graph = plain.clone().autodiff();
        let there = update.apply_to(tensors(&graph), &tensor(&gradient, &graph));
        update.apply(&mut values, &gradient, &mut mean, &mut square);
        assert_eq!(host(here.values.clone()), values);
        assert_eq!(host(here.mean), mean);
        assert_eq!(host(here.square), square);
        // another order of f32 operations on values below 1
        there.values.into_data().assert_approx_eq::<f32>(&here.values.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_first_step_is_as_long_as_the_learning_rate() {
        let update = AdamWUpdate::new([0.9, 0.999], 1e-30, 0.0, 1, 1e-3);
        let gradient = noise(100, 6);
        let (mut values, mut mean, mut square) = ([0.0; 100], [0.0; 100], [0.0; 100]);
        update.apply(&mut values, &gradient, &mut mean, &mut square);
        for (value, gradient) in values.iter().zip(gradient) {
            // eight roundings of f32
            assert!((value / (-1e-3 * gradient.signum()) - 1.0).abs() < 5e-7, "{gradient}: {value}");
        }
    }

    #[test]
    fn the_sum_of_squares_keeps_its_digits() {
        let numbers = noise(7 * 5000, 5);
        let expected: f64 = numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let plain = Device::flex();
        let found = sum_of_squares(&tensor(&numbers, &plain));
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        let found = sum_of_squares(&tensor(&numbers, &plain.autodiff()));
        assert!((found / expected - 1.0).abs() < 1e-6, "rows are summed in f32: {found} {expected}");
    }
}
