//! The methods that are compared, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::comparison::ComparedMethod;

/// A fine-tuning method of the ParityMNIST study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Oracle SFT: one label drawn from q*, the base policy conditioned on being right.
    SftOracle,
    /// Oracle SFT on q* itself instead of a draw.
    SftOracleSoft,
    /// GRPO with advantages standardized in each group.
    Grpo,
    /// GRPO plus KL(π‖π₀).
    GrpoKl,
    /// GRPO without the division by the standard deviation.
    DrGrpo,
    /// 1–0 REINFORCE: the reward is the advantage.
    Reinforce,
    /// The exact policy gradient: all ten labels enumerated instead of drawn.
    PolicyGradient,
    /// SFT on labels drawn from a fine-tuned RL policy.
    SftDistilled,
    /// SFT on a label drawn uniformly among the five right ones.
    SftUniform,
    /// SFT-2: even → uniform {0, 4}, odd → uniform {1, 5}.
    Sft2,
    /// SFT-2 plus KL(π‖π₀).
    Sft2Kl,
    /// SFT-1: every even → 0, every odd → 1.
    Sft1,
    /// SimPO: the label of SFT-2 against a uniform wrong one.
    Simpo,
}

impl Method {
    /// The five methods of the paper's ParityMNIST study (figure 3, table 1).
    pub const PAPER: [Self; 5] = [Self::SftOracle, Self::GrpoKl, Self::Grpo, Self::Sft2, Self::Sft1];

    /// Every method, in the order of figures and tables.
    pub const ALL: [Self; 13] = [
        Self::SftOracle,
        Self::SftOracleSoft,
        Self::GrpoKl,
        Self::Grpo,
        Self::DrGrpo,
        Self::Reinforce,
        Self::PolicyGradient,
        Self::SftDistilled,
        Self::SftUniform,
        Self::Sft2,
        Self::Sft2Kl,
        Self::Sft1,
        Self::Simpo,
    ];

    /// Name in records and configs, as serde writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SftOracle => "sft_oracle",
            Self::SftOracleSoft => "sft_oracle_soft",
            Self::Grpo => "grpo",
            Self::GrpoKl => "grpo_kl",
            Self::DrGrpo => "dr_grpo",
            Self::Reinforce => "reinforce",
            Self::PolicyGradient => "policy_gradient",
            Self::SftDistilled => "sft_distilled",
            Self::SftUniform => "sft_uniform",
            Self::Sft2 => "sft2",
            Self::Sft2Kl => "sft2_kl",
            Self::Sft1 => "sft1",
            Self::Simpo => "simpo",
        }
    }

    /// Name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::SftOracle => "Oracle SFT",
            Self::SftOracleSoft => "Oracle SFT (soft)",
            Self::Grpo => "GRPO",
            Self::GrpoKl => "GRPO + KL",
            Self::DrGrpo => "Dr. GRPO",
            Self::Reinforce => "1–0 REINFORCE",
            Self::PolicyGradient => "Exact policy gradient",
            Self::SftDistilled => "SFT on RL samples",
            Self::SftUniform => "SFT (uniform parity)",
            Self::Sft2 => "SFT-2",
            Self::Sft2Kl => "SFT-2 + KL",
            Self::Sft1 => "SFT-1",
            Self::Simpo => "SimPO",
        }
    }

    /// Color and marker in every figure. A variant shares those of the method that it varies, so the paper's methods
    /// and the others are never in one figure.
    pub(crate) fn palette_idx(self) -> usize {
        match self {
            Self::SftOracle | Self::SftOracleSoft => 0,
            Self::GrpoKl => 1,
            Self::Grpo | Self::PolicyGradient => 2,
            Self::Sft2 | Self::Sft2Kl => 3,
            Self::Sft1 => 4,
            Self::DrGrpo => 5,
            Self::Reinforce => 6,
            Self::Simpo => 7,
            Self::SftUniform => 8,
            Self::SftDistilled => 9,
        }
    }

    /// Whether the method adds KL(π‖π₀) to its loss.
    pub(crate) fn has_kl_penalty(self) -> bool {
        matches!(self, Self::GrpoKl | Self::Sft2Kl)
    }
}

impl ComparedMethod for Method {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn title(self) -> &'static str {
        Self::title(self)
    }

    fn palette_idx(self) -> usize {
        Self::palette_idx(self)
    }
}

/// The title of the method whose name stands in a record.
pub(crate) fn title_of(name: &str) -> &str {
    Method::ALL.iter().find(|method| method.name() == name).map_or(name, |method| method.title())
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_and_records_use_the_same_names() {
        for method in Method::ALL {
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{}\"", method.name()));
        }
    }
}
