//! The figures of the theory report.

use razor_report::{Axis, Figure, FigureSize, Guide, ReportError, Series, XyChart};

use super::bandit::logit;
use super::{BanditMethod, Direction, MixtureArm, MixtureBase, MixtureTarget, PolicyPoint, TheoryResult};

/// KL(π‖π₀) of every exact method on its way.
pub(super) fn reverse_kl_figure(result: &TheoryResult) -> Result<Figure, ReportError> {
    let guides = vec![
        Guide::horizontal(result.minimum_kl, "minimum, always right"),
        Guide::horizontal(result.policy_gradient_limit, "limit of policy gradient"),
        Guide::horizontal(result.annotator_limit.kl_policy_to_reference, "annotator, fitted exactly"),
    ];
    XyChart {
        name: "bandit_reverse_kl".to_owned(),
        title: "What the theorem minimises".to_owned(),
        caption: "KL(π‖π₀) against success. Exact EM jumps to the lowest guide at J = 1, off to the right."
            .to_owned(),
        size: FigureSize::Half,
        x: success_axis(),
        y: Axis::linear("KL(π‖π₀)", "nats"),
        series: path_series(result, |point| Some(point.kl_policy_to_reference)),
        guides,
    }
    .draw()
}

/// KL(π₀‖π) of every exact method on its way.
pub(super) fn forward_kl_figure(result: &TheoryResult) -> Result<Figure, ReportError> {
    XyChart {
        name: "bandit_forward_kl".to_owned(),
        title: "What the empirical law uses".to_owned(),
        caption: "KL(π₀‖π) against success: the same order of methods, but no finite limit.".to_owned(),
        size: FigureSize::Half,
        x: success_axis(),
        y: Axis::linear("KL(π₀‖π)", "nats"),
        series: path_series(result, |point| point.kl_reference_to_policy),
        guides: vec![],
    }
    .draw()
}

/// Excess over the minimum against the exactness of the M-step.
pub(super) fn m_step_figure(result: &TheoryResult) -> Result<Figure, ReportError> {
    let curve: Vec<(f64, f64)> =
        result.m_steps.iter().map(|m_step| (m_step.inner_steps as f64, m_step.end.excess)).collect();
    let vanilla = result.path(BanditMethod::VanillaGradient).map(|path| path.end.excess);
    XyChart {
        name: "m_steps".to_owned(),
        title: "How exact must the M-step be?".to_owned(),
        caption: format!(
            "KL(π‖π₀) above the least possible at J = {}, when so many gradient steps of {} are made towards each target.",
            result.config.target_success, result.config.step_size
        ),
        size: FigureSize::Half,
        x: Axis::log("Gradient steps per M-step", ""),
        y: Axis::linear("Above the minimum", "nats"),
        series: vec![Series::new("EM with gradient M-steps", 4).points(curve.clone()).line(curve)],
        guides: vanilla.map(|excess| Guide::horizontal(excess, "policy gradient")).into_iter().collect(),
    }
    .draw()
}

/// Policy gradient on random bandits, between the minimum and its limit.
pub(super) fn random_figure(result: &TheoryResult) -> Result<Figure, ReportError> {
    let random = &result.config.random;
    let of = |concentration: f64| {
        let drawn = result.random.iter().filter(move |bandit| bandit.concentration == concentration);
        drawn.map(|bandit| (bandit.favourite, bandit.policy_gradient)).collect()
    };
    let mut series: Vec<Series> = random
        .concentrations
        .iter()
        .enumerate()
        .map(|(idx, &c)| Series::new(format!("Dirichlet concentration {c}"), idx).points(of(c)))
        .collect();
    let farthest = result.random.iter().map(|bandit| bandit.favourite).fold(0.0, f64::max);
    let nearest = -random.base_success.ln();
    series.push(Series::neutral("its limit").line(vec![(nearest, nearest), (farthest, farthest)]));
    let minimum = result.random.first().map(|bandit| Guide::horizontal(bandit.minimum, "minimum"));
    XyChart {
        name: "random_bandits".to_owned(),
        title: "Policy gradient on random bandits".to_owned(),
        caption: format!(
            "KL(π‖π₀) of exact policy gradient at J = {}, against that of always giving the reference's favourite right \
             answer.",
            result.config.target_success
        ),
        size: FigureSize::Half,
        x: Axis::linear("−ln of the likeliest right answer", "nats"),
        y: Axis::linear("KL(π‖π₀) of policy gradient", "nats"),
        series,
        guides: minimum.into_iter().collect(),
    }
    .draw()
}

