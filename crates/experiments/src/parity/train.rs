//! One fine-tuning run: from the base policy through the steps of one method, measured on the way.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::seq::SliceRandom;
use razor_core::Seed;
use razor_metrics::DistributionShift;
use razor_models::{Mlp, MlpWeights, sample_label};
use razor_tensor::{log_probs, weighted_cross_entropy};
use razor_trainers::{
    Advantage, LabelGroups, exact_policy_gradient_weights, kl_penalty, oracle_log_probs,
    policy_gradient_weights, sample_groups, sft_loss, simpo_loss,
};

use crate::error::ExperimentError;
use crate::parity::config::FinetuneConfig;
use crate::parity::dynamics::StepProbe;
use crate::parity::labels::{parity_reward, right_label, sft1_label, sft2_label, wrong_label};
use crate::parity::learner::Learner;
use crate::parity::measure::Yardstick;
use crate::parity::method::Method;
use crate::parity::plan::Setting;
use crate::parity::record::{DynamicsRecord, EvalRecord, StepRecord};
use crate::parity::task::{N_LABELS, Task, TaskImages, inputs_from_rows, to_host};

/// Every how many steps a line of `steps.jsonl` is written.
const STEP_CADENCE: usize = 20;

/// What all runs of one seed share, read-only.
#[derive(Debug)]
pub(crate) struct SeedContext<'a> {
    /// Training images of the new task.
    pub parity_train: TaskImages<'a>,
    /// Which of them fine-tuning may use, in a fixed random order.
    pub train_idxs: Vec<usize>,
    /// The base policy.
    pub base: MlpWeights,
    /// Its log-probabilities on all training images of the new task, `[N, 10]` in nats.
    pub base_log_probs: Vec<f32>,
    /// Measures a policy against the base.
    pub yardstick: Yardstick<'a>,
}

/// What a run produced.
#[derive(Debug)]
pub(crate) struct Trained {
    pub steps: Vec<StepRecord>,
    pub evals: Vec<EvalRecord>,
    pub dynamics: Vec<DynamicsRecord>,
    pub weights: MlpWeights,
}

/// Trains one run. Same arguments, same bits: everything random comes from `seed`.
///
/// # Errors
/// [`ExperimentError::Metrics`] for a policy that has diverged.
pub(crate) fn finetune(
    context: &SeedContext<'_>,
    config: &FinetuneConfig,
    setting: &Setting,
    teacher: Option<&MlpWeights>,
    probe: Option<&StepProbe<'_>>,
    seed: Seed,
    device: &Device,
) -> Result<Trained, ExperimentError> {
    let mut learner = Learner::new(&context.base, setting.optimizer(config), device);
    let labeler = Labeler {
        context,
        config,
        method: setting.method,
        teacher: teacher.map(|weights| weights.to_mlp(device)),
        seed,
        device,
    };
    let train_idxs = &context.train_idxs[..config.n_images];
    let steps_per_epoch = train_idxs.len().div_ceil(config.batch_size);
    let n_steps = steps_per_epoch * setting.n_epochs;
    let n_warmup = (n_steps as f64 * config.warmup_share).round() as usize;
    let n_checkpoints = config.n_checkpoints_per_epoch * setting.n_epochs;
    let checkpoint_steps: Vec<usize> =
        (1..=n_checkpoints).map(|c| (c * n_steps).div_ceil(n_checkpoints)).collect();

    let mut trained =
        Trained { steps: vec![], evals: vec![], dynamics: vec![], weights: context.base.clone() };
    let (mut step, mut learning_rate_sum) = (0, 0.0);
    for epoch_idx in 0..setting.n_epochs {
        let mut order = train_idxs.to_vec();
        order.shuffle(&mut seed.derive("shuffle", epoch_idx as u64).rng());
        for idxs in order.chunks(config.batch_size) {
            let learning_rate =
                setting.schedule.learning_rate(setting.learning_rate, step, n_warmup, n_steps);
            let rows = context.parity_train.rows(idxs);
            let watched =
                probe.filter(|probe| probe.watches(step + 1)).map(|probe| (probe, learner.weights()));
            let batch = learner.step(&rows, learning_rate, |logits| {
                let batch = labeler.loss(logits, &rows, idxs, step);
                (batch.loss.clone(), batch)
            });
            step += 1;
            learning_rate_sum += learning_rate;
            if step % STEP_CADENCE == 0 || step == n_steps {
                trained.steps.push(batch.record(step, learning_rate));
            }
            if let Some((probe, before)) = watched {
                trained.dynamics.push(probe.record(step, &before, &learner.weights()));
            }
            if checkpoint_steps.contains(&step) {
                let (weights, at_end) = (learner.weights(), step == n_steps);
                trained.evals.push(context.yardstick.measure(&weights, step, learning_rate_sum, at_end)?);
            }
        }
    }
    trained.weights = learner.weights();
    Ok(trained)
}

/// Turns a batch of images into the loss of a method.
struct Labeler<'a> {
    context: &'a SeedContext<'a>,
    config: &'a FinetuneConfig,
    method: Method,
    teacher: Option<Mlp>,
    seed: Seed,
    device: &'a Device,
}

/// A batch with its loss and what is worth writing down about it.
struct Batch {
    loss: Tensor<1>,
    log_probs: Tensor<2>,
    reference: Tensor<2>,
    groups: Option<LabelGroups>,
}

