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
use super::gaussian::{Component, Grid, Policy};

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
    pub fn label(&self) -> &'static str {
        match (self.direction, self.target) {
            (Direction::Forward, MixtureTarget::NewOnly) => "SFT, new mode",
            (Direction::Reverse, MixtureTarget::NewOnly) => "RL, new mode",
            (Direction::Forward, MixtureTarget::OldAndNew) => "SFT, both modes",
            (Direction::Reverse, MixtureTarget::OldAndNew) => "RL, both modes",
        }
    }
}

impl MixtureConfig {
    fn grid(&self) -> Grid {
        Grid::around(&[self.old, self.new, self.start], self.grid_points)
    }

    pub(super) fn check(&self) -> Result<(), TheoryError> {
        let share = "between 0 and 1, exclusive";
        let is_share = |value: f64| value > 0.0 && value < 1.0;
        TheoryError::require(is_share(self.old_weight), "mixture.old_weight", share, self.old_weight)?;
        let matched = self.matched_overlap;
        TheoryError::require(is_share(matched), "mixture.matched_overlap", share, matched)?;
        let step = self.step_size;
        TheoryError::require(step > 0.0 && step <= 0.1, "mixture.step_size", "above 0, at most 0.1", step)?;
        let modes = [("mixture.old", self.old), ("mixture.new", self.new), ("mixture.start", self.start)];
        for (field, mode) in modes {
            let holds = mode.mean.is_finite() && (0.05..=20.0).contains(&mode.std);
            TheoryError::require(holds, field, "a finite mean and a std from 0.05 to 20", mode)?;
        }
        let spacing = self.old.std.min(self.new.std).min(self.start.std) / 4.0;
        let is_fine = self.grid_points >= 2 && self.grid().spacing <= spacing;
        let expected = format!("enough for a spacing of {spacing}, a quarter of the smallest std");
        TheoryError::require(is_fine, "mixture.grid_points", &expected, self.grid_points)
    }
}

/// Trains every arm.
pub(super) fn run_mixture(config: &MixtureConfig) -> MixtureResult {
    let scene = Scene::new(config);
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
        base_density: base_policy(config, MixtureBase::TwoModes).densities(&scene.figure),
        target_density: both.densities(&scene.figure),
        grid: scene.figure.points,
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
        MixtureTarget::OldAndNew => {
            Policy::two_modes(config.old, config.new, config.old_weight).log_densities(grid)
        }
    };
    let mut log_densities = reference.clone();
    let mut end = scene.measure(&reference, &log_densities, 0);
    let mut path = vec![end];
    let mut matched = None;
    for step in 1..=config.max_steps {
        policy.descend(grid, &log_densities, direction, &target_log_densities, config.step_size);
        log_densities = policy.log_densities(grid);
        end = scene.measure(&reference, &log_densities, step);
        let arrives = matched.is_none() && end.new_overlap >= config.matched_overlap;
        if arrives {
            matched = Some((end, policy.densities(&scene.figure)));
        }
        if arrives || step == config.max_steps || path.last().is_some_and(|last| far_apart(last, &end)) {
            path.push(end);
        }
    }
    let (matched, density) = match matched {
        Some((point, density)) => (Some(point), density),
        None => (None, policy.densities(&scene.figure)),
    };
    MixtureArm { base, direction, target, path, matched, end, density }
}

fn far_apart(a: &MixturePoint, b: &MixturePoint) -> bool {
    (a.old_overlap - b.old_overlap).abs().max((a.new_overlap - b.new_overlap).abs()) >= 0.01
}

/// Points of the densities that are kept for the figure.
const FIGURE_POINTS: usize = 240;

/// What every arm shares.
struct Scene<'c> {
    config: &'c MixtureConfig,
    grid: Grid,
    figure: Grid,
    old_density: Vec<f64>,
    new_density: Vec<f64>,
}

impl<'c> Scene<'c> {
    fn new(config: &'c MixtureConfig) -> Self {
        let grid = config.grid();
        let density = |mode| Policy(vec![Component::new(mode, 1.0)]).densities(&grid);
        let (old_density, new_density) = (density(config.old), density(config.new));
        let (old, new) = (config.old, config.new);
        let figure = Grid::between(old.mean - 4.0 * old.std, new.mean + 4.0 * new.std, FIGURE_POINTS);
        Self { config, grid, figure, old_density, new_density }
    }

