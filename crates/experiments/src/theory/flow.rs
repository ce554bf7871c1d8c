//! The exact gradient flow of a softmax bandit in closed form, and how far it ends from the minimum on random bandits.
//!
//! Own derivation. With θ = ln π + const and dθ_y/dt = π_y (R_y − J), the quantities e^(−θ_y) of all right answers
//! fall at one common rate and those of all wrong answers rise at one common rate, while Σ θ_y stays. Hence, along the
//! whole flow,
//!
//! ```text
//! θ_y − ln π₀_y = −ln(1 − s π₀_y)  for right y,   −ln(1 + w π₀_y)  for wrong y,
//! Σ_right ln(1 − s π₀_y) + Σ_wrong ln(1 + w π₀_y) = 0,      0 ≤ s < 1 / max_right π₀.
//! ```
//!
//! As s nears its end, only the reference's favourite right answer still grows. So vanilla policy gradient tends, ever
//! more slowly, to the annotator who always writes that answer: KL(π‖π₀) → −ln max_right π₀, not −ln π₀(right).

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use razor_core::Seed;
use serde::{Deserialize, Serialize};

use super::TheoryError;
use super::bandit::{Bandit, PolicyPoint, softmax};

/// Which random bandits to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomBanditConfig {
    /// Bandits drawn for each concentration.
    pub count: usize,
    /// Answers of each; at least 2.
    pub n_labels: usize,
    /// Right answers of each: the first `n_right`; from 1 to `n_labels` − 1.
    pub n_right: usize,
    /// J(π₀) of each, above 0 and below the target success.
    pub base_success: f64,
    /// Concentrations of the symmetric Dirichlet that π₀ is drawn from; above 0. Small ones are peaked.
    pub concentrations: Vec<f64>,
}

/// Reverse KL in nats of four ways to be right, on one random bandit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RandomBandit {
    /// Concentration of the Dirichlet it was drawn from.
    pub concentration: f64,
    /// Least KL(π‖π₀) at the target success.
    pub minimum: f64,
    /// KL(π‖π₀) of vanilla policy gradient at the target success.
    pub policy_gradient: f64,
    /// −ln max_right π₀: where vanilla policy gradient tends to.
    pub favourite: f64,
    /// −ln π₀ averaged over the right answers: an annotator with a habit picked at random.
    pub mean_annotator: f64,
}

impl RandomBanditConfig {
    pub(super) fn check(&self, target_success: f64) -> Result<(), TheoryError> {
        if !(self.base_success > 0.0 && self.base_success < target_success) {
            let expected = "above 0 and below target_success";
            return Err(TheoryError::refuse("random.base_success", expected, self.base_success.to_string()));
        }
        if self.n_right == 0 || self.n_right >= self.n_labels {
            let expected = "at least 1 and below random.n_labels";
            return Err(TheoryError::refuse("random.n_right", expected, self.n_right.to_string()));
        }
        // Below 0.05 every share but one is lost to rounding.
        if self.concentrations.iter().any(|c| !(0.05..=1e3).contains(c)) {
            let found = format!("{:?}", self.concentrations);
            return Err(TheoryError::refuse("random.concentrations", "values from 0.05 to 1000", found));
        }
        Ok(())
    }
}

/// Draws the random bandits and measures each at `target_success`.
pub(super) fn random_bandits(config: &RandomBanditConfig, target_success: f64, seed: Seed) -> Vec<RandomBandit> {
    let one = |group: usize, concentration: f64, index: usize| {
        let bandit = draw_bandit(config, concentration, seed.derive("group", group as u64).derive("bandit", index as u64));
        let right = &bandit.base[..config.n_right];
        RandomBandit {
            concentration,
            minimum: bandit.minimum_kl(target_success),
            policy_gradient: gradient_flow(&bandit, target_success).kl_policy_to_reference,
            favourite: -right.iter().copied().fold(0.0, f64::max).ln(),
            mean_annotator: -right.iter().map(|p| p.ln()).sum::<f64>() / right.len() as f64,
        }
    };
    let groups = config.concentrations.iter().enumerate();
    groups.flat_map(|(group, &c)| (0..config.count).map(move |index| (group, c, index))).map(|(g, c, i)| one(g, c, i)).collect()
}

/// The policy that exact gradient flow passes when J(π) equals `target_success`, which must lie above J(π₀).
///
/// `step` of the result is 0: a flow has no steps.
pub(super) fn gradient_flow(bandit: &Bandit, target_success: f64) -> PolicyPoint {
    let policy_at = |x: f64| softmax(&flow_logits(bandit, x));
    // J rises with x from J(π₀) at 0; at 700 the favourite's logit has risen by 700 nats.
    let x = bisect(0.0, 700.0, |x| bandit.success(&policy_at(x)) < target_success);
    bandit.measure(&policy_at(x), 0)
}

