//! What predicts forgetting? The candidates of this study.

use razor_report::PredictorInputs;

use crate::comparison::{Candidate, FORWARD_KL};
use crate::parity::points::Point;

/// All candidates: those of Table 1 of the paper, the same on old-task inputs, and what others proposed.
#[rustfmt::skip] // a table
pub(crate) const CANDIDATES: [Candidate<Point>; 18] = {
    use PredictorInputs::{NewTask, None as NoInputs, OldTask};
    [
        Candidate { name: FORWARD_KL, title: "Forward KL(π₀‖π)", inputs: NewTask, paper: Some(0.96), value: |p| p.eval.shift_new.kl_reference_to_policy },
        Candidate { name: "kl_policy_to_reference", title: "Reverse KL(π‖π₀)", inputs: NewTask, paper: Some(0.93), value: |p| p.eval.shift_new.kl_policy_to_reference },
        Candidate { name: "total_variation", title: "Total variation", inputs: NewTask, paper: Some(0.80), value: |p| p.eval.shift_new.total_variation },
        Candidate { name: "distribution_l2", title: "Distribution L2", inputs: NewTask, paper: Some(0.56), value: |p| p.eval.shift_new.l2 },
        Candidate { name: "activation_l1", title: "Activation change L1", inputs: NewTask, paper: Some(0.52), value: |p| p.eval.activation_new.l1 },
        Candidate { name: "activation_l2", title: "Activation change L2", inputs: NewTask, paper: Some(0.55), value: |p| p.eval.activation_new.l2 },
        Candidate { name: "weight_l1", title: "Weight change L1", inputs: NoInputs, paper: Some(0.34), value: |p| p.eval.weight.l1 },
        Candidate { name: "weight_spectral_norm", title: "Weight change, spectral norm", inputs: NoInputs, paper: Some(0.58), value: |p| p.eval.weight.spectral_norm },
        Candidate { name: "weight_unchanged_bf16", title: "Unchanged weights (bf16)", inputs: NoInputs, paper: None, value: |p| p.eval.weight.unchanged_bf16 },
        Candidate { name: "log_learning_rate_steps", title: "log Σ learning rate over steps", inputs: NoInputs, paper: None, value: |p| p.eval.learning_rate_sum.ln() },
        Candidate { name: "weight_fisher_l2", title: "Weight change, Fisher-weighted", inputs: OldTask, paper: Some(0.58), value: |p| p.eval.weight.fisher_l2 },
        Candidate { name: "old_kl_reference_to_policy", title: "Forward KL(π₀‖π)", inputs: OldTask, paper: None, value: |p| p.eval.shift_prior.kl_reference_to_policy },
        Candidate { name: "old_kl_policy_to_reference", title: "Reverse KL(π‖π₀)", inputs: OldTask, paper: None, value: |p| p.eval.shift_prior.kl_policy_to_reference },
        Candidate { name: "old_total_variation", title: "Total variation", inputs: OldTask, paper: None, value: |p| p.eval.shift_prior.total_variation },
        Candidate { name: "old_distribution_l2", title: "Distribution L2", inputs: OldTask, paper: None, value: |p| p.eval.shift_prior.l2 },
        Candidate { name: "old_activation_l2", title: "Activation change L2", inputs: OldTask, paper: None, value: |p| p.eval.activation_prior.l2 },
        Candidate { name: "old_cka", title: "1 − CKA", inputs: OldTask, paper: None, value: |p| 1.0 - p.eval.cka.unwrap_or(0.0) },
        Candidate { name: "old_cknna", title: "1 − CKNNA", inputs: OldTask, paper: None, value: |p| 1.0 - p.eval.cknna.unwrap_or(0.0) },
    ]
};

/// What gate T5 compares forward KL with: changes of weights and activations.
pub(crate) const RIVALS: [&str; 6] = [
    "activation_l1",
    "activation_l2",
    "weight_l1",
    "weight_spectral_norm",
    "weight_unchanged_bf16",
    "weight_fisher_l2",
];
