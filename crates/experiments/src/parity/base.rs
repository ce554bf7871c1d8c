//! The base policy: joint pretraining on a few images of both tasks.
//!
//! Paper: arXiv 2509.04259, appendix B.3: 500 images each, the parity label a random digit of the right parity. It
//! states neither optimizer nor length; ours are in the presets. The random label is redrawn on every visit: with
//! the true digit as label π₀ would be peaked and the choice of labels would matter less.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::seq::SliceRandom;
use razor_core::Seed;
use razor_models::{Mlp, MlpWeights};
use razor_tensor::log_probs;
use razor_trainers::sft_loss;

use crate::parity::config::PretrainConfig;
use crate::parity::labels::right_label;
use crate::parity::learner::Learner;
use crate::parity::task::{Task, TaskImages, WIDTHS};

/// A base policy and the new-task images that it has not seen.
#[derive(Debug)]
pub(crate) struct Base {
    /// Its weights.
    pub weights: MlpWeights,
    /// Training images of the new task that pretraining left over, shuffled.
    pub unseen_idxs: Vec<usize>,
}

/// Pretrains the base policy of one seed.
pub(crate) fn pretrain(
    parity: TaskImages<'_>,
    fashion: TaskImages<'_>,
    config: &PretrainConfig,
    seed: Seed,
    device: &Device,
) -> Base {
    let n_per_task = config.n_images_per_task;
    let parity_idxs = shuffled(parity.images.len(), seed.derive("pretrain-parity", 0));
    let fashion_idxs = shuffled(fashion.images.len(), seed.derive("pretrain-fashion", 0));
    let (parity_seen, parity_unseen) = parity_idxs.split_at(n_per_task);
    let mixed: Vec<(Task, usize)> = parity_seen
        .iter()
        .map(|&idx| (Task::Parity, idx))
        .chain(fashion_idxs[..n_per_task].iter().map(|&idx| (Task::Fashion, idx)))
        .collect();

    let start = Mlp::init(&WIDTHS, seed.derive("init", 0), device);
    let mut learner = Learner::new(&MlpWeights::of(&start), config.optimizer, device);
    let n_steps = mixed.len().div_ceil(config.batch_size) * config.n_epochs;
    let n_warmup = (n_steps as f64 * config.warmup_share).round() as usize;
    let mut step_idx = 0;
    for epoch_idx in 0..config.n_epochs {
        let mut order = mixed.clone();
        order.shuffle(&mut seed.derive("pretrain-shuffle", epoch_idx as u64).rng());
        for batch in order.chunks(config.batch_size) {
            let mut rng = seed.derive("pretrain-labels", step_idx as u64).rng();
            let (mut rows, mut labels) = (Vec::new(), Vec::with_capacity(batch.len()));
            for &(task, idx) in batch {
                let images = if task == Task::Parity { parity } else { fashion };
                let class = images.images.label(idx);
                rows.extend(images.rows(&[idx]));
                labels.push(match task {
                    Task::Parity => right_label(class, &mut rng) as i32,
                    Task::Fashion => i32::from(class),
                });
            }
            let n_rows = labels.len();
            let rate = config.schedule.learning_rate(config.learning_rate, step_idx, n_warmup, n_steps);
            learner.step(&rows, rate, |logits| {
                let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [n_rows]), &logits.device());
                (sft_loss(log_probs(logits), labels), ())
            });
            step_idx += 1;
        }
    }
    Base { weights: learner.weights(), unseen_idxs: parity_unseen.to_vec() }
}

fn shuffled(n: usize, seed: Seed) -> Vec<usize> {
    let mut idxs: Vec<usize> = (0..n).collect();
    idxs.shuffle(&mut seed.rng());
    idxs
}