/// Logits on the flow where the favourite right answer has risen by `x` nats: s = (1 − e^(−x)) / max_right π₀.
fn flow_logits(bandit: &Bandit, x: f64) -> Vec<f64> {
    let rewards = bandit.rewards();
    let favourite = bandit.base.iter().zip(&rewards).map(|(p, reward)| p * reward).fold(0.0, f64::max);
    // 1 − s π₀_y, arranged so that the favourite's is exactly e^(−x)
    let rise = |p: f64| -((1.0 - p / favourite) + (-x).exp() * p / favourite).ln();
    let sum_over = |reward: f64, term: &dyn Fn(f64) -> f64| -> f64 {
        bandit.base.iter().zip(&rewards).filter(|&(_, r)| *r == reward).map(|(&p, _)| term(p)).sum()
    };
    let risen = sum_over(1.0, &rise);
    let log_w = bisect(-80.0, 705.0, |log_w| sum_over(0.0, &|p| (log_w.exp() * p).ln_1p()) < risen);
    let shifted = |(&p, &reward): (&f64, &f64)| {
        p.ln() + if reward > 0.0 { rise(p) } else { -(log_w.exp() * p).ln_1p() }
    };
    bandit.base.iter().zip(&rewards).map(shifted).collect()
}

/// Where `is_below` turns from true to false between `low` and `high`, to f64 resolution.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if is_below(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// A bandit whose π₀ is a symmetric Dirichlet draw given its J(π₀).
///
/// Given how much of the mass is right, the shares among right and among wrong answers are independent Dirichlet
/// draws of the same concentration.
fn draw_bandit(config: &RandomBanditConfig, concentration: f64, seed: Seed) -> Bandit {
    let mut rng = seed.rng();
    let mut part = |n: usize, mass: f64| -> Vec<f64> {
        let shares: Vec<f64> = (0..n).map(|_| draw_gamma(concentration, &mut rng)).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter().map(|share| (mass * share / sum).max(f64::MIN_POSITIVE)).collect()
    };
    let mut base = part(config.n_right, config.base_success);
    base.extend(part(config.n_labels - config.n_right, 1.0 - config.base_success));
    Bandit { base, right: (1..=config.n_right).collect() }
}

/// A Gamma(`shape`, 1) draw by Marsaglia and Tsang's squeeze-free rejection; below shape 1 by the power of a uniform.
fn draw_gamma(shape: f64, rng: &mut ChaCha8Rng) -> f64 {
    if shape < 1.0 {
        return draw_gamma(shape + 1.0, rng) * rng.random::<f64>().powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    loop {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt(); // Box and Muller; 1 − u is never 0
        let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
        let v = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
        let uniform = 1.0 - rng.random::<f64>();
        if v > 0.0 && uniform.ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::bandit::tests::example;
    use crate::theory::descent::{Pace, vanilla_gradient};

    #[test]
    fn the_closed_form_agrees_with_small_steps() {
        for target_success in [0.5, 0.9, 0.99, 0.999] {
            let pace = Pace { target_success, max_steps: 1_000_000, step_size: 0.01 };
            let walked = vanilla_gradient(&example(), pace);
            let flown = gradient_flow(&example(), walked.end.success);
            let gap = (walked.end.kl_policy_to_reference - flown.kl_policy_to_reference).abs();
            assert!(gap < 1e-3, "at {target_success}: {walked:?} against {flown:?}"); // first order in the step size
        }
    }

    #[test]
    fn policy_gradient_tends_to_the_favourite_right_answer() {
        let far = gradient_flow(&example(), 1.0 - 1e-12);
        assert!((far.kl_policy_to_reference + 0.25_f64.ln()).abs() < 1e-6, "{far:?}");
    }

    #[test]
    fn every_random_bandit_lies_between_the_minimum_and_its_favourite() {
        let config =
            RandomBanditConfig { count: 50, n_labels: 10, n_right: 5, base_success: 0.5, concentrations: vec![0.3, 1.0, 10.0] };
        let drawn = random_bandits(&config, 0.999, Seed::new(5));
        assert_eq!(drawn.len(), 150);
        for bandit in &drawn {
            assert!(bandit.policy_gradient > bandit.minimum, "{bandit:?}");
            assert!(bandit.policy_gradient < bandit.favourite, "{bandit:?}");
            assert!(bandit.favourite <= bandit.mean_annotator, "{bandit:?}");
        }
        assert_eq!(drawn, random_bandits(&config, 0.999, Seed::new(5)));
    }

    #[test]
    fn gamma_draws_have_the_mean_and_variance_of_their_shape() {
        for shape in [0.3, 1.0, 4.0] {
            let mut rng = Seed::new(1).rng();
            let n = 40_000;
            let draws: Vec<f64> = (0..n).map(|_| draw_gamma(shape, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            // Both equal the shape. Standard errors: sqrt(shape/n), and about sqrt((2 + 6/shape)/n) of the variance.
            assert!((mean - shape).abs() < 5.0 * (shape / f64::from(n)).sqrt(), "{shape}: mean {mean}");
            let tolerance = 5.0 * shape * ((2.0 + 6.0 / shape) / f64::from(n)).sqrt();
            assert!((variance - shape).abs() < tolerance, "{shape}: variance {variance}");
        }
    }
}
