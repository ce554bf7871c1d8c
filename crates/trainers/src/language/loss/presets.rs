//! Named settings, as plain data.
//!
//! The presets of TRL are the defaults of its version 1.16 where they bear on the loss; those named after a method change
//! what the method changes, as TRL's documentation advises, and keep TRL's other values. Those of the paper are Table 2 of
//! arXiv 2509.04259; what it leaves open is marked *ours*.

use serde::{Deserialize, Serialize};

use super::{
    CorrectionBound, CorrectionLevel, Importance, PolicyLoss, Reduction, SamplerCorrection, SftLoss,
    SimpoLoss, Surrogate,
};
use crate::advantage::Advantage;
use crate::optimizer::AdamWConfig;
use crate::schedule::Schedule;

/// What happens to gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimization {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// What follows the warm-up.
    pub schedule: Schedule,
    /// Steps of linear warm-up.
    pub n_warmup: usize,
    /// Norm that the whole gradient is clipped to.
    pub max_grad_norm: f64,
    /// The optimizer.
    pub adamw: AdamWConfig,
    /// Sequences per optimizer step, over all micro-batches.
    pub sequences_per_step: usize,
}

/// A policy-gradient method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyGradientConfig {
    /// The loss of a token.
    pub loss: PolicyLoss,
    /// How tokens and sequences are averaged.
    pub reduction: Reduction,
    /// How rewards become advantages.
    pub advantage: Advantage,
    /// β of the KL that is taken from the reward; 0 for none.
    pub kl_in_reward: f64,
    /// Whether completions that reached the limit are left out of the loss.
    pub mask_truncated: bool,
    /// Applied where the sampler's log-probabilities are known and its engine is not the trainer's.
    pub sampler_correction: Option<SamplerCorrection>,
    /// Drift in nats per token beyond which a bad sequence is dropped.
    pub off_policy_threshold: Option<f64>,
    /// Completions per prompt (G).
    pub group_size: usize,
    /// Optimizer steps that share a batch of completions once.
    pub n_minibatches: usize,
    /// Times that a batch of completions is gone through (μ).
    pub n_iterations: usize,
    /// Of sampling and of the log-probabilities in the loss.
    pub temperature: f32,
    /// The longest completion allowed.
    pub max_completion_tokens: usize,
    /// What happens to gradients.
    pub optimization: Optimization,
}

/// Supervised fine-tuning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftConfig {
    /// The loss of a token.
    pub loss: SftLoss,
    /// How tokens are averaged.
    pub reduction: Reduction,
    /// The longest sequence, prompt and completion together; what is beyond is cut off.
    pub max_tokens: usize,
    /// Times that the data is gone through.
    pub n_epochs: usize,
    /// What happens to gradients.
    pub optimization: Optimization,
}

/// PyTorch's defaults without weight decay, as `transformers` sets them.
const ADAMW: AdamWConfig = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

const fn trl_optimization(learning_rate: f64) -> Optimization {
    Optimization {
        learning_rate,
        schedule: Schedule::Linear,
        n_warmup: 0,
        max_grad_norm: 1.0,
        adamw: ADAMW,
        sequences_per_step: 8,
    }
}

const fn clipped(low: f64, high: f64, importance: Importance) -> PolicyLoss {
    PolicyLoss { surrogate: Surrogate::Clipped { low, high, two_sided: None }, importance, kl: None }
}

/// `GRPOConfig` of TRL 1.16, whose loss is DAPO's with one clip range for both sides.
pub fn trl_grpo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: clipped(0.2, 0.2, Importance::Token),
        reduction: Reduction::TokenMean,
        advantage: Advantage::Standardized,
        kl_in_reward: 0.0,
        mask_truncated: false,
        sampler_correction: Some(SamplerCorrection {
            level: CorrectionLevel::Sequence,
            bound: CorrectionBound::Mask,
            min: None,
            max: Some(3.0),
        }),
        off_policy_threshold: None,
        group_size: 8,
        n_minibatches: 1,
        n_iterations: 1,
        temperature: 1.0,
        max_completion_tokens: 512,
        optimization: trl_optimization(1e-6),
    }
}

/// `RLOOConfig` of TRL 1.16.
pub fn trl_rloo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: clipped(0.2, 0.2, Importance::SequenceSum),
        reduction: Reduction::SequenceMean,
        advantage: Advantage::LeaveOneOut,
        kl_in_reward: 0.05,
        sampler_correction: None,
        group_size: 2,
        ..trl_grpo()
    }
}

/// `SFTConfig` of TRL 1.16.
pub fn trl_sft() -> SftConfig {
    SftConfig {
        loss: SftLoss::Nll,
        reduction: Reduction::TokenMean,
        max_tokens: 1024,
        n_epochs: 3,
        optimization: trl_optimization(2e-5),
    }
}

/// Dr. GRPO, arXiv 2503.20783: no division by the deviation or by lengths.
pub fn dr_grpo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        reduction: Reduction::ConstantLength,
        advantage: Advantage::Centered,
        ..trl_grpo()
    }
}

