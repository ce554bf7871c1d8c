//! What a parity study will cost, from a few steps on this machine.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use razor_core::Seed;
use razor_models::{Mlp, MlpWeights};
use razor_tensor::{log_probs, weighted_cross_entropy};

use crate::estimate::Estimate;
use crate::parity::config::ParityConfig;
use crate::parity::learner::Learner;
use crate::parity::plan::{Arm, Plan, Setting};
use crate::parity::task::{TaskImages, WIDTHS};

/// Training steps that are timed.
const N_TIMED_STEPS: usize = 40;
/// Weight change, spectral norm and CKNNA of one measurement, in training steps of batch 64. This and the next are rough
/// guesses: they only weigh measurements against steps.
const MEASUREMENT_STEPS: f64 = 60.0;
/// A forward pass that keeps and compares activations costs this much of a plain one.
const ACTIVATION_FACTOR: f64 = 1.5;
/// Program, libraries and allocator.
const PROGRAM_BYTES: u64 = 60 << 20;
/// Weights, gradients, moments and activations of one run.
const WORKER_BYTES: u64 = 40 << 20;

/// Times a few training steps on this machine and scales them to the whole plan.
pub(crate) fn estimate(
    config: &ParityConfig,
    plan: &Plan,
    images: TaskImages<'_>,
    n_workers: usize,
    device: &Device,
) -> Estimate {
    let work: f64 = plan.runs.iter().map(|run| work(config, &run.config.run.setting)).sum();
    let step = seconds_per_step(config, images, device);
    // Base, its answers to all training images, Fisher information.
    let per_seed =
        (config.data.n_train / config.finetune.batch_size + 3 * config.measure.n_fisher_images) as f64;
    let seconds = step * (work / n_workers as f64 + per_seed * config.n_seeds as f64);
    Estimate { time: Duration::from_secs_f64(seconds), memory: memory(config, n_workers) }
}

/// Work of a run in training steps.
pub(crate) fn work(config: &ParityConfig, setting: &Setting) -> f64 {
    let batch_size = config.finetune.batch_size as f64;
    let n_steps = config.finetune.n_images.div_ceil(config.finetune.batch_size) * setting.n_epochs;
    let n_evals = config.finetune.n_checkpoints_per_epoch * setting.n_epochs;
    // A step is about three forward passes.
    let forward = |n_images: usize| n_images as f64 / (3.0 * batch_size);
    let eval = 2.0 * ACTIVATION_FACTOR * forward(config.data.n_test) + MEASUREMENT_STEPS;
    let watched = match setting.arm {
        Arm::Dynamics => {
            let n_watched = (n_steps / config.dynamics.every_n_steps) as f64;
            n_watched * (2.0 + 2.0 * 3.0) * forward(config.dynamics.n_images)
        }
        Arm::Grid | Arm::Epsilon => 0.0,
    };
    n_steps as f64 + n_evals as f64 * eval + watched
}

fn seconds_per_step(config: &ParityConfig, images: TaskImages<'_>, device: &Device) -> f64 {
    let start = MlpWeights::of(&Mlp::init(&WIDTHS, Seed::new(0), device));
    let mut learner = Learner::new(&start, config.finetune.optimizer, device);
    let idxs: Vec<usize> = (0..config.finetune.batch_size.min(images.images.len())).collect();
    let mut step = || {
        learner.step(&images.rows(&idxs), 0.0, |logits| {
            let table = log_probs(logits);
            (weighted_cross_entropy(table.clone(), table.ones_like()), ())
        });
    };
    step(); // the first step allocates the moments
    let start = Instant::now();
    for _ in 0..N_TIMED_STEPS {
        step();
    }
    start.elapsed().as_secs_f64() / N_TIMED_STEPS as f64
}

fn memory(config: &ParityConfig, n_workers: usize) -> u64 {
    let n_images = 2 * (config.data.n_train + config.data.n_test);
    let hidden: usize = WIDTHS[1..WIDTHS.len() - 1].iter().sum();
    let reference_values = 2 * config.data.n_test * hidden + config.data.n_train * WIDTHS[WIDTHS.len() - 1];
    let kernel = config.measure.n_representation_images.pow(2);
    let shared = 785 * n_images + 4 * (reference_values + kernel);
    PROGRAM_BYTES + shared as u64 + n_workers as u64 * (WORKER_BYTES + 8 * kernel as u64)
}
