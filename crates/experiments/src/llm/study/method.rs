//! The methods of the LLM study, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::comparison::ComparedMethod;

/// How a new task is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyMethod {
    /// GRPO of the paper: advantages centred in each group (Dr. GRPO), no KL.
    Grpo,
    /// GRPO with the exact-gradient k3 estimate of KL(π‖π₀) in the loss.
    GrpoKl,
    /// GRPO on an adapter.
    LoraGrpo,
    /// 1–0 REINFORCE: the reward is the advantage.
    Reinforce,
    /// SFT on the base's own right completions, drawn once.
    SftOwn,
    /// SFT on the policy's own right completions, drawn anew in every step.
    SftFresh,
    /// The policy's own completions pulled to the base that has seen the annotator's.
    SelfDistillation,
    /// SFT on the annotator's completions.
    Sft,
    /// The same, each token weighed by its probability (DFT).
    SftDft,
    /// SFT on the annotator's completions plus KL(π₀‖π).
    SftKl,
    /// The same with all weights held near the base's (L2-SP).
    SftL2sp,
    /// SFT on the annotator's completions, on an adapter.
    LoraSft,
    /// The annotator's completion over a wrong one of the base.
    Simpo,
}

impl StudyMethod {
    /// Every method, in the order of figures and tables.
    pub const ALL: [Self; 13] = [
        Self::Grpo,
        Self::GrpoKl,
        Self::LoraGrpo,
        Self::Reinforce,
        Self::SftOwn,
        Self::SftFresh,
        Self::SelfDistillation,
        Self::Sft,
        Self::SftDft,
        Self::SftKl,
        Self::SftL2sp,
        Self::LoraSft,
        Self::Simpo,
    ];

    /// Name in records and configs, as serde writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::GrpoKl => "grpo_kl",
            Self::LoraGrpo => "lora_grpo",
            Self::Reinforce => "reinforce",
            Self::SftOwn => "sft_own",
            Self::SftFresh => "sft_fresh",
            Self::SelfDistillation => "self_distillation",
            Self::Sft => "sft",
            Self::SftDft => "sft_dft",
            Self::SftKl => "sft_kl",
            Self::SftL2sp => "sft_l2sp",
            Self::LoraSft => "lora_sft",
            Self::Simpo => "simpo",
        }
    }

    /// Name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Grpo => "GRPO",
            Self::GrpoKl => "GRPO + KL",
            Self::LoraGrpo => "LoRA GRPO",
            Self::Reinforce => "1–0 REINFORCE",
            Self::SftOwn => "SFT, own samples",
            Self::SftFresh => "SFT, fresh own samples",
            Self::SelfDistillation => "self-distillation",
            Self::Sft => "SFT",
            Self::SftDft => "SFT, DFT loss",
            Self::SftKl => "SFT + KL",
            Self::SftL2sp => "SFT + L2-SP",
            Self::LoraSft => "LoRA SFT",
            Self::Simpo => "SimPO",
        }
    }

    /// Whether the policy is trained on what it draws itself.
    pub const fn is_on_policy(self) -> bool {
        matches!(
            self,
            Self::Grpo
                | Self::GrpoKl
                | Self::LoraGrpo
                | Self::Reinforce
                | Self::SftFresh
                | Self::SelfDistillation
        )
    }

    /// Whether it takes groups of completions with rewards.
    pub const fn is_policy_gradient(self) -> bool {
        matches!(self, Self::Grpo | Self::GrpoKl | Self::LoraGrpo | Self::Reinforce)
    }

    /// Whether an adapter is trained instead of all weights.
    pub const fn is_lora(self) -> bool {
        matches!(self, Self::LoraGrpo | Self::LoraSft)
    }

    /// Whether it imitates completions of the data, which a task then has to have.
    pub const fn needs_annotator(self) -> bool {
        matches!(
            self,
            Self::SelfDistillation
                | Self::Sft
                | Self::SftDft
                | Self::SftKl
                | Self::SftL2sp
                | Self::LoraSft
                | Self::Simpo
        )
    }

    /// Its place among all methods.
    pub fn order(self) -> usize {
        Self::ALL.iter().position(|method| *method == self).expect("every method is listed")
    }
}

impl ComparedMethod for StudyMethod {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn title(self) -> &'static str {
        Self::title(self)
    }

    /// There are ten colours: methods that share one are not compared in the same figure of any preset.
    fn palette_idx(self) -> usize {
        match self {
            Self::Grpo => 0,
            Self::Sft => 1,
            Self::LoraSft => 2,
            Self::Reinforce | Self::SelfDistillation => 3,
            Self::SftOwn | Self::SftDft => 4,
            Self::SftKl | Self::SftL2sp => 5,
            Self::Simpo => 6,
            Self::GrpoKl => 7,
            Self::LoraGrpo => 8,
            Self::SftFresh => 9,
        }
    }
}

/// The title of the method whose name stands in a record.
pub(crate) fn title_of(name: &str) -> &str {
    StudyMethod::ALL.iter().find(|method| method.name() == name).map_or(name, |method| method.title())
}

impl fmt::Display for StudyMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_records_hold() {
        for method in StudyMethod::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            assert_eq!(StudyMethod::ALL[method.order()], method);
        }
    }
}
