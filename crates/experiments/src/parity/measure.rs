//! Measures a policy against the base policy on both tasks.

use burn::tensor::{Device, Tensor, TensorData};
use razor_core::Seed;
use razor_metrics::{
    ActivationChange, ActivationChangeSums, DistributionShift, RepresentationProbe, WeightChange,
    WeightUpdate, diagonal_fisher, fisher_weighted_change, numerical_rank,
};
use razor_models::{HostMlp, MlpWeights, sample_label};
use razor_tensor::log_probs;

use crate::error::ExperimentError;
use crate::parity::config::MeasureConfig;
use crate::parity::record::{EvalRecord, WeightRecord};
use crate::parity::task::{N_LABELS, TaskImages, WIDTHS, to_host};

/// Rows of one forward pass: large enough for the matrix kernels, small enough for the cache.
const CHUNK: usize = 1000;
/// A singular value below this share of the largest counts as zero.
const RANK_TOLERANCE: f64 = 1e-6;

/// The base policy with all that comparisons need, computed once per seed and shared by all runs.
#[derive(Debug)]
pub(crate) struct Yardstick<'a> {
    base: MlpWeights,
    parity: Answers<'a>,
    fashion: Answers<'a>,
    representation: RepresentationProbe,
    n_representation: usize,
    fisher: Vec<Vec<f32>>,
    device: &'a Device,
}

/// What the base policy says and thinks about the test images of one task.
#[derive(Debug)]
struct Answers<'a> {
    images: TaskImages<'a>,
    /// `[N, 10]` in nats.
    log_probs: Vec<f32>,
    /// Output of each ReLU, `[N, width]` each.
    hidden: Vec<Vec<f32>>,
}

/// A policy on the test images of one task.
struct Comparison {
    accuracy: f64,
    shift: DistributionShift,
    activation: ActivationChange,
    /// Last hidden layer of the first images, `[n, width]`.
    features: Vec<f32>,
}

impl<'a> Yardstick<'a> {
    pub(crate) fn new(
        base: &MlpWeights,
        parity: TaskImages<'a>,
        fashion: TaskImages<'a>,
        config: &MeasureConfig,
        seed: Seed,
        device: &'a Device,
    ) -> Result<Self, ExperimentError> {
        let mut policy = HostMlp::new(base);
        let (parity, fashion) =
            (Answers::of(&mut policy, parity, device), Answers::of(&mut policy, fashion, device));
        let n_representation = config.n_representation_images;
        let representation = RepresentationProbe::new(
            fashion.features(n_representation),
            n_representation,
            config.n_neighbors,
        )?;
        let fisher = fashion_fisher(base, &fashion, config.n_fisher_images, seed.derive("fisher", 0), device);
        Ok(Self { base: base.clone(), parity, fashion, representation, n_representation, fisher, device })
    }

    /// Measures the policy with these weights. `at_end` adds what is too slow for every checkpoint.
    ///
    /// # Errors
    /// [`ExperimentError::Metrics`] for a policy that has diverged.
    pub(crate) fn measure(
        &self,
        weights: &MlpWeights,
        step: usize,
        learning_rate_sum: f64,
        at_end: bool,
    ) -> Result<EvalRecord, ExperimentError> {
        let weight = self.weight_record(weights, at_end)?;
        let mut policy = HostMlp::new(weights);
        let parity = self.parity.compare(&mut policy, 0, self.device);
        let fashion = self.fashion.compare(&mut policy, self.n_representation, self.device);
        // Undefined when every probe has the same features: weights and inputs are finite.
        let similarity = self.representation.compare(&fashion.features).ok();
        Ok(EvalRecord {
            step,
            learning_rate_sum,
            new_task: parity.accuracy,
            prior_task: fashion.accuracy,
            shift_new: parity.shift,
            shift_prior: fashion.shift,
            activation_new: parity.activation,
            activation_prior: fashion.activation,
            weight,
            cka: similarity.map(|similarity| similarity.cka),
            cknna: similarity.map(|similarity| similarity.cknna),
        })
    }

