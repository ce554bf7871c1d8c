//! Scores, divergences and gradients at the end of a language model against PyTorch in f64.
//!
//! `tests/golden/head.py` made the figures and says what each tensor is. Razor starts from the same f32 bits, so all
//! that may differ is f32 rounding; every budget must agree.

#![expect(clippy::unwrap_used, reason = "a broken fixture should fail the test here")]

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use razor_tensor::{
    Bf16Softmax, HeadWeights, TileBudget, bf16_token_scores, token_divergences, token_loss_gradient,
    token_scores,
};
use safetensors::{Dtype, SafeTensors};

/// Rounding of logits up to 40: twelve products and sums of 40 · 6e-8 each, partly cancelling.
const LOGIT_ROUNDING: f64 = 1e-5;
const TEMPERATURES: [(&str, f32); 2] = [("1", 1.0), ("0.7", 0.7)];

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Self {
        Self(fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/head.safetensors")).unwrap())
    }

    fn values<const N: usize, V>(
        &self,
        name: &str,
        dtype: Dtype,
        from_bytes: impl Fn([u8; N]) -> V,
    ) -> Vec<V> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), dtype, "{name}");
        view.data().chunks_exact(N).map(|bytes| from_bytes(bytes.try_into().unwrap())).collect()
    }

    /// A result, computed by PyTorch in f64.
    fn truth(&self, name: &str) -> Vec<f64> {
        self.values(name, Dtype::F64, f64::from_le_bytes)
    }

    /// An input.
    fn input(&self, name: &str) -> Vec<f32> {
        self.values(name, Dtype::F32, f32::from_le_bytes)
    }

    fn integers(&self, name: &str) -> Vec<u32> {
        let stored = self.values(name, Dtype::I64, i64::from_le_bytes);
        stored.into_iter().map(|value| u32::try_from(value).unwrap()).collect()
    }

    fn matrix(&self, name: &str) -> Tensor<2> {
        let shape = SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().shape().to_vec();
        Tensor::from_data(TensorData::new(self.input(name), shape), &Device::flex())
    }

    /// Hidden states and head.
    fn model(&self, name: &str) -> (Tensor<2>, Tensor<2>) {
        (self.matrix(&format!("{name}.hidden")), self.matrix(&format!("{name}.head")))
    }
}

/// One row and a few words; some of each; everything.
fn budgets() -> [TileBudget; 4] {
    [60, 700, 3000, 1 << 20].map(|bytes| TileBudget { bytes })
}

fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn assert_close(found: &[f32], truth: &[f64], absolute: f64, relative: f64, what: &str) {
    assert_eq!(found.len(), truth.len(), "{what}");
    for (idx, (&found, &truth)) in found.iter().zip(truth).enumerate() {
        let error = (f64::from(found) - truth).abs();
        assert!(error <= absolute + relative * truth.abs(), "{what}[{idx}]: {found}, expected {truth}");
    }
}

#[test]
fn scores_agree_at_every_temperature() {
    let golden = Golden::open();
    let targets = golden.integers("targets");
    for (name, temperature) in TEMPERATURES {
        for budget in budgets() {
            let (hidden, head) = golden.model("policy");
            let found = token_scores(hidden, head, &targets, temperature, budget);
            let figures = [
                ("log_probs", &found.log_probs),
                ("entropies", &found.entropies),
                ("log_sum_exps", &found.log_sum_exps),
            ];
            for (figure, found) in figures {
                let truth = golden.truth(&format!("scores.{name}.{figure}"));
                assert_close(found, &truth, LOGIT_ROUNDING, 0.0, figure);
            }
            let is_greedy: Vec<u32> = found.is_greedy.into_iter().map(u32::from).collect();
            assert_eq!(is_greedy, golden.integers(&format!("scores.{name}.is_greedy")));
        }
    }
}

