//! The ways to learn the bandit, from exact EM to an annotator with a habit.

use rand::Rng;
use razor_core::Seed;
use serde::{Deserialize, Serialize};

use super::bandit::{Bandit, PolicyPoint, logit, softmax};

/// A way to move a policy towards right answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanditMethod {
    /// I-projection, then exact M-projection: in the full softmax family one step to q*. Paper: theorem A.3.
    ExactEm,
    /// Policy gradient in the Fisher metric; its logit step is the reward itself.
    NaturalGradient,
    /// Cross-entropy with q* = π₀ given right, fixed from the start: soft oracle SFT.
    OracleCrossEntropy,
    /// Exact policy gradient; its logit step is π(R − J).
    VanillaGradient,
    /// Cross-entropy with π given right, drawn anew at every step. Its gradient is the policy gradient over J.
    RejectionCrossEntropy,
    /// Cross-entropy with one fixed right answer: the annotator who always writes the same.
    FixedAnnotator,
    /// REINFORCE on sampled groups with the 0/1 reward as advantage.
    Reinforce,
    /// REINFORCE on sampled groups with the group's mean taken off.
    ReinforceWithBaseline,
}

impl BanditMethod {
    /// The name in figures and tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::ExactEm => "exact EM",
            Self::NaturalGradient => "natural gradient",
            Self::OracleCrossEntropy => "oracle SFT (soft q*)",
            Self::VanillaGradient => "policy gradient",
            Self::RejectionCrossEntropy => "rejection-sampling SFT",
            Self::FixedAnnotator => "fixed annotator",
            Self::Reinforce => "1-0 REINFORCE, sampled",
            Self::ReinforceWithBaseline => "REINFORCE with baseline, sampled",
        }
    }
}

/// When a path ends and how large its steps are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Stops once J(π) is above this.
    pub(super) target_success: f64,
    /// Stops after so many updates.
    pub(super) max_steps: usize,
    /// Step size on the logits.
    pub(super) step_size: f64,
}

/// The path of one method from the reference to the target success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BanditPath {
    /// Who walked it.
    pub method: BanditMethod,
    /// Points about evenly spaced in ln(J/(1 − J)), the first at the reference.
    pub path: Vec<PolicyPoint>,
    /// Where it stopped.
    pub end: PolicyPoint,
    /// Whether J passed the target before the steps ran out.
    pub reached: bool,
    /// Probabilities where it stopped.
    pub policy: Vec<f64>,
}

/// The jump of exact EM.
pub(super) fn exact_em(bandit: &Bandit) -> BanditPath {
    let policy = bandit.condition_on_right(&bandit.base);
    jump(BanditMethod::ExactEm, bandit, policy)
}

/// Natural policy gradient. With logits θ and Fisher matrix F, F⁺∇J = R up to a constant shift.
pub(super) fn natural_gradient(bandit: &Bandit, pace: Pace) -> BanditPath {
    let rewards = bandit.rewards();
    let direction = |_: &[f64], answer: usize| rewards[answer];
    follow(BanditMethod::NaturalGradient, bandit, pace, direction)
}

/// Exact vanilla policy gradient: ∂J/∂θ_y = π_y (R_y − J).
pub(super) fn vanilla_gradient(bandit: &Bandit, pace: Pace) -> BanditPath {
    let rewards = bandit.rewards();
    let direction =
        |policy: &[f64], answer: usize| policy[answer] * (rewards[answer] - bandit.success(policy));
    follow(BanditMethod::VanillaGradient, bandit, pace, direction)
}

/// One gradient step on the cross-entropy with π given right, for each new π.
pub(super) fn rejection_cross_entropy(bandit: &Bandit, pace: Pace) -> BanditPath {
    let direction =
        |policy: &[f64], answer: usize| bandit.condition_on_right(policy)[answer] - policy[answer];
    follow(BanditMethod::RejectionCrossEntropy, bandit, pace, direction)
}

/// Gradient steps on the cross-entropy with the oracle q*, which does not move.
pub(super) fn oracle_cross_entropy(bandit: &Bandit, pace: Pace) -> BanditPath {
    let oracle = bandit.condition_on_right(&bandit.base);
    let direction = |policy: &[f64], answer: usize| oracle[answer] - policy[answer];
    follow(BanditMethod::OracleCrossEntropy, bandit, pace, direction)
}

/// Gradient steps on the cross-entropy with one answer, counted from 1.
pub(super) fn fixed_annotator(bandit: &Bandit, favourite: usize, pace: Pace) -> BanditPath {
    let target = one_hot(bandit, favourite - 1);
    let direction = |policy: &[f64], answer: usize| target[answer] - policy[answer];
    follow(BanditMethod::FixedAnnotator, bandit, pace, direction)
}

