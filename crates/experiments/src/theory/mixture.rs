//! A policy of one or two Gaussian modes, fine-tuned by forward or reverse KL: what is left of the old mode?
//!
//! In the spirit of arXiv 2510.18874 (an old mode to be kept, a new mode to be learned) and of the analysis in
//! 2603.12163. Four objectives, KL either way to either target, separate what those papers compare together:
//!
//! | | target: the new mode only | target: old and new modes |
//! |---|---|---|
//! | forward KL, targets' samples (SFT) | SFT as usual | SFT with replay of the old task |
//! | reverse KL, own samples (RL) | RL with nothing to hold the old mode | RL as in both papers |
//!
//! **Where this deviates.** 2510.18874's released simulation slows the updates of the old mode and of the mixture
//! weights by a factor of 200, draws RL's samples from the new component alone and gives SFT and RL different learning
//! rates; here all parameters (means, log standard deviations, weight logits) follow the plain gradient at one rate, and
//! expectations are integrals on a grid, so nothing is sampled. The old mode of the base is already right, as in 2603.12163.
//! Overlap is measured between the whole policy and a mode of the target, so that it also exists for one Gaussian.

use serde::{Deserialize, Serialize};

use super::TheoryError;

/// The old and new modes, the base and how to move it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureConfig {
    /// Old mode, of the base and of the whole target alike.
    pub old: Mode,
    /// Share of the old mode in the two-mode base and in the whole target; in 0 to 1, exclusive.
    pub old_weight: f64,
    /// Mode that the new task asks for.
    pub new: Mode,
    /// Where the two-mode base has its other mode before fine-tuning.
    pub start: Mode,
    /// Overlap with the new mode at which arms are compared; in 0 to 1, exclusive.
    pub matched_overlap: f64,
    /// Gradient step on means, log standard deviations and weight logits.
    pub step_size: f64,
    /// Updates of each arm.
    pub max_steps: usize,
    /// Points of the integration grid; enough for four to the smallest standard deviation.
    pub grid_points: usize,
}

/// A Gaussian.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// Centre.
    pub mean: f64,
    /// Standard deviation, above 0.
    pub std: f64,
}

/// Shape of the base policy, and so of the family it is tuned in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixtureBase {
    /// One Gaussian on the old mode.
    OneMode,
    /// The old mode plus a second one that can move to the new.
    TwoModes,
}

/// Which KL is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// KL(target‖π): maximum likelihood on the target's samples, SFT.
    Forward,
    /// KL(π‖target): on-policy, RL.
    Reverse,
}

/// What the objective asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixtureTarget {
    /// The new mode alone.
    NewOnly,
    /// Old and new modes with their shares: KL-regularised RL's optimum, or SFT with replay.
    OldAndNew,
}

/// Where an arm stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MixturePoint {
    /// Updates made so far.
    pub step: usize,
    /// ∫ min(share × old mode, π) / share, in 0 to 1: how much of the old mode is kept.
    pub old_overlap: f64,
    /// The same for the new mode with its share: how much of the new task is learned.
    pub new_overlap: f64,
    /// KL(π₀‖π) in nats.
    pub kl_reference_to_policy: f64,
    /// KL(π‖π₀) in nats.
    pub kl_policy_to_reference: f64,
}

/// One base, one direction, one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixtureArm {
    /// Shape of the base.
    pub base: MixtureBase,
    /// KL minimised.
    pub direction: Direction,
    /// Target of the objective.
    pub target: MixtureTarget,
    /// Points at least 0.01 of overlap apart, the first at the base.
    pub path: Vec<MixturePoint>,
    /// First point whose new overlap is at the matched one, if any was.
    pub matched: Option<MixturePoint>,
    /// Where the steps ran out.
    pub end: MixturePoint,
    /// Density on the figure's grid at the matched point, or at the end if there was none.
    pub density: Vec<f64>,
}

/// The arms and the curves to draw behind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixtureResult {
    /// Grid of the figure's densities.
    pub grid: Vec<f64>,
    /// Density of the two-mode base.
    pub base_density: Vec<f64>,
    /// Density of the target with both modes.
    pub target_density: Vec<f64>,
    /// Every combination of base, target and direction.
    pub arms: Vec<MixtureArm>,
}

impl MixtureArm {
    /// Name in figures and tables.
    pub fn label(&self) -> String {
        let method = match self.direction {
            Direction::Forward => "SFT (forward KL)",
            Direction::Reverse => "RL (reverse KL)",
        };
        match self.target {
            MixtureTarget::NewOnly => format!("{method}, new mode only"),
            MixtureTarget::OldAndNew => format!("{method}, old and new"),
        }
    }
}