    fn weight_record(&self, policy: &MlpWeights, at_end: bool) -> Result<WeightRecord, ExperimentError> {
        let pairs = || self.base.parameters.iter().zip(&policy.parameters);
        let change = WeightChange::between(pairs().map(|(b, a)| (b.values.as_slice(), a.values.as_slice())))?;
        let mut fisher_l2 = 0.0;
        for ((before, after), fisher) in pairs().zip(&self.fisher) {
            fisher_l2 += fisher_weighted_change(fisher, &before.values, &after.values)?;
        }
        let (mut norm, mut ranks) = (0.0, at_end.then(Vec::new));
        for (before, after) in pairs().filter(|(before, _)| before.shape.len() == 2) {
            let update =
                WeightUpdate::between(&before.values, &after.values, before.shape[0], before.shape[1])?;
            norm += update.spectral_norm();
            if let Some(ranks) = &mut ranks {
                ranks.push(numerical_rank(&update.singular_values()?, RANK_TOLERANCE));
            }
        }
        Ok(WeightRecord {
            l1: change.mean_abs,
            fisher_l2,
            spectral_norm: norm,
            unchanged_f32: change.unchanged_f32,
            unchanged_bf16: change.unchanged_bf16,
            ranks,
        })
    }
}

impl<'a> Answers<'a> {
    fn of(policy: &mut HostMlp, images: TaskImages<'a>, device: &Device) -> Self {
        let (mut logits, mut hidden) = (Vec::new(), vec![Vec::new(); WIDTHS.len() - 2]);
        for idxs in chunks(images.images.len()) {
            logits.extend_from_slice(policy.forward(&images.rows(&idxs)));
            for (all, layer) in hidden.iter_mut().zip(policy.hidden()) {
                all.extend_from_slice(layer);
            }
        }
        Self { images, log_probs: to_host(log_probs(table(logits, device))), hidden }
    }

    /// Last hidden layer of the first `n` images.
    fn features(&self, n: usize) -> &[f32] {
        let last = self.hidden.last().expect("the network has hidden layers");
        &last[..n * WIDTHS[WIDTHS.len() - 2]]
    }

    /// Runs `policy` over the images; keeps the last hidden layer of the first `n_features` of them.
    fn compare(&self, policy: &mut HostMlp, n_features: usize, device: &Device) -> Comparison {
        let mut logits = Vec::with_capacity(self.log_probs.len());
        let mut changes = vec![ActivationChangeSums::default(); self.hidden.len()];
        let mut features = Vec::new();
        for idxs in chunks(self.images.images.len()) {
            logits.extend_from_slice(policy.forward(&self.images.rows(&idxs)));
            for (layer_idx, rows) in policy.hidden().enumerate() {
                let width = WIDTHS[layer_idx + 1];
                let base_rows = &self.hidden[layer_idx][idxs[0] * width..][..rows.len()];
                changes[layer_idx].add(base_rows, rows, width);
                if layer_idx + 1 == self.hidden.len() {
                    let n_wanted = n_features.saturating_sub(idxs[0]).min(idxs.len());
                    features.extend_from_slice(&rows[..n_wanted * width]);
                }
            }
        }
        let answers = log_probs(table(logits, device)); // [N, V]
        let base_answers = table(self.log_probs.clone(), device); // [N, V]
        Comparison {
            shift: DistributionShift::between(&base_answers, &answers),
            accuracy: self.accuracy(&to_host(answers)),
            activation: ActivationChangeSums::mean(&changes),
            features,
        }
    }

    /// Share of images whose likeliest label is right; the first of equally likely labels counts.
    fn accuracy(&self, log_probs: &[f32]) -> f64 {
        let n = self.images.images.len();
        let is_right = |(idx, row): &(usize, &[f32])| {
            let mut likeliest = 0;
            for label in 1..N_LABELS {
                if row[label] > row[likeliest] {
                    likeliest = label;
                }
            }
            self.images.task.is_right(self.images.images.label(*idx), likeliest)
        };
        log_probs.chunks_exact(N_LABELS).enumerate().filter(is_right).count() as f64 / n as f64
    }
}

fn table(rows: Vec<f32>, device: &Device) -> Tensor<2> {
    let n_rows = rows.len() / N_LABELS;
    Tensor::from_data(TensorData::new(rows, [n_rows, N_LABELS]), device)
}

fn chunks(n: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..n).step_by(CHUNK).map(move |start| (start..n.min(start + CHUNK)).collect())
}

/// Diagonal Fisher information of the base policy on prior-task images, labels drawn from the policy.
fn fashion_fisher(
    base: &MlpWeights,
    fashion: &Answers<'_>,
    n: usize,
    seed: Seed,
    device: &Device,
) -> Vec<Vec<f32>> {
    let tracked = device.clone().autodiff();
    let policy = base.to_mlp(&tracked);
    let mut rng = seed.rng();
    diagonal_fisher(&policy, n, |idx| {
        let label = sample_label(&fashion.log_probs[idx * N_LABELS..][..N_LABELS], &mut rng);
        let table = log_probs(policy.forward(fashion.images.inputs(&[idx], &tracked))); // [1, V]
        table.slice([0..1, label..label + 1]).reshape([1])
    })
}