/// DAPO, arXiv 2503.14476, section 4.1, without its dynamic sampling and soft punishment of length.
pub fn dapo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: clipped(0.2, 0.28, Importance::Token),
        mask_truncated: true,
        group_size: 16,
        max_completion_tokens: 20_480,
        optimization: Optimization { sequences_per_step: 512, ..trl_optimization(1e-6) },
        ..trl_grpo()
    }
}

/// GSPO, arXiv 2507.18071, section 5.1: one ratio per sequence, each batch of completions in four steps.
pub fn gspo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: clipped(3e-4, 4e-4, Importance::SequenceMean),
        reduction: Reduction::SequenceMean,
        n_minibatches: 4,
        ..trl_grpo()
    }
}

/// CISPO, arXiv 2506.13585, with the bound of ScaleRL, arXiv 2510.13786.
pub fn cispo() -> PolicyGradientConfig {
    let surrogate = Surrogate::Cispo { max: 5.0 };
    PolicyGradientConfig {
        loss: PolicyLoss { surrogate, importance: Importance::Token, kl: None },
        ..trl_grpo()
    }
}

/// `loss_type="bnpo"` of TRL 1.16 at its default size of a batch per device.
pub fn bnpo() -> PolicyGradientConfig {
    PolicyGradientConfig { reduction: Reduction::LocalTokenMean { local_batch: 8 }, ..trl_grpo() }
}

/// Reinforcement learning of the paper: Dr. GRPO with 8 prompts of 64 completions, no KL. *Ours*: the clip range, which
/// matters for μ = 2 only, 1024 tokens, the middle of the learning rates 1e-5 to 5e-5.
pub fn paper_grpo() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: clipped(0.2, 0.2, Importance::Token),
        reduction: Reduction::ConstantLength,
        advantage: Advantage::Centered,
        kl_in_reward: 0.0,
        mask_truncated: false,
        sampler_correction: None,
        off_policy_threshold: None,
        group_size: 64,
        n_minibatches: 1,
        n_iterations: 1,
        temperature: 1.0,
        max_completion_tokens: 1024,
        optimization: Optimization {
            learning_rate: 3e-5,
            schedule: Schedule::Constant,
            n_warmup: 50,
            max_grad_norm: 1.0,
            adamw: ADAMW,
            sequences_per_step: 512,
        },
    }
}

/// 1–0 REINFORCE of the paper, section 5.1: the reward itself as advantage, and nothing clipped.
pub fn reinforce_1_0() -> PolicyGradientConfig {
    PolicyGradientConfig {
        loss: PolicyLoss { surrogate: Surrogate::Reinforce, importance: Importance::Token, kl: None },
        advantage: Advantage::Reward,
        ..paper_grpo()
    }
}

/// Supervised fine-tuning of the paper. It sweeps learning rates of 1e-5 to 9e-5, constant and cosine, 1 and 2 epochs,
/// 16 to 128 sequences. *Ours*: one point of that, the middle rate; 2048 tokens.
pub fn paper_sft() -> SftConfig {
    SftConfig {
        loss: SftLoss::Nll,
        reduction: Reduction::TokenMean,
        max_tokens: 2048,
        n_epochs: 1,
        optimization: Optimization {
            learning_rate: 5e-5,
            sequences_per_step: 32,
            ..paper_grpo().optimization
        },
    }
}

/// SimPO as the paper prints it, section 5.1.
pub fn paper_simpo() -> SimpoLoss {
    SimpoLoss { beta: 1.0, gamma: 1.0, is_length_normalized: false }
}

/// SimPO itself, arXiv 2405.14734, with β = 2 and γ/β = 0.5.
pub fn standard_simpo() -> SimpoLoss {
    SimpoLoss { beta: 2.0, gamma: 1.0, is_length_normalized: true }
}

/// The policy-gradient preset of this name, which is that of its function.
pub fn policy_gradient_preset(name: &str) -> Option<PolicyGradientConfig> {
    let preset = match name {
        "trl_grpo" => trl_grpo,
        "trl_rloo" => trl_rloo,
        "dr_grpo" => dr_grpo,
        "dapo" => dapo,
        "gspo" => gspo,
        "cispo" => cispo,
        "bnpo" => bnpo,
        "paper_grpo" => paper_grpo,
        "reinforce_1_0" => reinforce_1_0,
        _ => return None,
    };
    Some(preset())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] =
        ["trl_grpo", "trl_rloo", "dr_grpo", "dapo", "gspo", "cispo", "bnpo", "paper_grpo", "reinforce_1_0"];

    #[test]
    fn every_step_is_made_of_whole_groups() {
        for name in NAMES {
            let preset = policy_gradient_preset(name).unwrap();
            assert!(preset.group_size > 1);
            assert_eq!(preset.optimization.sequences_per_step % preset.group_size, 0, "{name}");
        }
        assert_eq!(policy_gradient_preset("grpo"), None);
    }

    #[test]
    fn no_two_presets_are_the_same() {
        for (idx, name) in NAMES.iter().enumerate() {
            for other in &NAMES[idx + 1..] {
                assert_ne!(policy_gradient_preset(name), policy_gradient_preset(other), "{name} is {other}");
            }
        }
    }
}