impl MixtureConfig {
    pub(super) fn check(&self) -> Result<(), TheoryError> {
        let inside = |value: f64| value > 0.0 && value < 1.0;
        let modes = [self.old, self.new, self.start];
        let checks = [
            ("mixture.old_weight", "between 0 and 1, exclusive", inside(self.old_weight), self.old_weight),
            ("mixture.matched_overlap", "between 0 and 1, exclusive", inside(self.matched_overlap), self.matched_overlap),
            ("mixture.step_size", "above 0, at most 0.1", self.step_size > 0.0 && self.step_size <= 0.1, self.step_size),
        ];
        for (field, expected, holds, found) in checks {
            if !holds {
                return Err(TheoryError::refuse(field, expected, found.to_string()));
            }
        }
        if let Some(mode) = modes.iter().find(|mode| !mode.mean.is_finite() || !(0.05..=20.0).contains(&mode.std)) {
            let expected = "modes with a finite mean and a std from 0.05 to 20";
            return Err(TheoryError::refuse("mixture.old, .new, .start", expected, format!("{mode:?}")));
        }
        let narrowest = modes.iter().map(|mode| mode.std).fold(f64::INFINITY, f64::min);
        if self.grid_points < 2 || Grid::around(self).spacing > narrowest / 4.0 {
            let expected = format!("a spacing of at most {}, a quarter of the smallest std", narrowest / 4.0);
            return Err(TheoryError::refuse("mixture.grid_points", &expected, self.grid_points.to_string()));
        }
        Ok(())
    }
}

/// Trains every arm.
pub(super) fn run_mixture(config: &MixtureConfig) -> MixtureResult {
    let scene = Scene::new(config);
    let grid = &scene.grid;
    let both = Policy::two_modes(config.old, config.new, config.old_weight);
    let mut arms = Vec::new();
    for base in [MixtureBase::TwoModes, MixtureBase::OneMode] {
        for target in [MixtureTarget::NewOnly, MixtureTarget::OldAndNew] {
            for direction in [Direction::Forward, Direction::Reverse] {
                arms.push(train(&scene, base, direction, target));
            }
        }
    }
    MixtureResult {
        grid: grid.for_figure(&grid.points),
        base_density: grid.for_figure(&base_policy(config, MixtureBase::TwoModes).densities(grid)),
        target_density: grid.for_figure(&both.densities(grid)),
        arms,
    }
}

fn base_policy(config: &MixtureConfig, base: MixtureBase) -> Policy {
    match base {
        MixtureBase::OneMode => Policy(vec![Component::new(config.old, 1.0)]),
        MixtureBase::TwoModes => Policy::two_modes(config.old, config.start, config.old_weight),
    }
}

fn train(scene: &Scene, base: MixtureBase, direction: Direction, target: MixtureTarget) -> MixtureArm {
    let Scene { config, grid, .. } = scene;
    let mut policy = base_policy(config, base);
    let reference = policy.log_densities(grid);
    let target_log_densities = match target {
        MixtureTarget::NewOnly => Policy(vec![Component::new(config.new, 1.0)]).log_densities(grid),
        MixtureTarget::OldAndNew => Policy::two_modes(config.old, config.new, config.old_weight).log_densities(grid),
    };
    let mut end = scene.measure(&reference, &policy, 0);
    let mut path = vec![end];
    let mut matched = None;
    for step in 1..=config.max_steps {
        policy.descend(grid, direction, &target_log_densities, config.step_size);
        end = scene.measure(&reference, &policy, step);
        let arrives = matched.is_none() && end.new_overlap >= config.matched_overlap;
        if arrives {
            matched = Some((end, policy.densities(grid)));
        }
        if arrives || step == config.max_steps || path.last().is_some_and(|last| far_apart(last, &end)) {
            path.push(end);
        }
    }
    let (matched, density) = match matched {
        Some((point, density)) => (Some(point), density),
        None => (None, policy.densities(grid)),
    };
    MixtureArm { base, direction, target, path, matched, end, density: grid.for_figure(&density) }
}

fn far_apart(a: &MixturePoint, b: &MixturePoint) -> bool {
    (a.old_overlap - b.old_overlap).abs().max((a.new_overlap - b.new_overlap).abs()) >= 0.01
}

/// What every arm shares.
struct Scene<'c> {
    config: &'c MixtureConfig,
    grid: Grid,
    old_density: Vec<f64>,
    new_density: Vec<f64>,
}

impl<'c> Scene<'c> {
    fn new(config: &'c MixtureConfig) -> Self {
        let grid = Grid::around(config);
        let density = |mode| Policy(vec![Component::new(mode, 1.0)]).densities(&grid);
        let (old_density, new_density) = (density(config.old), density(config.new));
        Self { config, grid, old_density, new_density }
    }

