//! What a reward is worth relative to its group.

use serde::{Deserialize, Serialize};

/// How rewards become advantages.
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
    /// `(reward − mean of the group) / (std of the whole batch + 1e-4)`, TRL's `scale_rewards="batch"`. Source: arXiv
    /// 2508.08221, which recommends it.
    BatchStandardized,
    /// `reward − mean of the others` in the group. Source: RLOO, arXiv 2402.14740, section 3.
    LeaveOneOut,
}

/// Keeps a group without spread from dividing by zero; TRL's value.
const STD_FLOOR: f32 = 1e-4;

impl Advantage {
    /// Advantages of one group of completions, which is also the whole batch.
    ///
    /// Those relative to the group sum to zero up to rounding, and a group whose rewards are all equal gets exactly
    /// zero from them.
    ///
    /// # Panics
    /// When `rewards` is empty, or has one element for an advantage that needs two: neither is a group.
    pub fn of_group(self, rewards: &[f32]) -> Vec<f32> {
        let rewards: Vec<_> = rewards.iter().copied().map(Some).collect();
        self.of_batch(&rewards, rewards.len())
    }

    /// Advantages of all groups of a batch.
    ///
    /// A completion without a reward, because no verdict could be reached, gets an advantage of zero and is left out of
    /// every mean and deviation; so does, for a relative advantage, the only completion of a group that has one.
    ///
    /// # Shapes
    /// - `rewards`: `[P, G]` row by row
    /// - returns: `[P, G]` row by row
    ///
    /// # Panics
    /// When groups are empty, not whole, or of one completion for an advantage that needs two.
    pub fn of_batch(self, rewards: &[Option<f32>], group_size: usize) -> Vec<f32> {
        assert!(group_size > 0, "a group has at least one completion");
        assert_eq!(rewards.len() % group_size, 0, "{} rewards are no groups of {group_size}", rewards.len());
        let is_alone = group_size == 1 && matches!(self, Self::Standardized | Self::LeaveOneOut);
        assert!(!is_alone, "{self:?} compares the completions of a group and needs two, found one");
        let of_batch = Scored::new(rewards);
        let groups = rewards.chunks_exact(group_size);
        groups.flat_map(|group| self.of_scored(group, &Scored::new(group), &of_batch)).collect()
    }

    fn of_scored(self, rewards: &[Option<f32>], group: &Scored, batch: &Scored) -> Vec<f32> {
        let relative = |reward: f32| match self {
            Self::Reward => reward,
            _ if group.is_flat => 0.0,
            Self::Centered => reward - group.mean,
            Self::Standardized => (reward - group.mean) / (group.deviation + STD_FLOOR),
            Self::BatchStandardized => (reward - group.mean) / (batch.deviation + STD_FLOOR),
            Self::LeaveOneOut => reward - (group.sum - reward) / (group.n - 1.0),
        };
        rewards.iter().map(|reward| reward.map_or(0.0, relative)).collect()
    }
}

/// Groups in which all rewards are equal or fewer than two are known: they teach a relative method nothing.
///
/// # Shapes
/// - `rewards`: `[P, G]` row by row
pub(crate) fn n_without_spread(rewards: &[Option<f32>], group_size: usize) -> usize {
    rewards.chunks_exact(group_size).filter(|group| Scored::new(group).is_flat).count()
}

/// Statistics of the rewards that are known.
struct Scored {
    n: f32,
    sum: f32,
    mean: f32,
    /// Unbiased standard deviation; 0 of fewer than two.
    deviation: f32,
    /// Whether all are equal, or there are fewer than two.
    is_flat: bool,
}

impl Scored {
    fn new(rewards: &[Option<f32>]) -> Self {
        let scored = || rewards.iter().copied().flatten();
        let n = scored().count() as f32;
        let sum = scored().sum::<f32>();
        let mean = sum / n;
        let squares = scored().map(|reward| (reward - mean).powi(2)).sum::<f32>();
        let deviation = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let first = scored().next();
        Self { n, sum, mean, deviation, is_flat: scored().all(|reward| Some(reward) == first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: [f32; 8] = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    const RELATIVE: [Advantage; 4] =
        [Advantage::Standardized, Advantage::Centered, Advantage::BatchStandardized, Advantage::LeaveOneOut];

    #[test]
    fn relative_advantages_sum_to_zero() {
        for advantage in RELATIVE {
            let sum: f32 = advantage.of_group(&MIXED).iter().sum();
            assert!(sum.abs() < 1e-5, "{advantage:?} sums to {sum}"); // eight f32 roundings
        }
    }

    #[test]
    fn a_group_without_spread_gets_exactly_zero() {
        for advantage in RELATIVE {
            for reward in [0.0, 1.0, 0.1] {
                assert_eq!(advantage.of_group(&[reward; 8]), [0.0; 8]); // eight times 0.1 is not 0.8 in f32
            }
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

    #[test]
    fn leaving_one_out_compares_with_the_others() {
        assert_eq!(Advantage::LeaveOneOut.of_group(&[3.0, 1.0, 0.0]), [2.5, -0.5, -2.0]);
    }

    #[test]
    fn one_deviation_of_the_batch_serves_all_groups() {
        // Group means 1 and 3; the mean of all is 2, their unbiased variance 24/3.
        let rewards = [0.0, 2.0, 0.0, 6.0].map(Some);
        let scale = (24.0_f32 / 3.0).sqrt() + 1e-4;
        let found = Advantage::BatchStandardized.of_batch(&rewards, 2);
        for (found, expected) in found.iter().zip([-1.0, 1.0, -3.0, 3.0]) {
            assert!((found - expected / scale).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn a_completion_without_a_reward_moves_nothing() {
        for advantage in RELATIVE {
            let known = advantage.of_batch(&[1.0, 0.0, 0.0].map(Some), 3);
            let found = advantage.of_batch(&[Some(1.0), None, Some(0.0), Some(0.0)], 4);
            assert_eq!(found, [known[0], 0.0, known[1], known[2]], "{advantage:?}");
            let lonely = advantage.of_batch(&[Some(1.0), None, None, None, Some(1.0), Some(0.0)], 2);
            assert_eq!(lonely[..4], [0.0; 4], "{advantage:?}");
        }
        assert_eq!(Advantage::Reward.of_batch(&[None, Some(1.0)], 2), [0.0, 1.0]);
    }

    #[test]
    fn groups_without_spread_are_counted() {
        let rewards = [Some(1.0), Some(1.0), Some(1.0), None, Some(0.0), Some(1.0), None, None];
        assert_eq!(n_without_spread(&rewards, 2), 3);
    }
}
