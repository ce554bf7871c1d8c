//! What a reward is worth relative to its group.

use serde::{Deserialize, Serialize};

/// How the rewards of one group become advantages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advantage {
    /// `(reward − mean) / (std + 1e-4)` with the unbiased standard deviation, as TRL computes GRPO.
    /// Source: DeepSeekMath, arXiv 2402.03300, section 4.1.
    Standardized,
    /// `reward − mean`: Dr. GRPO, which drops the division by the standard deviation. Source: arXiv 2503.20783, section 3.
    Centered,
    /// The reward itself: 1–0 REINFORCE, which never pushes a sample down. Paper: arXiv 2509.04259, section 5.1.
    Reward,
}

/// Keeps a group without spread from dividing by zero; TRL's value.
const STD_FLOOR: f32 = 1e-4;

impl Advantage {
    /// Advantages of one group of completions.
    ///
    /// Those of `Standardized` and `Centered` sum to zero up to rounding, and a group whose rewards are all equal
    /// gets exactly zero from both.
    ///
    /// # Panics
    /// When `rewards` is empty, or has one element for `Standardized`: neither is a group.
    pub fn of_group(self, rewards: &[f32]) -> Vec<f32> {
        let n = rewards.len();
        assert!(n > 0, "a group has at least one completion");
        let mean = rewards.iter().sum::<f32>() / n as f32;
        match self {
            Self::Reward => rewards.to_vec(),
            Self::Centered => rewards.iter().map(|reward| reward - mean).collect(),
            Self::Standardized => {
                assert!(n > 1, "the standard deviation of a group needs two completions, found one");
                let variance =
                    rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f32>() / (n - 1) as f32;
                let scale = variance.sqrt() + STD_FLOOR;
                rewards.iter().map(|reward| (reward - mean) / scale).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: [f32; 8] = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];

    #[test]
    fn relative_advantages_sum_to_zero() {
        for advantage in [Advantage::Standardized, Advantage::Centered] {
            let sum: f32 = advantage.of_group(&MIXED).iter().sum();
            assert!(sum.abs() < 1e-5, "{advantage:?} sums to {sum}"); // eight f32 roundings
        }
    }

    #[test]
    fn a_group_without_spread_gets_exactly_zero() {
        for advantage in [Advantage::Standardized, Advantage::Centered] {
            assert_eq!(advantage.of_group(&[1.0; 8]), [0.0; 8]);
            assert_eq!(advantage.of_group(&[0.0; 8]), [0.0; 8]);
        }
    }

    #[test]
    fn standardized_divides_by_the_unbiased_deviation() {
        // mean 1/4, unbiased variance (2·(3/4)² + 6·(1/4)²)/7 = 3/14
        let scale = (3.0_f32 / 14.0).sqrt() + 1e-4;
        let found = Advantage::Standardized.of_group(&MIXED);
        assert!((found[0] - 0.75 / scale).abs() < 1e-6);
        assert!((found[1] + 0.25 / scale).abs() < 1e-6);
    }

    #[test]
    fn reinforce_never_pushes_down() {
        assert_eq!(Advantage::Reward.of_group(&MIXED), MIXED);
    }
}
