//! Twenty steps on fixed completions against PyTorch: `tests/golden/training.py` made the figures and says what they are.

use std::convert::Infallible;
use std::fs;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{DType, Device};
use razor_models::{HostData, HostTensor, LmConfig};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::language::learner::LearnerConfig;
use crate::language::loss::{KlEstimator, KlPenalty, Surrogate, policy_gradient_preset};
use crate::language::rollout::Judgement;
use crate::{AdamWConfig, Schedule};

#[derive(Deserialize)]
struct Curve {
    settings: Settings,
    batches: Vec<Group>,
    /// The batch of each step.
    order: Vec<usize>,
    updates: Vec<ExpectedUpdate>,
}

#[derive(Deserialize)]
struct Settings {
    preset: String,
    learning_rate: f64,
    schedule: Schedule,
    n_warmup: usize,
    n_steps: usize,
    weight_decay: f64,
    max_grad_norm: f64,
    n_iterations: usize,
    temperature: f32,
    max_completion_tokens: usize,
    low: f64,
    high: f64,
    beta: f64,
    group_size: usize,
}

#[derive(Deserialize)]
struct Group {
    sequences: Vec<Sequence>,
    rewards: Vec<f32>,
}

#[derive(Deserialize)]
struct Sequence {
    ids: Vec<u32>,
    completion_start: usize,
}

#[derive(Deserialize)]
struct ExpectedUpdate {
    loss: f64,
    grad_norm: f64,
    n_clipped: [usize; 2],
    kl: f64,
}

struct Golden {
    bytes: Vec<u8>,
    json: Value,
}

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
        let json = serde_json::from_slice(&fs::read(folder.join("training.json")).unwrap()).unwrap();
        Self { bytes: fs::read(folder.join("training.safetensors")).unwrap(), json }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let (numbers, rest) = tensors.tensor(name).unwrap().data().as_chunks::<4>();
        assert!(rest.is_empty());
        numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn base(&self) -> Decoder {
        let config = LmConfig::parse(Path::new("config"), self.json["config"].as_str().unwrap()).unwrap();
        let Ok(base) = Decoder::build(&config, DType::F32, &Device::flex(), |spec| {
            let data = HostData::F32(self.floats(&format!("base/{}", spec.name)));
            Ok::<_, Infallible>(HostTensor { shape: spec.shape.clone(), data })
        });
        base
    }
}

impl Settings {
    fn config(&self, n_sequences: usize) -> PolicyGradientConfig {
        let mut config = policy_gradient_preset(&self.preset).unwrap();
        config.loss.surrogate = Surrogate::Clipped { low: self.low, high: self.high, two_sided: None };
        config.loss.kl = (self.beta > 0.0).then_some(KlPenalty {
            coefficient: self.beta,
            estimator: KlEstimator::K3,
            multiply_by_ratio: true,
        });
        config.optimization.sequences_per_step = n_sequences;
        let Self { group_size, n_iterations, temperature, max_completion_tokens, .. } = *self;
        PolicyGradientConfig { group_size, n_iterations, temperature, max_completion_tokens, ..config }
    }

    fn learner(&self) -> LearnerConfig {
        let Self { weight_decay, max_grad_norm, .. } = *self;
        let adamw = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay };
        LearnerConfig { adamw, max_grad_norm, micro_batch_tokens: 20, recompute: false, tile_mib: 1 }
    }
}

impl Group {
    fn rollouts(&self, learner: &Learner, temperature: f32) -> Vec<Rollout> {
        let drawn = |(idx, (sequence, &reward)): (usize, (&Sequence, &f32))| {
            let Sequence { ids, completion_start } = sequence;
            let completion = *completion_start..ids.len();
            let example = TokenExample { ids: ids.clone(), completion, boundary_differs: false };
            let sampler_log_probs = learner.score(&[&example], temperature).remove(0).log_probs;
            let judgement = Judgement { reward: Some(reward), text: String::new(), reason: String::new() };
            Rollout {
                prompt_idx: 0,
                sample_idx: idx,
                example,
                sampler_log_probs,
                is_truncated: false,
                judgement,
            }
        };
        self.sequences.iter().zip(&self.rewards).enumerate().map(drawn).collect()
    }
}

