//! Losses of language models, their gradients with respect to logits, and advantages against TRL.
//!
//! `tests/golden/trl_losses.py` made the figures, mostly by calling TRL's own trainers; versions and the source of each
//! case stand in the fixture. Each gradient goes the way of a training step: token log-probabilities from hidden
//! states, the loss, and [`token_loss_gradient`] back. The head is the identity, so hidden states are logits.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use razor_tensor::{HeadWeights, TileBudget, token_loss_gradient, token_scores};
use razor_trainers::language::loss::{
    PolicyLoss, Reduction, SamplerCorrection, SequenceInput, SequenceTerm, SftLoss, SimpoLoss,
    active_lengths, is_off_policy, paper_simpo, policy_gradient_preset, standard_simpo,
};
use razor_trainers::{Advantage, Schedule};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Everything is near 1 but log-probabilities, which reach 11 nats and are f32: rounded by 5e-7, times a ratio of 3, an
/// advantage of 1.5 and a division by the temperature of 0.7, but also by at least 6 tokens or sequences.
const ROUNDING: f64 = 1e-6;

fn golden(part: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/trl_losses.json");
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part].take()
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= ROUNDING * expected.abs().max(1.0),
        "{what}: {found}, not {expected}"
    );
}

struct Inputs {
    logits: Vec<Vec<f32>>,
    targets: Vec<u32>,
    lengths: Vec<usize>,
    is_truncated: Vec<bool>,
    advantages: Vec<f32>,
    behavior: Vec<f32>,
    reference: Vec<f32>,
    sampler: Vec<f32>,
    temperature: f32,
    max_completion_tokens: usize,
}

impl Inputs {
    fn open() -> Self {
        let inputs = golden("inputs");
        Self {
            logits: read(&inputs["logits"]),
            targets: read(&inputs["targets"]),
            lengths: read(&inputs["lengths"]),
            is_truncated: read(&inputs["is_truncated"]),
            advantages: read(&inputs["advantages"]),
            behavior: read(&inputs["behavior"]),
            reference: read(&inputs["reference"]),
            sampler: read(&inputs["sampler"]),
            temperature: read(&inputs["temperature"]),
            max_completion_tokens: read(&inputs["max_completion_tokens"]),
        }
    }

    /// Where the tokens of each sequence are.
    fn sequences(&self) -> Vec<Range<usize>> {
        let start = |idx: usize| self.lengths[..idx].iter().sum::<usize>();
        (0..self.lengths.len()).map(|idx| start(idx)..start(idx) + self.lengths[idx]).collect()
    }

    /// Hidden states `[N, V]` and the identity `[V, V]`.
    fn model(&self) -> (Tensor<2>, Tensor<2>) {
        let (device, n_words) = (Device::flex(), self.logits[0].len());
        let logits = TensorData::new(self.logits.concat(), [self.logits.len(), n_words]);
        (Tensor::from_data(logits, &device), Tensor::eye(n_words, &device))
    }

    fn log_probs(&self, temperature: f32) -> Vec<f32> {
        let (hidden, head) = self.model();
        token_scores(hidden, head, &self.targets, temperature, TileBudget { bytes: 1 << 20 }).log_probs
    }

    /// Gradient with respect to the logits.
    fn assert_gradient(&self, of_log_probs: &[f32], temperature: f32, case: &Value, name: &str) {
        let expected: Vec<Vec<f64>> = read(&case["gradient"]);
        for bytes in [100, 1 << 20] {
            let (hidden, head) = self.model();
            let mut upstream = |row: usize, _| of_log_probs[row];
            let (frozen, budget) = (HeadWeights::Frozen, TileBudget { bytes });
            let found = token_loss_gradient(
                hidden,
                head,
                &self.targets,
                temperature,
                &mut upstream,
                None,
                frozen,
                budget,
            );
            let found: Vec<f32> = found.hidden.into_data().try_into_vec().unwrap();
            for (idx, (found, expected)) in found.iter().zip(expected.concat()).enumerate() {
                assert_close(f64::from(*found), expected, &format!("{name}, logit {idx}"));
            }
        }
    }
}

/// The terms of all sequences of a case.
fn terms(inputs: &Inputs, case: &Value, log_probs: &[f32]) -> Vec<SequenceTerm> {
    let loss: PolicyLoss = read(&case["policy_loss"]);
    let reduction: Reduction = read(&case["reduction"]);
    let correction: Option<SamplerCorrection> = read(&case["sampler_correction"]);
    let threshold: Option<f64> = read(&case["off_policy_threshold"]);
    let (mask_truncated, on_policy): (bool, bool) = (read(&case["mask_truncated"]), read(&case["on_policy"]));
    let lengths = active_lengths(&inputs.lengths, &inputs.is_truncated, mask_truncated);
    let weights = reduction.weights(&lengths, inputs.max_completion_tokens);
    let sequences = inputs.sequences().into_iter().enumerate();
    let term = |(idx, tokens): (usize, Range<usize>)| {
        let (log_probs, sampler) = (&log_probs[tokens.clone()], &inputs.sampler[tokens.clone()]);
        let behavior = if on_policy { log_probs } else { &inputs.behavior[tokens.clone()] };
        let advantage = inputs.advantages[idx];
        let is_dropped = threshold.is_some_and(|limit| is_off_policy(advantage, log_probs, sampler, limit));
        let correction = correction.map(|correction| correction.weights(behavior, sampler));
        let input = SequenceInput {
            log_probs,
            behavior_log_probs: behavior,
            reference_log_probs: loss.kl.map(|_| &inputs.reference[tokens]),
            advantage: if is_dropped { 0.0 } else { advantage },
            sampler_correction: correction.as_deref(),
        };
        loss.sequence(&input, weights[idx])
    };
    sequences.map(term).collect()
}