/// What the fixed annotator's policy becomes when fitted exactly.
pub(super) fn fixed_annotator_limit(bandit: &Bandit, favourite: usize) -> PolicyPoint {
    bandit.measure(&one_hot(bandit, favourite - 1), 0)
}

/// EM whose M-step is `inner_steps` gradient steps towards a target that is then drawn anew.
///
/// With one inner step it is [`rejection_cross_entropy`], with many it approaches [`exact_em`].
pub(super) fn inexact_em(bandit: &Bandit, inner_steps: usize, pace: Pace) -> PolicyPoint {
    let mut logits: Vec<f64> = bandit.base.iter().map(|p| p.ln()).collect();
    let mut policy = softmax(&logits);
    let mut target = Vec::new();
    let mut step = 0;
    while bandit.success(&policy) <= pace.target_success && step < pace.max_steps {
        if step % inner_steps == 0 {
            target = bandit.condition_on_right(&policy);
        }
        for (answer, logit) in logits.iter_mut().enumerate() {
            *logit += pace.step_size * (target[answer] - policy[answer]);
        }
        policy = softmax(&logits);
        step += 1;
    }
    bandit.measure(&policy, step)
}

/// REINFORCE with sampled groups, from `start` (probabilities); stops as `pace` says.
///
/// Returns the last policy and the number of updates. Draws come from `seed` alone.
pub(super) fn reinforce(
    bandit: &Bandit,
    start: &[f64],
    group_size: usize,
    with_baseline: bool,
    pace: Pace,
    seed: Seed,
) -> (Vec<f64>, usize) {
    let mut rng = seed.rng();
    let rewards = bandit.rewards();
    let mut logits: Vec<f64> = start.iter().map(|p| p.ln()).collect();
    let mut policy = softmax(&logits);
    let mut step = 0;
    while bandit.success(&policy) <= pace.target_success && step < pace.max_steps {
        let group: Vec<usize> = (0..group_size).map(|_| draw(&policy, rng.random())).collect();
        let mean = group.iter().map(|&answer| rewards[answer]).sum::<f64>() / group_size as f64;
        let baseline = if with_baseline { mean } else { 0.0 };
        let scale = pace.step_size / group_size as f64;
        for &answer in &group {
            logits[answer] += scale * (rewards[answer] - baseline);
        }
        // Each member also takes its advantage times π off every logit; summed over the group, G (mean − baseline).
        for (logit, p) in logits.iter_mut().zip(&policy) {
            *logit -= pace.step_size * (mean - baseline) * p;
        }
        policy = softmax(&logits);
        step += 1;
    }
    (policy, step)
}

/// Gradient ascent along `direction(policy, answer)` on the logits.
fn follow(
    method: BanditMethod,
    bandit: &Bandit,
    pace: Pace,
    direction: impl Fn(&[f64], usize) -> f64,
) -> BanditPath {
    let mut logits: Vec<f64> = bandit.base.iter().map(|p| p.ln()).collect();
    let mut policy = softmax(&logits);
    let mut path = vec![bandit.measure(&policy, 0)];
    let mut step = 0;
    let mut last_logit = logit(path[0].success);
    while bandit.success(&policy) <= pace.target_success && step < pace.max_steps {
        for (answer, logit) in logits.iter_mut().enumerate() {
            *logit += pace.step_size * direction(&policy, answer);
        }
        policy = softmax(&logits);
        step += 1;
        let here = logit(bandit.success(&policy));
        if (here - last_logit).abs() >= RECORD_EVERY {
            path.push(bandit.measure(&policy, step));
            last_logit = here;
        }
    }
    let end = bandit.measure(&policy, step);
    if path.last().is_some_and(|point| point.step < step) {
        path.push(end);
    }
    BanditPath { method, path, end, reached: end.success > pace.target_success, policy }
}

/// Distance between recorded points in ln(J/(1 − J)): some 80 points from 0.37 to 0.999.
const RECORD_EVERY: f64 = 0.1;

fn jump(method: BanditMethod, bandit: &Bandit, policy: Vec<f64>) -> BanditPath {
    let end = bandit.measure(&policy, 1);
    let path = vec![bandit.measure(&bandit.base, 0), end];
    BanditPath { method, path, end, reached: true, policy }
}

fn one_hot(bandit: &Bandit, answer_idx: usize) -> Vec<f64> {
    let mut policy = vec![0.0; bandit.base.len()];
    policy[answer_idx] = 1.0;
    policy
}