    /// `reference`, `log_densities`: log-densities of base and policy on the grid.
    fn measure(&self, reference: &[f64], log_densities: &[f64], step: usize) -> MixturePoint {
        let overlap = |wanted: &[f64], share: f64| {
            let shared = log_densities.iter().zip(wanted).map(|(q, p)| (share * p).min(q.exp()));
            self.grid.integrate(shared) / share
        };
        let kl = |p: &[f64], q: &[f64]| self.grid.integrate(p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)));
        MixturePoint {
            step,
            old_overlap: overlap(&self.old_density, self.config.old_weight),
            new_overlap: overlap(&self.new_density, 1.0 - self.config.old_weight),
            kl_reference_to_policy: kl(reference, log_densities),
            kl_policy_to_reference: kl(log_densities, reference),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::theory::tests::smoke;

    static RESULT: LazyLock<MixtureResult> = LazyLock::new(|| run_mixture(&smoke().mixture));

    fn arm(base: MixtureBase, direction: Direction, target: MixtureTarget) -> &'static MixtureArm {
        let is_it = |arm: &&MixtureArm| (arm.base, arm.direction, arm.target) == (base, direction, target);
        RESULT.arms.iter().find(is_it).unwrap()
    }

    fn kept(base: MixtureBase, direction: Direction, target: MixtureTarget) -> f64 {
        arm(base, direction, target).matched.expect("the arm learns the new mode").old_overlap
    }

    #[test]
    fn integrals_on_the_grid_give_the_kl_of_two_gaussians() {
        let config = smoke().mixture;
        let scene = Scene::new(&config);
        let log_densities = |mode| Policy(vec![Component::new(mode, 1.0)]).log_densities(&scene.grid);
        let (p, q) = (Mode { mean: -1.0, std: 1.5 }, Mode { mean: 2.0, std: 0.8 });
        let found = scene.measure(&log_densities(p), &log_densities(q), 0).kl_reference_to_policy;
        let expected = (0.8_f64 / 1.5).ln() + (1.5 * 1.5 + 9.0) / (2.0 * 0.8 * 0.8) - 0.5;
        assert!((found - expected).abs() < 1e-9, "expected {expected}, found {found}");
    }

    #[test]
    fn with_two_modes_rl_keeps_the_old_one_and_sft_lets_it_go() {
        use Direction::{Forward, Reverse};
        use MixtureTarget::{NewOnly, OldAndNew};
        let (sft, rl) =
            (kept(MixtureBase::TwoModes, Forward, NewOnly), kept(MixtureBase::TwoModes, Reverse, OldAndNew));
        assert!(rl > 0.99 && sft < 0.5, "RL keeps {rl}, SFT {sft}");
        assert!(
            arm(MixtureBase::TwoModes, Forward, NewOnly).end.old_overlap < 0.05,
            "mass forgetting goes on"
        );
    }

    #[test]
    fn what_the_target_asks_for_matters_more_than_the_direction() {
        use Direction::{Forward, Reverse};
        use MixtureTarget::{NewOnly, OldAndNew};
        assert!(
            kept(MixtureBase::TwoModes, Forward, OldAndNew) > 0.99,
            "SFT with replay keeps the old mode too"
        );
        let (sft, rl) =
            (kept(MixtureBase::TwoModes, Forward, NewOnly), kept(MixtureBase::TwoModes, Reverse, NewOnly));
        assert!(rl < sft, "without anything to hold it, RL drops the old mode faster: {rl} against {sft}");
    }

    #[test]
    fn with_one_mode_sft_forgets_less_than_rl() {
        use Direction::{Forward, Reverse};
        use MixtureTarget::{NewOnly, OldAndNew};
        let (sft, rl) =
            (kept(MixtureBase::OneMode, Forward, NewOnly), kept(MixtureBase::OneMode, Reverse, NewOnly));
        assert!(sft > rl + 0.1, "SFT keeps {sft}, RL {rl}");
        let stuck = arm(MixtureBase::OneMode, Reverse, OldAndNew);
        assert!(
            stuck.matched.is_none() && stuck.end.new_overlap < 0.01,
            "one mode seeks the nearest one: {:?}",
            stuck.end
        );
    }

    #[test]
    fn kl_from_the_base_does_not_order_the_arms_by_what_they_keep() {
        use Direction::{Forward, Reverse};
        let at = |direction, target| arm(MixtureBase::TwoModes, direction, target).matched.unwrap();
        let lossy = at(Forward, MixtureTarget::NewOnly);
        let keeping = at(Reverse, MixtureTarget::OldAndNew);
        assert!(keeping.old_overlap > lossy.old_overlap + 0.5);
        assert!(keeping.kl_reference_to_policy > lossy.kl_reference_to_policy);
    }
}
