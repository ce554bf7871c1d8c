//! How fast this machine trains and measures the ParityMNIST network.
//!
//! The work is that of a study: images become rows of inputs, the network, the loss and the optimizer are those of the
//! runs, and there is one single-threaded model per core. The images are random bytes, as no rate depends on what they
//! show. `tests/peers/parity_bench.py` does the same in PyTorch and prints the same keys.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{Rng, RngCore};
use razor_core::Seed;
use razor_data::{IMAGE_LEN, ImageSet};
use razor_models::{HostMlp, Mlp, MlpWeights};
use razor_tensor::{log_probs, weighted_cross_entropy};
use razor_trainers::{AdamWConfig, Advantage, policy_gradient_weights, sample_groups, sft_loss};
use serde::Serialize;

use crate::parity::labels::{parity_reward, sft1_label};
use crate::parity::learner::Learner;
use crate::parity::task::{N_LABELS, Task, TaskImages, WIDTHS, to_host};
use crate::pool::single_threaded;

const N_TRAIN: usize = 20_000;
const N_TEST: usize = 10_000;
const BATCH_SIZE: usize = 64;
const GROUP_SIZE: usize = 8;
const CHUNK: usize = 1000;
const MATRIX_SIDE: usize = 512;
const LEARNING_RATE: f64 = 1e-4;
/// Share of the measured time that goes before it: first-call set-up, page faults, clock.
const WARM_UP: f64 = 0.25;

/// Rates, each the sum over the workers, which begin together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    /// SFT-1 steps: gather 64 images by index, bytes to standardized floats, forward, cross-entropy, backward, AdamW.
    pub sft_steps_per_second: f64,
    /// GRPO steps: the same with 8 labels drawn per image and std-normalised advantages.
    pub grpo_steps_per_second: f64,
    /// Images: bytes to floats, forward without gradients and argmax, 10,000 in chunks of 1,000.
    pub eval_images_per_second: f64,
    /// GFLOP of 512 x 512 x 512 f32 products, one worker alone.
    pub matrix_gflops_one_process: f64,
    /// The same with all workers at once: the machine's measured matrix rate.
    pub matrix_gflops_all_processes: f64,
    /// Share of that rate which the matrix products of the SFT steps reach, see [`flop_per_step`](Self::flop_per_step).
    pub sft_matrix_share: f64,
    /// The same of the GRPO steps.
    pub grpo_matrix_share: f64,
    /// Workers, each with a model and a thread of its own.
    pub processes: usize,
}

impl Speed {
    /// Floating-point operations of the matrix products that one training step really does: forward, gradients of the
    /// weights, and gradients of the inputs of every layer but the first, which nothing needs. Element-wise work and
    /// the optimizer are not counted.
    pub fn flop_per_step() -> f64 {
        let n_weights: usize = WIDTHS.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let n_products = 3 * n_weights - WIDTHS[0] * WIDTHS[1];
        (2 * BATCH_SIZE * n_products) as f64
    }
}

/// Measures all rates, each for about `seconds`, with `n_workers` at a time.
///
/// # Panics
/// When `n_workers` is 0.
pub fn measure_speed(n_workers: usize, seconds: f64, device: &Device) -> Speed {
    assert!(n_workers > 0, "somebody has to work");
    let images = Images::random(Seed::new(0));
    let rate = |n_workers, work| rate_of(work, n_workers, seconds, &images, device);
    let matrix_gflops_one_process = rate(1, Work::MatrixProduct) * 1e-9;
    let matrix_gflops_all_processes = rate(n_workers, Work::MatrixProduct) * 1e-9;
    let (sft, grpo) = (rate(n_workers, Work::Sft), rate(n_workers, Work::Grpo));
    let share = |steps_per_second: f64| {
        steps_per_second * Speed::flop_per_step() * 1e-9 / matrix_gflops_all_processes
    };
    Speed {
        sft_steps_per_second: sft,
        grpo_steps_per_second: grpo,
        eval_images_per_second: rate(n_workers, Work::Evaluation),
        matrix_gflops_one_process,
        matrix_gflops_all_processes,
        sft_matrix_share: share(sft),
        grpo_matrix_share: share(grpo),
        processes: n_workers,
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Sft,
    Grpo,
    Evaluation,
    MatrixProduct,
}

/// Amount per second, summed over workers that begin together.
fn rate_of(work: Work, n_workers: usize, seconds: f64, images: &Images, device: &Device) -> f64 {
    let barrier = Barrier::new(n_workers);
    let measure = |worker_idx: usize| {
        let mut worker = Worker::new(images, Seed::new(worker_idx as u64), device);
        timed(seconds * WARM_UP, || worker.unit(work));
        barrier.wait();
        timed(seconds, || worker.unit(work))
    };
    std::thread::scope(|scope| {
        let measure = &measure;
        let workers =
            (0..n_workers).map(|worker_idx| scope.spawn(move || single_threaded(|| measure(worker_idx))));
        let workers: Vec<_> = workers.collect(); // all start before the first is waited for
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).sum()
    })
}

/// Amount per second over at least `seconds`, and at least one unit.
fn timed(seconds: f64, mut unit: impl FnMut() -> f64) -> f64 {
    let (mut done, start) = (0.0, Instant::now());
    loop {
        done += unit();
        let elapsed = start.elapsed();
        if elapsed >= Duration::from_secs_f64(seconds) {
            return done / elapsed.as_secs_f64();
        }
    }
}