impl Batch {
    fn record(&self, step: usize, learning_rate: f64) -> StepRecord {
        let shift =
            DistributionShift::between(&self.reference.clone().inner(), &self.log_probs.clone().inner());
        StepRecord {
            step,
            learning_rate,
            loss: f64::from(self.loss.clone().into_scalar::<f32>()),
            kl_reference_to_policy: shift.kl_reference_to_policy,
            reward: self.groups.as_ref().map(LabelGroups::mean_reward),
            zero_variance_share: self.groups.as_ref().map(LabelGroups::zero_variance_share),
        }
    }
}

impl Labeler<'_> {
    /// The loss of the images `idxs`, whose input rows are `rows`, given the policy's `logits` `[B, V]` for them.
    fn loss(&self, logits: Tensor<2>, rows: &[f32], idxs: &[usize], step: usize) -> Batch {
        let classes = self.context.parity_train.classes(idxs);
        let log_probs = log_probs(logits); // [B, V]
        let base_rows = self.base_rows(idxs);
        let reference = self.table(base_rows.clone()); // [B, V]
        let mut rng = self.seed.derive("labels", step as u64).rng();
        let mut groups = None;

        let mut loss = match self.method {
            Method::Grpo | Method::GrpoKl | Method::DrGrpo | Method::Reinforce => {
                let drawn = self.draw_groups(&log_probs, &classes, &mut rng);
                let weights = policy_gradient_weights(&drawn, self.advantage(), N_LABELS);
                groups = Some(drawn);
                weighted_cross_entropy(log_probs.clone(), self.table(weights))
            }
            Method::PolicyGradient => {
                let reward = |row: usize, label: usize| parity_reward(classes[row], label);
                let probs = to_host(log_probs.clone().inner());
                let weights = exact_policy_gradient_weights(&probs, N_LABELS, reward);
                weighted_cross_entropy(log_probs.clone(), self.table(weights))
            }
            Method::SftOracle | Method::SftOracleSoft => {
                let right = |row: usize, label: usize| Task::Parity.is_right(classes[row], label);
                let oracle = oracle_log_probs(&base_rows, N_LABELS, right);
                if self.method == Method::SftOracleSoft {
                    let target = oracle.iter().map(|log_prob| log_prob.exp()).collect();
                    weighted_cross_entropy(log_probs.clone(), self.table(target))
                } else {
                    let labels = oracle.chunks_exact(N_LABELS).map(|row| sample_label(row, &mut rng));
                    sft_loss(log_probs.clone(), self.labels(labels))
                }
            }
            Method::SftDistilled => {
                let teacher = self.teacher.as_ref().expect("the plan gives every student a teacher");
                let inputs = inputs_from_rows(rows.to_vec(), self.device);
                let answers = to_host(razor_tensor::log_probs(teacher.forward(inputs)));
                let labels = answers.chunks_exact(N_LABELS).map(|row| sample_label(row, &mut rng));
                sft_loss(log_probs.clone(), self.labels(labels))
            }
            Method::SftUniform => {
                let labels = classes.iter().map(|&class| right_label(class, &mut rng));
                sft_loss(log_probs.clone(), self.labels(labels))
            }
            Method::Sft2 | Method::Sft2Kl => {
                let labels = classes.iter().map(|&class| sft2_label(class, &mut rng));
                sft_loss(log_probs.clone(), self.labels(labels))
            }
            Method::Sft1 => {
                sft_loss(log_probs.clone(), self.labels(classes.iter().map(|&class| sft1_label(class))))
            }
            Method::Simpo => {
                let pairs =
                    classes.iter().map(|&class| (sft2_label(class, &mut rng), wrong_label(class, &mut rng)));
                let (chosen, rejected): (Vec<usize>, Vec<usize>) = pairs.unzip();
                simpo_loss(log_probs.clone(), self.labels(chosen), self.labels(rejected))
            }
        };
        if self.method.has_kl_penalty() {
            loss = loss + kl_penalty(log_probs.clone(), reference.clone()) * self.config.kl_coefficient;
        }
        Batch { loss, log_probs, reference, groups }
    }

    fn advantage(&self) -> Advantage {
        match self.method {
            Method::DrGrpo => Advantage::Centered,
            Method::Reinforce => Advantage::Reward,
            _ => Advantage::Standardized,
        }
    }

    fn draw_groups(&self, log_probs: &Tensor<2>, classes: &[u8], rng: &mut impl rand::Rng) -> LabelGroups {
        let reward = |row: usize, label: usize| parity_reward(classes[row], label);
        let rows = to_host(log_probs.clone().inner());
        sample_groups(&rows, N_LABELS, self.config.group_size, reward, rng)
    }

    /// Log-probabilities of the base policy, `[B, 10]` row by row.
    fn base_rows(&self, idxs: &[usize]) -> Vec<f32> {
        idxs.iter()
            .flat_map(|idx| &self.context.base_log_probs[idx * N_LABELS..][..N_LABELS])
            .copied()
            .collect()
    }

    fn table(&self, rows: Vec<f32>) -> Tensor<2> {
        let n_rows = rows.len() / N_LABELS;
        Tensor::from_data(TensorData::new(rows, [n_rows, N_LABELS]), &self.device.clone().autodiff())
    }

    fn labels(&self, labels: impl IntoIterator<Item = usize>) -> Tensor<1, Int> {
        let labels: Vec<i32> = labels.into_iter().map(|label| label as i32).collect();
        let n_rows = labels.len();
        Tensor::from_data(TensorData::new(labels, [n_rows]), &self.device.clone().autodiff())
    }
}
