//! What a run leaves on disk, line by line. Equal configs give equal bytes: no times, no paths.

use razor_metrics::{ActivationChange, DistributionShift};
use serde::{Deserialize, Serialize};

/// One line of `evals.jsonl`: the policy at a checkpoint. Step 0 is the base policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Optimizer steps taken.
    pub step: usize,
    /// Sum of the learning rates of these steps.
    pub learning_rate_sum: f64,
    /// ParityMNIST test accuracy of the likeliest label, in `[0, 1]`.
    pub new_task: f64,
    /// FashionMNIST test accuracy of the likeliest label, in `[0, 1]`.
    pub prior_task: f64,
    /// Divergences from the base policy on ParityMNIST test inputs.
    pub shift_new: DistributionShift,
    /// Divergences from the base policy on FashionMNIST test inputs.
    pub shift_prior: DistributionShift,
    /// Change of hidden activations on ParityMNIST test inputs.
    pub activation_new: ActivationChange,
    /// Change of hidden activations on FashionMNIST test inputs.
    pub activation_prior: ActivationChange,
    /// Change of the weights.
    pub weight: WeightRecord,
    /// Linear CKA of the last hidden layer with the base policy's, on FashionMNIST test inputs; `None` if undefined.
    pub cka: Option<f64>,
    /// CKNNA of the same.
    pub cknna: Option<f64>,
}

/// Change of the weights since the base policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeightRecord {
    /// Mean |Δθ|.
    pub l1: f64,
    /// Σ F Δθ², F the diagonal Fisher information of the base policy on FashionMNIST inputs.
    pub fisher_l2: f64,
    /// Σ over weight matrices of the largest singular value of ΔW.
    pub spectral_norm: f64,
    /// Share of parameters with the same f32 value.
    pub unchanged_f32: f64,
    /// Share of parameters with the same value after rounding both to bf16.
    pub unchanged_bf16: f64,
    /// Numerical rank of each ΔW (singular values above 1e-6 of the largest); only at the end of a run.
    pub ranks: Option<Vec<usize>>,
}

/// One line of `steps.jsonl`: training as it went, at a cadence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Optimizer steps taken, this one included.
    pub step: usize,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Loss of the batch.
    pub loss: f64,
    /// Mean KL(π₀‖π) on the batch before the step, in nats.
    pub kl_reference_to_policy: f64,
    /// Mean reward of the drawn labels, for methods that draw from the policy.
    pub reward: Option<f64>,
    /// Share of groups whose rewards are all equal, for the same methods.
    pub zero_variance_share: Option<f64>,
}

/// One line of `dynamics.jsonl`: what one step did (paper: appendix C.3, figure 10).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DynamicsRecord {
    /// Optimizer steps taken, this one included.
    pub step: usize,
    /// KL(π_before‖π_after) of the step on ParityMNIST test inputs, in nats.
    pub step_kl: f64,
    /// Cosine of the parameter update with the gradient of the FashionMNIST test loss; positive raises that loss.
    pub prior_cosine: f64,
    /// Cosine of the parameter update with the gradient of the ParityMNIST test loss −log π(right parity).
    pub new_cosine: f64,
}
