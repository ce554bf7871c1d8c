//! Losses, divergences, the network and the optimizer against PyTorch in f64.
//!
//! `tests/golden/parity_losses.py` made the figures; `tests/golden/README.md` says what each tensor is. Razor starts
//! from the same f32 bits, so all that may differ is f32 rounding.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use razor_models::{HostMlp, MlpWeights};
use razor_tensor::{distribution_l2, kl_divergence, log_probs, total_variation, weighted_cross_entropy};
use razor_trainers::{
    AdamW, AdamWConfig, Advantage, LabelGroups, kl_penalty, oracle_log_probs, policy_gradient_weights,
    sft_loss, simpo_loss,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Error allowed relative to max(1, |truth|): about eight roundings of f32 (6e-8 each). The log-probabilities of row 0
/// reach 60 nats, so they and what is made of them are held to 6e-5 nats at most; everything else is near 1.
const ROUNDING: f64 = 5e-7;

const N_LABELS: usize = 10;
const KL_COEFFICIENT: f64 = 0.1;

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/parity_losses.safetensors");
        Self(fs::read(path).unwrap())
    }

    fn view(&self, name: &str, dtype: Dtype) -> TensorView<'_> {
        let view = SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap();
        assert_eq!(view.dtype(), dtype, "{name}");
        view
    }

    /// A result, computed by PyTorch in f64.
    fn truth(&self, name: &str) -> Vec<f64> {
        values(&self.view(name, Dtype::F64), f64::from_le_bytes)
    }

    /// An input.
    fn input(&self, name: &str) -> Vec<f32> {
        values(&self.view(name, Dtype::F32), f32::from_le_bytes)
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        let stored = values(&self.view(name, Dtype::I64), i64::from_le_bytes);
        stored.into_iter().map(|value| usize::try_from(value).unwrap()).collect()
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape = self.view(name, Dtype::F32).shape().to_vec();
        Tensor::from_data(TensorData::new(self.input(name), shape), device)
    }

    fn labels(&self, name: &str, device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i32> =
            self.integers(name).into_iter().map(|label| i32::try_from(label).unwrap()).collect();
        Tensor::from_data(TensorData::from(&labels[..]), device)
    }
}