#[test]
fn divergences_of_close_and_far_policies_agree() {
    let golden = Golden::open();
    // A KL of close policies is half the variance of the differences of logits, which are 5e-4 and rounded by 1e-6.
    for (name, kl_tolerance) in [("close", [1e-9, 1e-2]), ("narrow", [LOGIT_ROUNDING, 1e-6])] {
        for budget in budgets() {
            let found = token_divergences(golden.model(name), golden.model("policy"), budget);
            let rounding = [LOGIT_ROUNDING, 0.0];
            for (figure, found, [absolute, relative]) in [
                ("kl_reference_to_policy", found.kl_reference_to_policy, kl_tolerance),
                ("kl_policy_to_reference", found.kl_policy_to_reference, kl_tolerance),
                ("total_variation", found.total_variation, rounding),
                ("l2", found.l2, rounding),
                ("reference_entropy", found.reference_entropy, rounding),
                ("policy_entropy", found.policy_entropy, rounding),
            ] {
                let truth = golden.truth(&format!("divergence.{name}.{figure}"));
                assert_close(&found, &truth, absolute, relative, &format!("{figure} from {name}"));
            }
        }
    }
}

#[test]
fn a_cross_entropy_and_its_gradients_agree() {
    let golden = Golden::open();
    let (targets, weights) = (golden.integers("targets"), golden.input("weights"));
    for budget in budgets() {
        let (hidden, head) = golden.model("policy");
        let mut loss = 0.0;
        let mut upstream = |row: usize, log_prob| {
            loss -= f64::from(weights[row]) * f64::from(log_prob);
            -weights[row]
        };
        let trained = HeadWeights::Trained(None);
        let found = token_loss_gradient(hidden, head, &targets, 1.0, &mut upstream, None, trained, budget);
        assert_close(&[loss as f32], &golden.truth("cross_entropy.loss"), 2e-6, 0.0, "loss");
        assert_close(&host(found.hidden), &golden.truth("cross_entropy.hidden"), 2e-6, 0.0, "hidden");
        assert_close(&host(found.head.unwrap()), &golden.truth("cross_entropy.head"), 2e-6, 0.0, "head");
    }
}

#[test]
fn gradients_of_log_probs_agree_at_every_temperature() {
    let golden = Golden::open();
    let (targets, upstream) = (golden.integers("targets"), golden.input("upstream"));
    for (name, temperature) in TEMPERATURES {
        for budget in budgets() {
            let (hidden, head) = golden.model("policy");
            let mut upstream = |row: usize, _| upstream[row];
            let trained = HeadWeights::Trained(None);
            let found = token_loss_gradient(
                hidden,
                head,
                &targets,
                temperature,
                &mut upstream,
                None,
                trained,
                budget,
            );
            let [of_hidden, of_head] =
                ["hidden", "head"].map(|leaf| golden.truth(&format!("log_prob.{name}.{leaf}")));
            // The logits of the first row are near 40: its probabilities are off by their rounding,
            // its gradients by that times `upstream` (2) times a weight of the head (4) or a hidden state (11).
            assert_close(&host(found.hidden), &of_hidden, 2.0 * 4.0 * LOGIT_ROUNDING, 0.0, "hidden");
            assert_close(&host(found.head.unwrap()), &of_head, 2.0 * 11.0 * LOGIT_ROUNDING, 0.0, "head");
        }
    }
}

/// `tests/golden/bf16_softmax.py` made the figures: 200 words a row, bf16 numbers, every result the very same.
#[test]
fn log_probabilities_of_bf16_logits_are_those_of_pytorch_bit_for_bit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/bf16_softmax.json");
    let golden: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f32> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    for (name, softmax) in [("rounded_sum", Bf16Softmax::RoundedSum), ("full_sum", Bf16Softmax::FullSum)] {
        let expected = &golden[name];
        let expected_log_probs = numbers(&expected["log_probs"]);
        for (idx, row) in golden["logits"].as_array().unwrap().iter().enumerate() {
            // A head of one column under a hidden state of 1: the product rounds nothing.
            let logits = numbers(row);
            let head = Tensor::<2>::from_data(TensorData::new(logits, [200, 1]), &Device::flex());
            let hidden = Tensor::<2>::ones([1, 1], &Device::flex());
            let target = golden["targets"][idx].as_u64().unwrap() as u32;
            let found = bf16_token_scores(hidden, head, &[target], softmax, TileBudget { bytes: 1 << 20 });
            assert_eq!(found.log_probs, [expected_log_probs[idx]], "{name}, row {idx}");
            assert_eq!(
                found.is_greedy[0],
                expected["is_greedy"][idx].as_bool().unwrap(),
                "{name}, row {idx}"
            );
        }
    }
}