#[test]
fn policy_gradient_losses_and_gradients_are_those_of_trl() {
    let inputs = Inputs::open();
    let log_probs = inputs.log_probs(inputs.temperature);
    let cases = golden("policy_gradient");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let terms = terms(&inputs, case, &log_probs);
        let loss: f64 = terms.iter().map(|term| term.loss).sum();
        assert_close(loss, read(&case["loss"]), name);
        let gradient: Vec<f32> = terms.iter().flat_map(|term| term.gradient.clone()).collect();
        inputs.assert_gradient(&gradient, inputs.temperature, case, name);
    }
}

#[test]
fn clip_counts_and_kl_are_those_that_trl_logs() {
    let inputs = Inputs::open();
    let log_probs = inputs.log_probs(inputs.temperature);
    let mut n_compared = [0; 3];
    for case in golden("policy_gradient").as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        // A sequence that is dropped has no advantage with us, and so no side to be clipped on.
        if !case["off_policy_threshold"].is_null() {
            continue;
        }
        let terms = terms(&inputs, case, &log_probs);
        let found = [
            ("n_clipped_low", terms.iter().map(|term| term.n_clipped_low as f64).sum::<f64>()),
            ("n_clipped_high", terms.iter().map(|term| term.n_clipped_high as f64).sum()),
            ("kl", terms.iter().map(|term| term.kl).sum()),
        ];
        for ((key, found), n_compared) in found.into_iter().zip(&mut n_compared) {
            if let Some(expected) = case[key].as_f64() {
                assert_close(found, expected, &format!("{name}, {key}"));
                *n_compared += usize::from(expected > 0.0);
            }
        }
    }
    assert!(n_compared.iter().all(|&n| n > 3), "compared where something was counted: {n_compared:?}");
}

#[test]
fn sft_losses_and_gradients_are_those_of_trl() {
    let inputs = Inputs::open();
    let log_probs = inputs.log_probs(1.0);
    for case in golden("sft").as_array().unwrap() {
        let loss: SftLoss = read(&case["sft_loss"]);
        let weights = Reduction::TokenMean.weights(&inputs.lengths, inputs.max_completion_tokens);
        let sequences = inputs.sequences().into_iter().zip(weights);
        let (mut value, mut gradient) = (0.0, Vec::new());
        for (tokens, weight) in sequences {
            for &log_prob in &log_probs[tokens] {
                let term = loss.token(log_prob, weight);
                value += term.loss;
                gradient.push(term.gradient);
            }
        }
        assert_close(value, read(&case["loss"]), "value");
        inputs.assert_gradient(&gradient, 1.0, case, "sft");
    }
}

#[test]
fn simpo_losses_and_gradients_are_those_of_trl() {
    let inputs = Inputs::open();
    let log_probs = inputs.log_probs(1.0);
    let cases = golden("simpo");
    let cases = cases.as_array().unwrap();
    let settings: Vec<SimpoLoss> = cases.iter().map(|case| read(&case["simpo_loss"])).collect();
    assert_eq!(settings, [paper_simpo(), standard_simpo()]);
    for (loss, case) in settings.iter().zip(cases) {
        let (mut value, mut gradient) = (0.0, vec![0.0; log_probs.len()]);
        let sequences = inputs.sequences();
        let (pairs, _) = sequences.as_chunks::<2>();
        for [chosen, rejected] in pairs {
            let (of_chosen, of_rejected) = (&log_probs[chosen.clone()], &log_probs[rejected.clone()]);
            let term = loss.pair(of_chosen, of_rejected, 1.0 / pairs.len() as f64);
            value += term.loss;
            gradient[chosen.clone()].fill(term.chosen_gradient);
            gradient[rejected.clone()].fill(term.rejected_gradient);
        }
        assert_close(value, read(&case["loss"]), "value");
        inputs.assert_gradient(&gradient, 1.0, case, "simpo");
    }
}

#[test]
fn advantages_are_those_of_trl() {
    let golden = golden("advantage");
    let rewards: Vec<Vec<Option<f32>>> = read(&golden["rewards"]);
    for advantage in
        [Advantage::Standardized, Advantage::Centered, Advantage::BatchStandardized, Advantage::LeaveOneOut]
    {
        let name = serde_json::to_value(advantage).unwrap();
        let name = name.as_str().unwrap();
        let expected: Vec<Vec<f64>> = read(&golden[name]);
        let found = advantage.of_batch(&rewards.concat(), rewards[0].len());
        for (found, expected) in found.iter().zip(expected.concat()) {
            assert_close(f64::from(*found), expected, name);
        }
    }
}

#[test]
fn the_linear_schedule_is_that_of_transformers() {
    let expected: Vec<f64> = read(&golden("linear_schedule"));
    for (step_idx, expected) in expected.into_iter().enumerate() {
        let found = Schedule::Linear.learning_rate(1.0, step_idx, 0, 10);
        assert!((found - expected).abs() < 1e-12, "step {step_idx}: {found}, not {expected}");
    }
}

#[test]
fn presets_survive_a_config_file() {
    for name in ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "bnpo", "reinforce_1_0"] {
        let preset = policy_gradient_preset(name).unwrap();
        let written = serde_json::to_string(&preset).unwrap();
        assert_eq!(preset, serde_json::from_str(&written).unwrap());
    }
}
