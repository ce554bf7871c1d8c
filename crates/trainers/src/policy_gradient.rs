//! GRPO, Dr. GRPO and 1–0 REINFORCE on a categorical head, sampled or exact.
//!
//! The gradient of −(1/PG) Σ A_pg log π(y_pg | x_p) depends on the draws only through one weight per prompt and
//! label, so the groups are collapsed onto the labels and the loss is one
//! [`weighted_cross_entropy`](razor_tensor::weighted_cross_entropy).
//!
//! Paper: arXiv 2509.04259, sections 3 and 5.1, appendix B.3. What is left out against the full GRPO of
//! arXiv 2402.03300: one gradient step per batch, so the ratio to the behavior policy is 1 and nothing is clipped; a
//! completion is one label, so no normalization by length exists. A KL term is added by [`crate::kl_penalty`].

use crate::advantage::Advantage;
use crate::rollout::LabelGroups;

/// Weights for [`weighted_cross_entropy`](razor_tensor::weighted_cross_entropy) that give the policy gradient of all groups.
///
/// # Shapes
/// - returns: `[P, n_labels]` row by row, `w[p, y] = (1/G) Σ_g A_pg · 1[y_pg = y]`
pub fn policy_gradient_weights(groups: &LabelGroups, advantage: Advantage, n_labels: usize) -> Vec<f32> {
    let n_prompts = groups.labels.len() / groups.group_size;
    let mut weights = vec![0.0; n_prompts * n_labels];
    let drawn = groups.labels.chunks_exact(groups.group_size);
    let scored = groups.rewards.chunks_exact(groups.group_size);
    for ((row, labels), rewards) in weights.chunks_exact_mut(n_labels).zip(drawn).zip(scored) {
        for (&label, advantage) in labels.iter().zip(advantage.of_group(rewards)) {
            row[label] += advantage / groups.group_size as f32;
        }
    }
    weights
}

/// The weights that infinitely many draws would give with centered advantages: `w[p, y] = π(y)(R(y) − J)`.
///
/// # Shapes
/// - `log_probs`: `[P, n_labels]` row by row, in nats
/// - `reward`: from prompt index and label to the reward
/// - returns: `[P, n_labels]` row by row; each row sums to zero up to rounding
pub fn exact_policy_gradient_weights(
    log_probs: &[f32],
    n_labels: usize,
    reward: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let mut weights = Vec::with_capacity(log_probs.len());
    for (prompt_idx, row) in log_probs.chunks_exact(n_labels).enumerate() {
        let expected: f32 = row.iter().enumerate().map(|(y, lp)| lp.exp() * reward(prompt_idx, y)).sum();
        weights.extend(row.iter().enumerate().map(|(y, lp)| lp.exp() * (reward(prompt_idx, y) - expected)));
    }
    weights
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;
    use crate::rollout::sample_groups;

    #[test]
    fn collapsing_keeps_every_draw() {
        let groups =
            LabelGroups { labels: vec![2, 2, 0, 1], rewards: vec![1.0, 1.0, 0.0, 0.0], group_size: 4 };
        let weights = policy_gradient_weights(&groups, Advantage::Centered, 3);
        assert_eq!(weights, [-0.125, -0.125, 0.25]);
    }

    #[test]
    fn a_group_without_spread_has_no_gradient() {
        let groups = LabelGroups { labels: vec![0, 1], rewards: vec![1.0, 1.0], group_size: 2 };
        assert_eq!(policy_gradient_weights(&groups, Advantage::Standardized, 3), [0.0; 3]);
        assert_eq!(policy_gradient_weights(&groups, Advantage::Reward, 3), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn many_draws_approach_the_exact_gradient() {
        let log_probs = [0.1_f32, 0.2, 0.3, 0.4].map(f32::ln);
        let even = |_: usize, label: usize| f32::from(label.is_multiple_of(2));
        let exact = exact_policy_gradient_weights(&log_probs, 4, even);
        let groups = sample_groups(&log_probs, 4, 200_000, even, &mut Seed::new(5).rng());
        let sampled = policy_gradient_weights(&groups, Advantage::Centered, 4);
        for (sampled, exact) in sampled.iter().zip(&exact) {
            // five standard errors: a weight is a mean of 200,000 terms of size below 0.5
            assert!((sampled - exact).abs() < 5.0 * 0.5 / 200_000_f32.sqrt(), "{sampled} against {exact}");
        }
        assert!(exact.iter().sum::<f32>().abs() < 1e-6);
    }
}
