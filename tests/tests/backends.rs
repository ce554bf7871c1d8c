//! Losses, gradients and training on ndarray against flex.
//!
//! The backends share no kernels, so what they agree on is Razor's arithmetic and not an accident of one of them.

#![expect(clippy::unwrap_used, reason = "a gradient that is missing should fail the test here")]

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use razor_core::Seed;
use razor_models::{Mlp, MlpWeights};
use razor_tensor::{distribution_l2, kl_divergence, log_probs, total_variation, weighted_cross_entropy};
use razor_trainers::{
    AdamW, AdamWConfig, Advantage, kl_penalty, policy_gradient_weights, sample_groups, sft_loss, simpo_loss,
};

const N_ROWS: usize = 16;
const N_LABELS: usize = 10;
const WIDTHS: [usize; 4] = [20, 32, 16, N_LABELS];

fn devices() -> [Device; 2] {
    #[expect(deprecated, reason = "kept for cross-checks until Burn removes it")]
    let ndarray = Device::ndarray();
    [Device::flex().autodiff(), ndarray.autodiff()]
}

fn draw(label: &str, n: usize) -> Vec<f32> {
    let mut rng = Seed::new(0).derive(label, 0).rng();
    (0..n).map(|_| rng.random_range(-3.0..3.0)).collect()
}

fn table(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let n_columns = values.len() / N_ROWS;
    Tensor::from_data(TensorData::new(values, [N_ROWS, n_columns]), device)
}

fn labels(offset: i32, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = (0..N_ROWS as i32).map(|row| (7 * row + offset) % N_LABELS as i32).collect();
    Tensor::from_data(TensorData::from(&labels[..]), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn assert_close(flex: &[f32], ndarray: &[f32], tolerance: f32, what: &str) {
    assert_eq!(flex.len(), ndarray.len(), "{what}");
    assert!(flex.iter().any(|&value| value != 0.0), "{what} is more than zeros");
    for (idx, (flex, ndarray)) in flex.iter().zip(ndarray).enumerate() {
        let error = (flex - ndarray).abs();
        assert!(error <= tolerance * flex.abs().max(1.0), "{what}[{idx}]: flex {flex}, ndarray {ndarray}");
    }
}

/// Weights of the policy gradient of groups drawn, on the host, from fixed probabilities.
fn group_weights(advantage: Advantage) -> Vec<f32> {
    let uniform = vec![-(N_LABELS as f32).ln(); N_ROWS * N_LABELS];
    let even = |_: usize, label: usize| f32::from(label.is_multiple_of(2));
    let groups = sample_groups(&uniform, N_LABELS, 8, even, &mut Seed::new(1).rng());
    policy_gradient_weights(&groups, advantage, N_LABELS)
}

/// Every loss that a method has, as a function of the policy's and the reference's log-probabilities.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

const LOSSES: [(&str, Loss); 9] = [
    ("sft", |policy, _| {
        let labels = labels(0, &policy.device());
        sft_loss(policy, labels)
    }),
    ("soft targets", |policy, reference| weighted_cross_entropy(policy, reference.exp())),
    ("grpo", |policy, _| {
        let weights = table(group_weights(Advantage::Standardized), &policy.device());
        weighted_cross_entropy(policy, weights)
    }),
    ("reinforce", |policy, _| {
        let weights = table(group_weights(Advantage::Reward), &policy.device());
        weighted_cross_entropy(policy, weights)
    }),
    ("simpo", |policy, _| {
        let [chosen, rejected] = [0, 3].map(|offset| labels(offset, &policy.device()));
        simpo_loss(policy, chosen, rejected)
    }),
    ("kl to reference", kl_penalty),
    ("kl from reference", |policy, reference| kl_divergence(reference, policy).mean()),
    ("total variation", |policy, reference| total_variation(policy, reference).mean()),
    ("l2", |policy, reference| distribution_l2(policy, reference).mean()),
];

#[test]
fn values_and_gradients_of_every_loss_agree() {
    for (name, loss) in LOSSES {
        let [flex, ndarray] = devices().map(|device| {
            let logits = table(draw("logits", N_ROWS * N_LABELS), &device).require_grad();
            let reference = log_probs(table(draw("reference", N_ROWS * N_LABELS), &device));
            let value = loss(log_probs(logits.clone()), reference);
            let gradient = host(logits.grad(&value.backward()).unwrap());
            (host(value), gradient)
        });
        // A few f32 roundings (6e-8) of sums of logs below 10: exp, log and the order of sums are the backend's own.
        assert_close(&flex.0, &ndarray.0, 1e-6, name);
        assert_close(&flex.1, &ndarray.1, 1e-6, &format!("gradient of {name}"));
    }
}

/// Gradients of all parameters at the start, and the weights after `n_steps` of AdamW.
fn train(loss: Loss, n_steps: usize, device: &Device) -> (Vec<Vec<f32>>, MlpWeights) {
    let mut weights = MlpWeights::of(&Mlp::init(&WIDTHS, Seed::new(2), device));
    let reference = log_probs(table(draw("reference", N_ROWS * N_LABELS), device));
    // PyTorch's epsilon would turn a gradient that is rounding noise into a full step of random sign.
    let config = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weight_decay: 0.01 };
    let mut optimizer = AdamW::new(config);
    let mut at_start = Vec::new();
    for step in 0..n_steps {
        let policy = weights.to_mlp(device);
        let inputs = table(draw("inputs", N_ROWS * WIDTHS[0]), device);
        let gradients = loss(log_probs(policy.forward(inputs)), reference.clone()).backward();
        let of_step: Vec<Vec<f32>> = policy
            .layers
            .iter()
            .flat_map(|layer| {
                let bias = layer.bias.as_ref().unwrap().val();
                [host(layer.weight.val().grad(&gradients).unwrap()), host(bias.grad(&gradients).unwrap())]
            })
            .collect();
        let parameters = weights.parameters.iter_mut().map(|parameter| &mut parameter.values[..]);
        optimizer.step(parameters.zip(of_step.iter().map(Vec::as_slice)), 1e-2);
        if step == 0 {
            at_start = of_step;
        }
    }
    (at_start, weights)
}

#[test]
fn training_takes_both_to_the_same_weights() {
    for (name, loss) in LOSSES {
        let [flex, ndarray] = devices().map(|device| train(loss, 20, &device));
        for (layer, (flex, ndarray)) in flex.0.iter().zip(&ndarray.0).enumerate() {
            assert_close(flex, ndarray, 2e-7, &format!("{name}: gradient of parameter {layer}"));
        }
        for (flex, ndarray) in flex.1.parameters.iter().zip(&ndarray.1.parameters) {
            // Twenty steps of 1e-2, in which rounding passes through gradients divided by at least 1e-4; 6e-7 was seen.
            assert_close(&flex.values, &ndarray.values, 1e-5, &format!("{name}: {}", flex.name));
        }
    }
}
