//! Mixtures of Gaussians on a grid, and the exact gradient of a KL between them.

use super::mixture::{Direction, Mode};

/// Equally spaced points, as far beyond the outermost modes as those are apart: a policy may widen on its way.
///
/// Sums over them are trapezoid integrals, since every density has died out at both ends.
pub(super) struct Grid {
    pub(super) points: Vec<f64>,
    pub(super) spacing: f64,
}

impl Grid {
    pub(super) fn around(modes: &[Mode], n_points: usize) -> Self {
        let low = modes.iter().map(|mode| mode.mean - 8.0 * mode.std).fold(f64::INFINITY, f64::min);
        let high = modes.iter().map(|mode| mode.mean + 8.0 * mode.std).fold(f64::NEG_INFINITY, f64::max);
        Self::between(2.0 * low - high, 2.0 * high - low, n_points)
    }

    /// `n_points` points from `low` to `high`.
    pub(super) fn between(low: f64, high: f64, n_points: usize) -> Self {
        let spacing = (high - low) / (n_points - 1) as f64;
        let points = (0..n_points).map(|idx| low + spacing * idx as f64).collect();
        Self { points, spacing }
    }

    /// ∫ of a function given by its values on the grid.
    pub(super) fn integrate(&self, values: impl Iterator<Item = f64>) -> f64 {
        values.sum::<f64>() * self.spacing
    }
}

/// One Gaussian of a policy, in the coordinates that are trained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    weight_logit: f64,
    mean: f64,
    log_std: f64,
}

impl Component {
    pub(super) fn new(mode: Mode, weight: f64) -> Self {
        Self { weight_logit: weight.ln(), mean: mode.mean, log_std: mode.std.ln() }
    }

    fn log_density(&self, x: f64) -> f64 {
        let z = (x - self.mean) * (-self.log_std).exp();
        -0.5 * (z * z + std::f64::consts::TAU.ln()) - self.log_std
    }
}

/// A mixture of Gaussians.
#[derive(Debug, Clone)]
pub(super) struct Policy(pub(super) Vec<Component>);

impl Policy {
    pub(super) fn two_modes(old: Mode, other: Mode, old_weight: f64) -> Self {
        Self(vec![Component::new(old, old_weight), Component::new(other, 1.0 - old_weight)])
    }

    fn log_weights(&self) -> Vec<f64> {
        let total = log_sum_exp(self.0.iter().map(|component| component.weight_logit));
        self.0.iter().map(|component| component.weight_logit - total).collect()
    }

    /// ln π at every point of the grid.
    pub(super) fn log_densities(&self, grid: &Grid) -> Vec<f64> {
        let log_weights = self.log_weights();
        let at = |&x: &f64| log_sum_exp(self.0.iter().zip(&log_weights).map(|(c, w)| w + c.log_density(x)));
        grid.points.iter().map(at).collect()
    }

    /// π at every point of the grid.
    pub(super) fn densities(&self, grid: &Grid) -> Vec<f64> {
        self.log_densities(grid).into_iter().map(f64::exp).collect()
    }

    /// One step down the gradient of KL in `direction` between this policy, with these log-densities, and the target.
    ///
    /// Forward: −E_target\[∇ ln π\]. Reverse: E_π\[∇ ln π (ln π − ln target)\]; the term from differentiating ln π
    /// itself has expectation 0.
    pub(super) fn descend(
        &mut self,
        grid: &Grid,
        log_densities: &[f64],
        direction: Direction,
        target: &[f64],
        step_size: f64,
    ) {
        let pull = |(own, target): (&f64, &f64)| match direction {
            Direction::Forward => target.exp(),
            Direction::Reverse => own.exp() * (target - own),
        };
        let pulls: Vec<f64> = log_densities.iter().zip(target).map(pull).collect();
        let log_weights = self.log_weights();
        for (component, log_weight) in self.0.iter_mut().zip(log_weights) {
            let (mut weight, mut mean, mut log_std) = (0.0, 0.0, 0.0);
            for ((&x, own), pull) in grid.points.iter().zip(log_densities).zip(&pulls) {
                let responsibility = (log_weight + component.log_density(x) - own).exp();
                let z = (x - component.mean) * (-component.log_std).exp();
                weight += pull * (responsibility - log_weight.exp());
                mean += pull * responsibility * z;
                log_std += pull * responsibility * (z * z - 1.0);
            }
            let rate = step_size * grid.spacing;
            component.weight_logit += rate * weight;
            component.mean += rate * mean * (-component.log_std).exp();
            component.log_std += rate * log_std;
        }
    }
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    top + values.map(|value| (value - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_down_the_gradient_that_differences_give() {
        let (old, new) = (Mode { mean: -3.0, std: 1.0 }, Mode { mean: 3.5, std: 0.7 });
        let grid = Grid::around(&[old, new], 361);
        let policy = Policy::two_modes(old, Mode { mean: 1.5, std: 0.9 }, 0.6);
        let target = Policy::two_modes(old, new, 0.75).log_densities(&grid);
        let kl = |p: &[f64], q: &[f64]| grid.integrate(p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)));
        let objective = |policy: &Policy, direction| match direction {
            Direction::Forward => kl(&target, &policy.log_densities(&grid)),
            Direction::Reverse => kl(&policy.log_densities(&grid), &target),
        };
        let fields: [fn(&mut Component) -> &mut f64; 3] =
            [|c| &mut c.weight_logit, |c| &mut c.mean, |c| &mut c.log_std];
        for direction in [Direction::Forward, Direction::Reverse] {
            let mut moved = policy.clone();
            moved.descend(&grid, &policy.log_densities(&grid), direction, &target, 1.0);
            for component in 0..2 {
                for field in fields {
                    let nudged = |by: f64| {
                        let mut other = policy.clone();
                        *field(&mut other.0[component]) += by;
                        objective(&other, direction)
                    };
                    let slope = (nudged(1e-5) - nudged(-1e-5)) / 2e-5;
                    let step = *field(&mut moved.0[component]) - *field(&mut policy.clone().0[component]);
                    // central differences: error near 1e-10 of the curvature, rounding near 1e-10
                    assert!(
                        (step + slope).abs() < 1e-6 * slope.abs().max(1.0),
                        "{direction:?}: {step} against -{slope}"
                    );
                }
            }
        }
    }
}