    /// `reference`: log-densities of the base on the grid.
    fn measure(&self, reference: &[f64], policy: &Policy, step: usize) -> MixturePoint {
        let log_densities = policy.log_densities(&self.grid);
        let overlap = |wanted: &[f64], share: f64| {
            let shared = log_densities.iter().zip(wanted).map(|(q, p)| (share * p).min(q.exp()));
            self.grid.integrate(shared) / share
        };
        let kl = |p: &[f64], q: &[f64]| self.grid.integrate(p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)));
        MixturePoint {
            step,
            old_overlap: overlap(&self.old_density, self.config.old_weight),
            new_overlap: overlap(&self.new_density, 1.0 - self.config.old_weight),
            kl_reference_to_policy: kl(reference, &log_densities),
            kl_policy_to_reference: kl(&log_densities, reference),
        }
    }
}

/// Equally spaced points, as far beyond the outermost modes as those are apart: a policy may widen on its way.
///
/// Sums over them are trapezoid integrals, since every density has died out at both ends.
struct Grid {
    points: Vec<f64>,
    spacing: f64,
}

impl Grid {
    fn around(config: &MixtureConfig) -> Self {
        let modes = [config.old, config.new, config.start];
        let low = modes.iter().map(|mode| mode.mean - 8.0 * mode.std).fold(f64::INFINITY, f64::min);
        let high = modes.iter().map(|mode| mode.mean + 8.0 * mode.std).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = (2.0 * low - high, 2.0 * high - low);
        let spacing = (high - low) / (config.grid_points - 1) as f64;
        let points = (0..config.grid_points).map(|idx| low + spacing * idx as f64).collect();
        Self { points, spacing }
    }

    fn integrate(&self, values: impl Iterator<Item = f64>) -> f64 {
        values.sum::<f64>() * self.spacing
    }

    /// Every fourth value: enough for a smooth line.
    fn for_figure(&self, values: &[f64]) -> Vec<f64> {
        values.iter().copied().step_by(4).collect()
    }
}

/// One Gaussian of a policy, in the coordinates that are trained.
#[derive(Debug, Clone, Copy)]
struct Component {
    weight_logit: f64,
    mean: f64,
    log_std: f64,
}

impl Component {
    fn new(mode: Mode, weight: f64) -> Self {
        Self { weight_logit: weight.ln(), mean: mode.mean, log_std: mode.std.ln() }
    }

    fn log_density(&self, x: f64) -> f64 {
        let z = (x - self.mean) * (-self.log_std).exp();
        -0.5 * (z * z + std::f64::consts::TAU.ln()) - self.log_std
    }
}

/// A mixture of Gaussians.
#[derive(Debug, Clone)]
struct Policy(Vec<Component>);

impl Policy {
    fn two_modes(old: Mode, other: Mode, old_weight: f64) -> Self {
        Self(vec![Component::new(old, old_weight), Component::new(other, 1.0 - old_weight)])
    }

    fn log_weights(&self) -> Vec<f64> {
        let total = log_sum_exp(self.0.iter().map(|component| component.weight_logit));
        self.0.iter().map(|component| component.weight_logit - total).collect()
    }

    fn log_densities(&self, grid: &Grid) -> Vec<f64> {
        let log_weights = self.log_weights();
        let at = |&x: &f64| log_sum_exp(self.0.iter().zip(&log_weights).map(|(c, w)| w + c.log_density(x)));
        grid.points.iter().map(at).collect()
    }

    fn densities(&self, grid: &Grid) -> Vec<f64> {
        self.log_densities(grid).into_iter().map(f64::exp).collect()
    }

    /// One step down the gradient of KL in `direction` between this policy and the target.
    ///
    /// Forward: −E_target\[∇ ln π\]. Reverse: E_π\[∇ ln π (ln π − ln target)\]; the term from differentiating ln π
    /// itself has expectation 0.
    fn descend(&mut self, grid: &Grid, direction: Direction, target: &[f64], step_size: f64) {
        let log_densities = self.log_densities(grid);
        let pull = |(own, target): (&f64, &f64)| match direction {
            Direction::Forward => target.exp(),
            Direction::Reverse => own.exp() * (target - own),
        };
        let pulls: Vec<f64> = log_densities.iter().zip(target).map(pull).collect();
        let log_weights = self.log_weights();
        for (component, log_weight) in self.0.iter_mut().zip(log_weights) {
            let (mut weight, mut mean, mut log_std) = (0.0, 0.0, 0.0);
            for ((&x, own), pull) in grid.points.iter().zip(&log_densities).zip(&pulls) {
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
