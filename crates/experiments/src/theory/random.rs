//! How far from the minimum policy gradient ends on bandits that nobody picked.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use razor_core::Seed;
use serde::{Deserialize, Serialize};

use super::TheoryError;
use super::bandit::Bandit;
use super::flow::gradient_flow;

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
        let success = self.base_success;
        let expected = "above 0 and below target_success";
        TheoryError::require(
            success > 0.0 && success < target_success,
            "random.base_success",
            expected,
            success,
        )?;
        let some = self.n_right > 0 && self.n_right < self.n_labels;
        let expected = "at least 1 and below random.n_labels";
        TheoryError::require(some, "random.n_right", expected, self.n_right)?;
        // Below 0.05 every share but one is lost to rounding.
        let in_range = self.concentrations.iter().all(|c| (0.05..=1e3).contains(c));
        let expected = "values from 0.05 to 1000";
        TheoryError::require(in_range, "random.concentrations", expected, &self.concentrations)
    }
}

/// Draws the random bandits and measures each at `target_success`.
pub(super) fn random_bandits(
    config: &RandomBanditConfig,
    target_success: f64,
    seed: Seed,
) -> Vec<RandomBandit> {
    let one = |group: usize, concentration: f64, index: usize| {
        let bandit = draw_bandit(
            config,
            concentration,
            seed.derive("group", group as u64).derive("bandit", index as u64),
        );
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
    groups
        .flat_map(|(group, &c)| (0..config.count).map(move |index| (group, c, index)))
        .map(|(g, c, i)| one(g, c, i))
        .collect()
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

    #[test]
    fn every_random_bandit_lies_between_the_minimum_and_its_favourite() {
        let config = RandomBanditConfig {
            count: 50,
            n_labels: 10,
            n_right: 5,
            base_success: 0.5,
            concentrations: vec![0.3, 1.0, 10.0],
        };
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