/// The answer whose stretch of the unit interval holds `uniform`.
fn draw(policy: &[f64], uniform: f64) -> usize {
    let mut above = uniform;
    for (answer, p) in policy.iter().enumerate() {
        if above < *p {
            return answer;
        }
        above -= p;
    }
    policy.len() - 1 // rounding left a sliver above the last answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::bandit::tests::example;

    const PACE: Pace = Pace { target_success: 0.999, max_steps: 1_000_000, step_size: 0.01 };

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "expected {expected}, found {found}");
    }

    #[test]
    fn exact_em_is_at_the_minimum_after_one_step() {
        let path = exact_em(&example());
        close(path.end.kl_policy_to_reference, 0.994, 1e-3);
        close(path.policy[1], 0.676, 1e-3);
        close(path.policy[3], 0.324, 1e-3);
        close(path.end.excess, 0.0, 1e-12);
    }

    #[test]
    fn natural_gradient_stays_at_the_minimum_all_the_way() {
        let path = natural_gradient(&example(), PACE);
        assert!(path.reached);
        close(path.end.kl_policy_to_reference, 0.986, 1e-3);
        close(path.policy[1], 0.675, 1e-3);
        close(path.policy[3], 0.324, 1e-3);
        for point in &path.path {
            close(point.excess, 0.0, 1e-9); // rounding of 1e3 steps
        }
    }

    #[test]
    fn vanilla_gradient_and_small_rejection_steps_end_at_the_same_place_above_the_minimum() {
        for path in [vanilla_gradient(&example(), PACE), rejection_cross_entropy(&example(), PACE)] {
            assert!(path.reached);
            close(path.end.kl_policy_to_reference, 1.357, 1e-3);
            close(path.policy[1], 0.9956, 2e-4); // the notes print four digits
            close(path.policy[3], 0.0034, 2e-4);
            assert!(path.end.excess > 0.36, "{:?}", path.end);
        }
    }

    #[test]
    fn the_annotator_of_answer_four_is_farther_than_any_of_them() {
        close(fixed_annotator_limit(&example(), 4).kl_policy_to_reference, 2.120, 1e-3);
        let path = fixed_annotator(&example(), 4, PACE);
        let vanilla = vanilla_gradient(&example(), PACE);
        assert!(path.reached && path.end.kl_policy_to_reference > vanilla.end.kl_policy_to_reference + 0.7);
    }

    #[test]
    fn the_oracle_ends_closer_than_the_policy_gradient() {
        let oracle = oracle_cross_entropy(&example(), PACE);
        assert!(oracle.reached);
        assert!(oracle.end.excess < 0.05, "{:?}", oracle.end);
    }

    #[test]
    fn better_m_steps_end_closer_to_the_minimum() {
        let excess = |inner_steps| inexact_em(&example(), inner_steps, PACE).excess;
        let (one, thousand, many) = (excess(1), excess(1_000), excess(100_000));
        close(one, rejection_cross_entropy(&example(), PACE).end.excess, 1e-12);
        assert!(many < thousand && thousand < one, "{many} {thousand} {one}");
    }

    #[test]
    fn sampled_reinforce_moves_as_the_exact_gradient_on_average() {
        let bandit = example();
        let pace = Pace { max_steps: 1, ..PACE };
        let exact = vanilla_gradient(&bandit, pace).policy;
        for with_baseline in [false, true] {
            let n_runs = 20_000;
            let mut mean = vec![0.0; exact.len()];
            for run in 0..n_runs {
                let seed = Seed::new(3).derive("run", run);
                let (policy, _) = reinforce(&bandit, &bandit.base, 8, with_baseline, pace, seed);
                mean.iter_mut().zip(policy).for_each(|(sum, p)| *sum += p / n_runs as f64);
            }
            // The mean of a group that holds the sample itself shrinks the gradient by (G - 1)/G.
            let shrink = if with_baseline { 7.0 / 8.0 } else { 1.0 };
            for answer in 0..exact.len() {
                let expected = bandit.base[answer] + shrink * (exact[answer] - bandit.base[answer]);
                close(mean[answer], expected, 2e-5); // 5 standard errors: 0.01 * 0.25 * 0.5 / sqrt(8 * 20,000)
            }
        }
    }

    #[test]
    fn a_group_without_a_wrong_answer_moves_nothing_once_a_baseline_is_taken_off() {
        let bandit = example();
        let start = [1e-12, 0.7, 1e-12, 0.3 - 3e-12, 1e-12];
        let pace = Pace { target_success: 1.0, max_steps: 100, step_size: 0.1 };
        let (kept, _) = reinforce(&bandit, &start, 8, true, pace, Seed::new(0));
        let (moved, _) = reinforce(&bandit, &start, 8, false, pace, Seed::new(0));
        close(kept[1], 0.7, 1e-12);
        assert!((moved[1] - 0.7).abs() > 1e-3, "{moved:?}");
    }
}
