//! Groups of labels drawn from a categorical policy, scored.

use rand::Rng;
use razor_models::sample_label;

/// For each of `P` prompts, `G` labels drawn from the policy and their rewards.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelGroups {
    /// Drawn labels, `[P, G]` row by row.
    pub labels: Vec<usize>,
    /// Reward of each label, `[P, G]` row by row.
    pub rewards: Vec<f32>,
    /// `G`.
    pub group_size: usize,
}

/// Draws `group_size` labels per row of `log_probs` and scores them.
///
/// One forward pass serves the whole group: the prompt is the same, so are the probabilities.
///
/// # Shapes
/// - `log_probs`: `[P, n_labels]` row by row, in nats, of the policy that is being trained (on-policy)
/// - `reward`: from prompt index and label to the reward
///
/// # Panics
/// When `group_size` is 0 or `log_probs` is not made of whole rows.
pub fn sample_groups(
    log_probs: &[f32],
    n_labels: usize,
    group_size: usize,
    reward: impl Fn(usize, usize) -> f32,
    rng: &mut impl Rng,
) -> LabelGroups {
    assert!(group_size > 0, "a group has at least one label");
    assert_eq!(log_probs.len() % n_labels, 0, "{} log-probs are no rows of {n_labels}", log_probs.len());
    let n_draws = log_probs.len() / n_labels * group_size;
    let (mut labels, mut rewards) = (Vec::with_capacity(n_draws), Vec::with_capacity(n_draws));
    for (prompt_idx, row) in log_probs.chunks_exact(n_labels).enumerate() {
        for _ in 0..group_size {
            let label = sample_label(row, rng);
            labels.push(label);
            rewards.push(reward(prompt_idx, label));
        }
    }
    LabelGroups { labels, rewards, group_size }
}

impl LabelGroups {
    /// Mean reward over all draws, in the range of the reward.
    pub fn mean_reward(&self) -> f64 {
        self.rewards.iter().map(|&reward| f64::from(reward)).sum::<f64>() / self.rewards.len() as f64
    }

    /// Share of groups whose rewards are all equal, in `[0, 1]`: they teach a relative method nothing.
    pub fn zero_variance_share(&self) -> f64 {
        let groups = self.rewards.chunks_exact(self.group_size);
        let n_groups = groups.len();
        let flat = groups.filter(|group| group.iter().all(|reward| reward == &group[0])).count();
        flat as f64 / n_groups as f64
    }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;

    #[test]
    fn each_draw_is_scored_for_its_own_prompt() {
        let certain = [0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0]; // prompt 0 answers 0, prompt 1 answers 1
        let groups = sample_groups(
            &certain,
            2,
            3,
            |prompt_idx, label| (10 * prompt_idx + label) as f32,
            &mut Seed::new(0).rng(),
        );
        assert_eq!(groups.labels, [0, 0, 0, 1, 1, 1]);
        assert_eq!(groups.rewards, [0.0, 0.0, 0.0, 11.0, 11.0, 11.0]);
        assert_eq!(groups.zero_variance_share(), 1.0);
        assert_eq!(groups.mean_reward(), 5.5);
    }
}