/// Random images, shared by all workers.
struct Images {
    train: ImageSet,
    test: ImageSet,
}

impl Images {
    fn random(seed: Seed) -> Self {
        let draw = |n: usize, seed: Seed| {
            let (mut pixels, mut rng) = (vec![0; n * IMAGE_LEN], seed.rng());
            rng.fill_bytes(&mut pixels);
            ImageSet::new(pixels, (0..n).map(|_| rng.random_range(0..N_LABELS as u8)).collect())
        };
        Self { train: draw(N_TRAIN, seed.derive("train", 0)), test: draw(N_TEST, seed.derive("test", 0)) }
    }
}

/// What one thread trains and evaluates.
struct Worker<'a> {
    train: TaskImages<'a>,
    test: TaskImages<'a>,
    order: Vec<usize>,
    n_steps: usize,
    learner: Learner,
    frozen: HostMlp,
    factors: [Tensor<2>; 2],
    seed: Seed,
}

impl<'a> Worker<'a> {
    fn new(images: &'a Images, seed: Seed, device: &Device) -> Self {
        let start = MlpWeights::of(&Mlp::init(&WIDTHS, seed, device));
        let optimizer = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
        let mut order: Vec<usize> = (0..N_TRAIN).collect();
        order.shuffle(&mut seed.derive("shuffle", 0).rng());
        let mut rng = seed.derive("factors", 0).rng();
        let factors = std::array::from_fn(|_| {
            let values: Vec<f32> = (0..MATRIX_SIDE.pow(2)).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_data(TensorData::new(values, [MATRIX_SIDE, MATRIX_SIDE]), device)
        });
        Self {
            train: TaskImages { task: Task::Parity, images: &images.train },
            test: TaskImages { task: Task::Parity, images: &images.test },
            order,
            n_steps: 0,
            learner: Learner::new(&start, optimizer, device),
            frozen: HostMlp::new(&start),
            factors,
            seed,
        }
    }

    /// Does one repeatable piece of work; returns its amount: steps, images or FLOP.
    fn unit(&mut self, work: Work) -> f64 {
        match work {
            Work::Sft | Work::Grpo => {
                self.step(work);
                1.0
            }
            Work::Evaluation => {
                let n_right = self.evaluate();
                assert!(n_right <= N_TEST, "{n_right} of {N_TEST} images are right");
                N_TEST as f64
            }
            Work::MatrixProduct => {
                let product = self.factors[0].clone().matmul(self.factors[1].clone()); // [side, side]
                std::hint::black_box(product.into_data()); // a device that works ahead is waited for
                2.0 * (MATRIX_SIDE as f64).powi(3)
            }
        }
    }

    fn step(&mut self, work: Work) {
        let n_batches = N_TRAIN / BATCH_SIZE;
        let idxs = &self.order[self.n_steps % n_batches * BATCH_SIZE..][..BATCH_SIZE];
        let (rows, classes) = (self.train.rows(idxs), self.train.classes(idxs));
        let mut rng = self.seed.derive("labels", self.n_steps as u64).rng();
        self.learner.step(&rows, LEARNING_RATE, |logits| {
            let (device, table) = (logits.device(), log_probs(logits)); // [B, V]
            if work == Work::Grpo {
                let reward = |row: usize, label: usize| parity_reward(classes[row], label);
                let answers = to_host(table.clone().inner());
                let groups = sample_groups(&answers, N_LABELS, GROUP_SIZE, reward, &mut rng);
                let weights = policy_gradient_weights(&groups, Advantage::Standardized, N_LABELS);
                let weights = Tensor::from_data(TensorData::new(weights, [BATCH_SIZE, N_LABELS]), &device);
                (weighted_cross_entropy(table, weights), ())
            } else {
                let labels: Vec<i32> = classes.iter().map(|&class| sft1_label(class) as i32).collect();
                let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [BATCH_SIZE]), &device);
                (sft_loss(table, labels), ())
            }
        });
        self.n_steps += 1;
    }

    /// Number of test images whose likeliest label has the right parity.
    fn evaluate(&mut self) -> usize {
        let idxs: Vec<usize> = (0..N_TEST).collect();
        let mut n_right = 0;
        for idxs in idxs.chunks(CHUNK) {
            let logits = self.frozen.forward(&self.test.rows(idxs));
            let rows = logits.chunks_exact(N_LABELS).zip(self.test.classes(idxs));
            n_right += rows.filter(|(row, class)| Task::Parity.is_right(*class, likeliest(row))).count();
        }
        n_right
    }
}

fn likeliest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_is_measured_and_both_workers_count() {
        let speed = measure_speed(2, 0.05, &Device::flex());
        let rates = [
            speed.sft_steps_per_second,
            speed.grpo_steps_per_second,
            speed.eval_images_per_second,
            speed.matrix_gflops_one_process,
            speed.matrix_gflops_all_processes,
        ];
        assert!(rates.iter().all(|rate| rate.is_finite() && *rate > 0.0), "{speed:?}");
        assert_eq!(speed.processes, 2);
    }

    #[test]
    fn a_step_does_three_products_of_every_layer_but_one_of_the_first() {
        let weights = [785.0 * 512.0, 512.0 * 256.0, 256.0 * 10.0];
        let multiply_adds = 2.0 * weights[0] + 3.0 * (weights[1] + weights[2]);
        assert_eq!(Speed::flop_per_step(), 2.0 * 64.0 * multiply_adds);
    }
}