/// Largest distance found, and what it was found at.
#[derive(Default)]
struct Worst(f64, String);

impl Worst {
    fn see(&mut self, found: f64, expected: f64, scale: f64, what: impl FnOnce() -> String) {
        let distance = (found - expected).abs() / scale;
        if distance > self.0 || distance.is_nan() {
            *self = Self(distance, format!("{}: {found}, not {expected}", what()));
        }
    }

    fn assert_below(&self, tolerance: f64) {
        eprintln!("largest distance {:.1e} of {tolerance:.0e} allowed; {}", self.0, self.1);
        assert!(self.0 <= tolerance, "{:.1e} above {tolerance:.0e}: {}", self.0, self.1);
    }
}

fn assert_same_curve(name: &str) {
    let golden = Golden::open();
    let curve: Curve = serde_json::from_value(golden.json[name].clone()).unwrap();
    let settings = &curve.settings;
    let base = golden.base();
    let mut judge = |_: usize, _: &[u32]| -> Result<Judgement, String> { unreachable!("nothing is drawn") };
    let n_sequences = curve.batches[0].sequences.len();
    let prompts = vec![vec![1]; n_sequences / settings.group_size];
    let config = settings.config(n_sequences);
    let method =
        PolicyGradientMethod::new(&prompts, &mut judge, config, &[], 8, &base, Seed::new(0)).unwrap();
    let mut learner = Learner::new(base.clone(), settings.learner());
    let mut expected = curve.updates.iter();
    let (mut losses, mut norms) = (Worst::default(), Worst::default());
    for (step_idx, &batch_idx) in curve.order.iter().enumerate() {
        let Settings { schedule, learning_rate, n_warmup, n_steps, .. } = *settings;
        let rate = schedule.learning_rate(learning_rate, step_idx, n_warmup, n_steps);
        let rollouts = curve.batches[batch_idx].rollouts(&learner, settings.temperature);
        let batch = method.batch(&learner, rollouts);
        for iteration in 0..settings.n_iterations {
            let expected = expected.next().unwrap();
            let all: Range<usize> = 0..batch.rollouts.len();
            let found = method.accumulate(&mut learner, &batch, all);
            let update = learner.step(rate);
            let at = || format!("{name}, step {step_idx}, iteration {iteration}");
            losses.see(found.loss, expected.loss, 1.0, at);
            losses.see(found.kl, expected.kl, expected.kl.max(1.0), at);
            norms.see(update.grad_norm, expected.grad_norm, expected.grad_norm, at);
            assert_eq!(found.n_clipped, expected.n_clipped, "{}", at());
        }
    }
    assert!(expected.next().is_none() && curve.order.len() == 20);
    let mut weights = Worst::default();
    for (parameter_name, parameter) in learner.policy().parameters() {
        let found: Vec<f32> = parameter.values().into_data().try_into_vec().unwrap();
        let expected = golden.floats(&format!("{name}/{parameter_name}"));
        assert_eq!(found.len(), expected.len(), "{parameter_name}");
        for (found, expected) in found.into_iter().zip(expected) {
            weights.see(f64::from(found), f64::from(expected), 1.0, || parameter_name.clone());
        }
    }
    losses.assert_below(LOSS_ROUNDING);
    norms.assert_below(NORM_ROUNDING);
    weights.assert_below(WEIGHT_ROUNDING);
}

// PyTorch is as far from itself when it reads each sequence alone: 6.3e-6, 1.6e-6 and 3.0e-6; we were 3.1e-6, 1.2e-6 and
// 3.9e-6 from it. Adam divides by the root of the squared gradient: where that is near 0, rounding reaches the weight.
const LOSS_ROUNDING: f64 = 1e-5;
const NORM_ROUNDING: f64 = 5e-6;
const WEIGHT_ROUNDING: f64 = 1e-5;

#[test]
fn dr_grpo_on_fixed_completions_follows_pytorch_for_twenty_steps() {
    assert_same_curve("grpo");
}

#[test]
fn clipped_grpo_with_a_kl_and_two_passes_follows_pytorch_for_twenty_steps() {
    assert_same_curve("grpo_clipped");
}