/// Old mode kept against new mode learned, for one shape of the base.
pub(super) fn frontier_figure(result: &TheoryResult, base: MixtureBase) -> Result<Figure, ReportError> {
    let (name, title, caption) = match base {
        MixtureBase::TwoModes => (
            "mixture_two_modes",
            "Base with two modes",
            "From the base at the left to the matched level and beyond. Both objectives that name the old mode keep it.",
        ),
        MixtureBase::OneMode => (
            "mixture_one_mode",
            "Base with one mode",
            "The counter-case: SFT widens before it moves and keeps more of the old mode; RL jumps. RL towards both modes \
             stays where it is.",
        ),
    };
    let arms = result.mixture.arms.iter().filter(|arm| arm.base == base);
    XyChart {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        size: FigureSize::Half,
        x: Axis::percent("New mode learned").range(0.0, 1.0),
        y: Axis::percent("Old mode kept").range(0.0, 1.0),
        series: arms
            .map(|arm| {
                let path: Vec<(f64, f64)> =
                    arm.path.iter().map(|point| (point.new_overlap, point.old_overlap)).collect();
                let matched = arm.matched.iter().map(|point| (point.new_overlap, point.old_overlap));
                Series::new(arm.label(), arm_color(arm)).line(path).points(matched.collect())
            })
            .collect(),
        guides: vec![Guide::vertical(result.config.mixture.matched_overlap, "matched")],
    }
    .draw()
}

/// Densities of the two-mode arms where the new mode is learned.
pub(super) fn density_figure(result: &TheoryResult) -> Result<Figure, ReportError> {
    let mixture = &result.mixture;
    let curve = |density: &[f64]| mixture.grid.iter().copied().zip(density.iter().copied()).collect();
    let mut series = vec![
        Series::neutral("base").line(curve(&mixture.base_density)),
        Series::new("target, both modes", 7).line(curve(&mixture.target_density)),
    ];
    let arms = mixture.arms.iter().filter(|arm| arm.base == MixtureBase::TwoModes);
    series.extend(arms.map(|arm| Series::new(arm.label(), arm_color(arm)).line(curve(&arm.density))));
    let (old, new) = (result.config.mixture.old, result.config.mixture.new);
    XyChart {
        name: "mixture_densities".to_owned(),
        title: "The policies where the new mode is learned".to_owned(),
        caption:
            "Density of each two-mode arm where its overlap with the new mode reaches the matched level."
                .to_owned(),
        size: FigureSize::Wide,
        x: Axis::linear("answer", "").range(old.mean - 4.0 * old.std, new.mean + 4.0 * new.std),
        y: Axis::linear("density", ""),
        series,
        guides: vec![],
    }
    .draw()
}

/// The last nats of success spread out: 0 is even odds, 6.9 is 0.999.
fn success_axis() -> Axis {
    Axis::linear("Success, ln(J/(1 − J))", "nats")
}

/// The sampled methods have no path and exact EM has no finite place on the axis.
fn path_series(result: &TheoryResult, value: impl Fn(&PolicyPoint) -> Option<f64>) -> Vec<Series> {
    let drawn = [
        (BanditMethod::FixedAnnotator, 3),
        (BanditMethod::VanillaGradient, 0),
        (BanditMethod::RejectionCrossEntropy, 1),
        (BanditMethod::OracleCrossEntropy, 2),
        (BanditMethod::NaturalGradient, 4),
    ];
    let paths = drawn.iter().filter_map(|&(method, color)| Some((result.path(method)?, color)));
    paths
        .map(|(path, color)| {
            let at = |point: &PolicyPoint| Some((logit(point.success), value(point)?));
            Series::new(path.method.label(), color).line(path.path.iter().filter_map(at).collect())
        })
        .collect()
}

fn arm_color(arm: &MixtureArm) -> usize {
    match (arm.direction, arm.target) {
        (Direction::Forward, MixtureTarget::NewOnly) => 1,
        (Direction::Reverse, MixtureTarget::NewOnly) => 3,
        (Direction::Forward, MixtureTarget::OldAndNew) => 2,
        (Direction::Reverse, MixtureTarget::OldAndNew) => 0,
    }
}