fn values<const N: usize, V>(view: &TensorView<'_>, from_bytes: impl Fn([u8; N]) -> V) -> Vec<V> {
    view.data().chunks_exact(N).map(|bytes| from_bytes(bytes.try_into().unwrap())).collect()
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn assert_close(found: &[f32], truth: &[f64], what: &str) {
    assert_eq!(found.len(), truth.len(), "{what}");
    for (idx, (&found, &truth)) in found.iter().zip(truth).enumerate() {
        let error = (f64::from(found) - truth).abs();
        assert!(error <= ROUNDING * truth.abs().max(1.0), "{what}[{idx}]: {found}, expected {truth}");
    }
}

/// Compares a loss of the policy's log-probabilities, and its gradient at the logits, with `loss.{name}`.
fn assert_loss(name: &str, loss: impl Fn(&Golden, Tensor<2>, Tensor<2>) -> Tensor<1>) -> Vec<f32> {
    let (golden, device) = (Golden::open(), Device::flex().autodiff());
    let logits = golden.tensor::<2>("logits", &device).require_grad();
    let reference = log_probs(golden.tensor("reference_logits", &device)); // [B, V]
    let value = loss(&golden, log_probs(logits.clone()), reference);
    let gradient = host(logits.grad(&value.backward()).unwrap());
    assert_close(&host(value), &golden.truth(&format!("loss.{name}.value")), name);
    assert_close(&gradient, &golden.truth(&format!("loss.{name}.grad")), &format!("gradient of {name}"));
    gradient
}

fn table(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let n_rows = values.len() / N_LABELS;
    Tensor::from_data(TensorData::new(values, [n_rows, N_LABELS]), device)
}

fn oracle(golden: &Golden) -> Vec<f32> {
    let reference = host(log_probs(golden.tensor("reference_logits", &Device::flex())));
    let parities = golden.integers("parities");
    let oracle = oracle_log_probs(&reference, N_LABELS, |row, label| label % 2 == parities[row]);
    oracle.into_iter().map(f32::exp).collect()
}

fn groups(golden: &Golden) -> LabelGroups {
    let group_size = golden.view("rewards", Dtype::F32).shape()[1];
    LabelGroups { labels: golden.integers("group_labels"), rewards: golden.input("rewards"), group_size }
}

fn policy_gradient(golden: &Golden, advantage: Advantage, log_probs: Tensor<2>) -> Tensor<1> {
    let weights = policy_gradient_weights(&groups(golden), advantage, N_LABELS);
    let weights = table(weights, &log_probs.device());
    weighted_cross_entropy(log_probs, weights)
}

#[test]
fn log_probabilities_agree() {
    let golden = Golden::open();
    let found = host(log_probs(golden.tensor("logits", &Device::flex())));
    assert_close(&found, &golden.truth("log_probs"), "log_probs");
}

#[test]
fn divergences_agree_row_by_row() {
    let (golden, device) = (Golden::open(), Device::flex());
    let [policy, reference] =
        ["logits", "reference_logits"].map(|name| log_probs(golden.tensor(name, &device)));
    let (p, q) = (|| policy.clone(), || reference.clone());
    for (name, found) in [
        ("kl_reference_to_policy", kl_divergence(q(), p())),
        ("kl_policy_to_reference", kl_divergence(p(), q())),
        ("total_variation", total_variation(p(), q())),
        ("l2", distribution_l2(p(), q())),
    ] {
        assert_close(&host(found), &golden.truth(&format!("divergence.{name}")), name);
    }
}

#[test]
fn sft_agrees() {
    assert_loss("cross_entropy", |golden, policy, _| {
        let labels = golden.labels("labels", &policy.device());
        sft_loss(policy, labels)
    });
}

#[test]
fn the_oracle_and_sft_on_it_agree() {
    let golden = Golden::open();
    assert_close(&oracle(&golden), &golden.truth("oracle_targets"), "oracle");
    assert_loss("soft_cross_entropy", |golden, policy, _| {
        let targets = table(oracle(golden), &policy.device());
        weighted_cross_entropy(policy, targets)
    });
}

#[test]
fn advantages_agree() {
    let golden = Golden::open();
    let groups = groups(&golden);
    for (name, advantage) in [
        ("grpo", Advantage::Standardized),
        ("dr_grpo", Advantage::Centered),
        ("reinforce", Advantage::Reward),
    ] {
        let rows = groups.rewards.chunks_exact(groups.group_size);
        let found: Vec<f32> = rows.flat_map(|rewards| advantage.of_group(rewards)).collect();
        assert_close(&found, &golden.truth(&format!("advantages.{name}")), name);
    }
}

#[test]
fn policy_gradients_agree_and_a_group_without_spread_gives_none() {
    for (name, advantage) in [("grpo", Advantage::Standardized), ("dr_grpo", Advantage::Centered)] {
        let gradient = assert_loss(name, |golden, policy, _| policy_gradient(golden, advantage, policy));
        // Row 1 is all right, row 2 all wrong: not small, zero.
        assert!(gradient[N_LABELS..3 * N_LABELS].iter().all(|&value| value == 0.0), "{name}");
    }
    assert_loss("reinforce", |golden, policy, _| policy_gradient(golden, Advantage::Reward, policy));
}

#[test]
fn both_kl_terms_agree() {
    assert_loss("kl_policy_to_reference", |_, policy, reference| kl_penalty(policy, reference));
    assert_loss("kl_reference_to_policy", |_, policy, reference| kl_divergence(reference, policy).mean());
}

#[test]
fn losses_with_a_kl_penalty_agree() {
    assert_loss("grpo_kl", |golden, policy, reference| {
        let penalty = kl_penalty(policy.clone(), reference) * KL_COEFFICIENT;
        policy_gradient(golden, Advantage::Standardized, policy) + penalty
    });
    assert_loss("sft_kl", |golden, policy, reference| {
        let penalty = kl_penalty(policy.clone(), reference) * KL_COEFFICIENT;
        let labels = golden.labels("labels", &policy.device());
        sft_loss(policy, labels) + penalty
    });
}

#[test]
fn simpo_agrees() {
    assert_loss("simpo", |golden, policy, _| {
        let [chosen, rejected] =
            ["labels", "rejected_labels"].map(|name| golden.labels(name, &policy.device()));
        simpo_loss(policy, chosen, rejected)
    });
}

/// The network of the fixture as the file of weights that somebody would save from PyTorch.
fn saved_by_pytorch(golden: &Golden, path: &Path) {
    let names = (1..=3).flat_map(|layer| ["weight", "bias"].map(|kind| (layer, kind)));
    let renamed: HashMap<String, TensorView<'_>> = names
        .map(|(layer, kind)| {
            let view = golden.view(&format!("mlp.fc{layer}.{kind}"), Dtype::F32);
            (format!("layers.{}.{kind}", layer - 1), view)
        })
        .collect();
    safetensors::serialize_to_file(renamed, None, path).unwrap();
}

fn pytorch_network(golden: &Golden) -> MlpWeights {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    saved_by_pytorch(golden, &path);
    MlpWeights::load(&path, &[13, 8, 6, N_LABELS]).unwrap()
}

#[test]
fn the_graph_gives_logits_loss_and_gradients_of_a_network_from_pytorch() {
    let (golden, device) = (Golden::open(), Device::flex().autodiff());
    let policy = pytorch_network(&golden).to_mlp(&device);
    let logits = policy.forward(golden.tensor("mlp.inputs", &device));
    assert_close(&host(logits.clone()), &golden.truth("mlp.logits"), "logits");
    let loss = sft_loss(log_probs(logits), golden.labels("mlp.labels", &device));
    assert_close(&host(loss.clone()), &golden.truth("mlp.loss"), "loss");
    let gradients = loss.backward();
    for (layer, name) in policy.layers.iter().zip(["fc1", "fc2", "fc3"]) {
        let weight = layer.weight.val().grad(&gradients).unwrap().transpose(); // [out, in], as in PyTorch
        let bias = layer.bias.as_ref().unwrap().val().grad(&gradients).unwrap();
        assert_close(&host(weight), &golden.truth(&format!("mlp.grad.{name}.weight")), name);
        assert_close(&host(bias), &golden.truth(&format!("mlp.grad.{name}.bias")), name);
    }
}

#[test]
fn the_training_passes_give_logits_and_gradients_of_a_network_from_pytorch() {
    let (golden, device) = (Golden::open(), Device::flex().autodiff());
    let mut policy = HostMlp::new(&pytorch_network(&golden));
    let inputs = golden.input("mlp.inputs");
    let logits = table(policy.forward(&inputs).to_vec(), &device).require_grad();
    assert_close(&host(logits.clone()), &golden.truth("mlp.logits"), "logits");
    let loss = sft_loss(log_probs(logits.clone()), golden.labels("mlp.labels", &device));
    policy.backward(&inputs, &host(logits.grad(&loss.backward()).unwrap()));
    let mut gradients = policy.parameters_mut().map(|(_, gradient)| gradient.to_vec());
    for (name, n_outputs) in [("fc1", 8), ("fc2", 6), ("fc3", N_LABELS)] {
        let weight = gradients.next().unwrap(); // [in, out]
        let columns = (0..n_outputs).flat_map(|column| weight.iter().skip(column).step_by(n_outputs));
        let weight: Vec<f32> = columns.copied().collect(); // [out, in], as in PyTorch
        assert_close(&weight, &golden.truth(&format!("mlp.grad.{name}.weight")), name);
        assert_close(&gradients.next().unwrap(), &golden.truth(&format!("mlp.grad.{name}.bias")), name);
    }
}

#[test]
fn adamw_agrees_step_by_step_for_every_epsilon_and_decay() {
    let golden = Golden::open();
    let start = golden.input("adamw.start");
    let gradients = golden.input("adamw.gradients");
    let rates = golden.truth("adamw.learning_rates");
    for (case, weight_decay, epsilon) in [
        ("wd0_eps1e-08", 0.0, 1e-8),
        ("wd0_eps1e-04", 0.0, 1e-4),
        ("wd0.01_eps1e-08", 0.01, 1e-8),
        ("wd0.01_eps1e-04", 0.01, 1e-4),
    ] {
        let mut optimizer = AdamW::new(AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon, weight_decay });
        let mut values = start.clone();
        let truth = golden.truth(&format!("adamw.{case}.parameters"));
        let size = start.len();
        let steps = rates.iter().zip(gradients.chunks_exact(size)).zip(truth.chunks_exact(size));
        for (step_idx, ((&rate, gradient), truth)) in steps.enumerate() {
            optimizer.step([(values.as_mut_slice(), gradient)], rate);
            // A step is about 1e-3 long: the tolerance tells epsilons and a decay of 0.01 (1e-5 a step) apart.
            assert_close(&values, truth, &format!("{case}, step {}", step_idx + 1));
        }
    }
}
