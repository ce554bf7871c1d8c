//! The theory study: where on-policy learning ends up, on problems small enough to be exact.
//!
//! **The bandit** (section 5.2 and appendix A of arXiv 2509.04259). The paper proves that policy gradient with a 0/1
//! reward is EM: condition the policy on being right, then fit that by maximum likelihood; and that exact fits lead to
//! the right policy with the least KL(π‖π₀). This study walks there with each method and measures how far it really is.
//!
//! **The mixture** (in the spirit of arXiv 2510.18874 and 2603.12163): one or two Gaussian modes under forward and reverse KL,
//! with the counter-case in which SFT forgets less than RL. Its deviations from those papers are in `mixture.rs`.
//!
//! Three things that a reader of the theorem should know, and that the figures show:
//!
//! 1. The theorem minimises KL(π‖π₀), the empirical law uses KL(π₀‖π); the paper does not connect them. At the theorem's
//!    optimum KL(π₀‖π) is infinite, because every wrong answer is given up. At any success below 1 both directions are least
//!    for the same policy (chain rule of KL), so the order of the methods can agree even though the quantities differ.
//! 2. Plain policy gradient in a softmax bandit does not get there. The theorem asks for exact fits, or errors with
//!    a finite sum; one small gradient step per target is neither. Its logit step is π_y (R_y − J), so the likelier
//!    right answer grows faster, and in the limit takes everything: KL(π‖π₀) → −ln max_right π₀ (see `flow.rs`), still no
//!    farther than any annotator with one fixed answer. How exact the fits must be is measured by `inexact_em`.
//! 3. With a baseline a group that is all right changes nothing. Without one it still does, by an update that is zero in
//!    expectation: the policy random-walks among right answers. [`SampledSummary::drift`] measures it.
//!
//! Everything is host arithmetic in f64, deterministic from the seed, and needs no accelerator.

mod bandit;
mod descent;
mod figures;
mod flow;
mod gate;
mod gaussian;
mod mixture;
mod page;
mod random;
mod study;
mod tables;

use razor_core::Seed;
use serde::{Deserialize, Serialize};

pub use bandit::{Bandit, PolicyPoint};
pub use descent::{BanditMethod, BanditPath};
pub use gate::{GateCheck, TheoryGate, evaluate_t12};
pub use mixture::{
    Direction, MixtureArm, MixtureBase, MixtureConfig, MixturePoint, MixtureResult, MixtureTarget, Mode,
};
pub use page::theory_report;
pub use random::{RandomBandit, RandomBanditConfig};
pub use study::{THEORY_PRESETS, TheoryStudy, is_theory_study, redraw_theory_report};

use descent::Pace;

/// Why the theory study could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message documents its variant")]
pub enum TheoryError {
    #[error("{field}: expected {expected}, found {found}")]
    Config { field: &'static str, expected: String, found: String },
}

impl TheoryError {
    /// `found` is written with its debug format, which keeps every digit.
    fn require(
        holds: bool,
        field: &'static str,
        expected: &str,
        found: impl std::fmt::Debug,
    ) -> Result<(), Self> {
        let refused = || Self::Config { field, expected: expected.to_owned(), found: format!("{found:?}") };
        if holds { Ok(()) } else { Err(refused()) }
    }
}

/// The theory study. Preset files spell out every field; there is no `Default`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TheoryConfig {
    /// The bandit.
    pub bandit: Bandit,
    /// The one answer of the fixed annotator, counted from 1; a right one.
    pub annotator: usize,
    /// Exact methods stop once J(π) is above this; above J(π₀), below 1.
    pub target_success: f64,
    /// Step of the exact methods on the logits; in 0 (exclusive) to 1.
    pub step_size: f64,
    /// Most updates of an exact method; at least 1.
    pub max_steps: usize,
    /// Gradient steps per M-step, each tried; all at least 1.
    pub inner_steps: Vec<usize>,
    /// The sampled methods.
    pub sampled: SampledConfig,
    /// The random bandits.
    pub random: RandomBanditConfig,
    /// The mixture.
    pub mixture: MixtureConfig,
}

/// REINFORCE with sampled groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampledConfig {
    /// Independent runs of each variant; at least 1.
    pub runs: usize,
    /// Answers per group (G); at least 2, or a baseline takes everything off.
    pub group_size: usize,
    /// Step on the logits; in 0 (exclusive) to 1.
    pub step_size: f64,
    /// Most updates of a run on its way to the target.
    pub max_steps: usize,
    /// Updates of the random walk that starts at the target.
    pub drift_steps: usize,
}

/// What the study measured; figures and tables need nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TheoryResult {
    /// The config it came from.
    pub config: TheoryConfig,
    /// The seed it came from.
    pub seed: Seed,
    /// −ln π₀(right): the least KL(π‖π₀) of a policy that is always right, in nats.
    pub minimum_kl: f64,
    /// Where exact policy-gradient flow ends when followed for ever: −ln max_right π₀, in nats.
    pub policy_gradient_limit: f64,
    /// The fixed annotator, fitted exactly.
    pub annotator_limit: PolicyPoint,
    /// Path of each exact method.
    pub paths: Vec<BanditPath>,
    /// How much the exactness of the M-step matters.
    pub m_steps: Vec<InexactEm>,
    /// The sampled methods.
    pub sampled: Vec<SampledSummary>,
    /// The same gap on random bandits.
    pub random: Vec<RandomBandit>,
    /// The mixture.
    pub mixture: MixtureResult,
}

/// EM with M-steps of so many gradient steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InexactEm {
    /// Gradient steps before the target is drawn anew.
    pub inner_steps: usize,
    /// Where it passed the target success.
    pub end: PolicyPoint,
}

/// Runs of one sampled method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledSummary {
    /// Which variant.
    pub method: BanditMethod,
    /// Where each run stopped.
    pub ends: Vec<PolicyPoint>,
    /// How many runs passed the target success.
    pub n_reached: usize,
    /// For each run, how far a policy already at the target and at the minimum wandered among the right answers in
    /// `drift_steps` updates: total variation between the proportions before and after, in 0 to 1.
    pub drift: Vec<f64>,
}

impl TheoryResult {
    /// The path of an exact method.
    pub fn path(&self, method: BanditMethod) -> Option<&BanditPath> {
        self.paths.iter().find(|path| path.method == method)
    }
}

impl TheoryConfig {
    /// Checks the ranges that the field docs state.
    ///
    /// # Errors
    /// [`TheoryError::Config`] naming the field, what was expected and what was found.
    pub fn check(&self) -> Result<(), TheoryError> {
        self.bandit.check()?;
        let (target, base) = (self.target_success, self.bandit.success(&self.bandit.base));
        let is_step = |step: f64| step > 0.0 && step <= 1.0;
        let step = "above 0, at most 1";
        let sampled = &self.sampled;
        TheoryError::require(
            self.bandit.right.contains(&self.annotator),
            "annotator",
            "a right answer",
            self.annotator,
        )?;
        TheoryError::require(
            target > base && target < 1.0,
            "target_success",
            "above J of the base and below 1",
            target,
        )?;
        TheoryError::require(is_step(self.step_size), "step_size", step, self.step_size)?;
        TheoryError::require(is_step(sampled.step_size), "sampled.step_size", step, sampled.step_size)?;
        let at_least_one = "at least 1";
        TheoryError::require(self.max_steps > 0, "max_steps", at_least_one, self.max_steps)?;
        TheoryError::require(sampled.runs > 0, "sampled.runs", at_least_one, sampled.runs)?;
        TheoryError::require(sampled.group_size > 1, "sampled.group_size", "at least 2", sampled.group_size)?;
        let inner_steps = &self.inner_steps;
        TheoryError::require(!inner_steps.contains(&0), "inner_steps", "all at least 1", inner_steps)?;
        self.random.check(self.target_success)?;
        self.mixture.check()
    }
}

/// Runs the theory study on the calling thread.
///
/// # Errors
/// As [`TheoryConfig::check`].
pub fn run_theory(config: &TheoryConfig, seed: Seed) -> Result<TheoryResult, TheoryError> {
    config.check()?;
    let bandit = &config.bandit;
    let pace = exact_pace(config);
    let right = bandit.right.iter().map(|&answer| bandit.base[answer - 1]);
    let inexact =
        |&inner_steps: &usize| InexactEm { inner_steps, end: descent::inexact_em(bandit, inner_steps, pace) };
    Ok(TheoryResult {
        config: config.clone(),
        seed,
        minimum_kl: bandit.minimum_kl(1.0),
        policy_gradient_limit: -right.fold(0.0, f64::max).ln(),
        annotator_limit: descent::fixed_annotator_limit(bandit, config.annotator),
        paths: vec![
            descent::exact_em(bandit),
            descent::natural_gradient(bandit, pace),
            descent::oracle_cross_entropy(bandit, pace),
            descent::vanilla_gradient(bandit, pace),
            descent::rejection_cross_entropy(bandit, pace),
            descent::fixed_annotator(bandit, config.annotator, pace),
        ],
        m_steps: config.inner_steps.iter().map(inexact).collect(),
        sampled: vec![sampled_runs(config, false, seed), sampled_runs(config, true, seed)],
        random: random::random_bandits(
            &config.random,
            config.target_success,
            seed.derive("random bandits", 0),
        ),
        mixture: mixture::run_mixture(&config.mixture),
    })
}

fn exact_pace(config: &TheoryConfig) -> Pace {
    Pace { target_success: config.target_success, max_steps: config.max_steps, step_size: config.step_size }
}

/// Both variants draw from the same seeds, so that a difference between them is not luck.
fn sampled_runs(config: &TheoryConfig, with_baseline: bool, seed: Seed) -> SampledSummary {
    let (bandit, sampled) = (&config.bandit, &config.sampled);
    let pace = Pace { max_steps: sampled.max_steps, step_size: sampled.step_size, ..exact_pace(config) };
    let walk = Pace { target_success: 1.0, max_steps: sampled.drift_steps, ..pace };
    let saturated = descent::natural_gradient(bandit, exact_pace(config)).policy;
    let learn = |run| {
        let seed = seed.derive("reinforce", run);
        let (policy, step) =
            descent::reinforce(bandit, &bandit.base, sampled.group_size, with_baseline, pace, seed);
        bandit.measure(&policy, step)
    };
    let wander = |run| {
        let seed = seed.derive("drift", run);
        let (policy, _) =
            descent::reinforce(bandit, &saturated, sampled.group_size, with_baseline, walk, seed);
        let (before, after) = (bandit.condition_on_right(&saturated), bandit.condition_on_right(&policy));
        0.5 * before.iter().zip(after).map(|(p, q)| (p - q).abs()).sum::<f64>()
    };
    let runs = sampled.runs as u64;
    let ends: Vec<PolicyPoint> = (0..runs).map(learn).collect();
    SampledSummary {
        method: if with_baseline { BanditMethod::ReinforceWithBaseline } else { BanditMethod::Reinforce },
        n_reached: ends.iter().filter(|end| end.success > config.target_success).count(),
        ends,
        drift: (0..runs).map(wander).collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smoke preset, read as a user's run reads it.
    pub(crate) fn smoke() -> TheoryConfig {
        toml::from_str(include_str!("../presets/theory/smoke.toml")).unwrap()
    }

    #[test]
    fn every_preset_is_valid_and_uses_the_bandit_of_the_notes() {
        let presets = [
            include_str!("../presets/theory/smoke.toml"),
            include_str!("../presets/theory/quick.toml"),
            include_str!("../presets/theory/standard.toml"),
            include_str!("../presets/theory/paper.toml"),
        ];
        for preset in presets {
            let config: TheoryConfig = toml::from_str(preset).unwrap();
            config.check().unwrap();
            assert_eq!(config.bandit, bandit::tests::example());
            assert_eq!((config.annotator, config.target_success), (4, 0.999));
        }
    }

    #[test]
    fn equal_seeds_give_equal_results_and_json_keeps_every_bit() {
        let result = run_theory(&smoke(), Seed::new(1)).unwrap();
        assert_eq!(result, run_theory(&smoke(), Seed::new(1)).unwrap());
        assert_ne!(result.random, run_theory(&smoke(), Seed::new(2)).unwrap().random);
        let json = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<TheoryResult>(&json).unwrap(), result);
    }

    #[test]
    fn a_baseline_stops_the_random_walk_among_right_answers() {
        let result = run_theory(&smoke(), Seed::new(0)).unwrap();
        let mean = |drift: &[f64]| drift.iter().sum::<f64>() / drift.len() as f64;
        let (without, with) = (mean(&result.sampled[0].drift), mean(&result.sampled[1].drift));
        assert!(without > 3.0 * with, "without {without}, with {with}");
    }

    #[test]
    fn bad_settings_are_refused_by_field() {
        let mut config = smoke();
        config.annotator = 1;
        assert!(
            run_theory(&config, Seed::new(0)).unwrap_err().to_string().starts_with("annotator: expected")
        );
        let mut config = smoke();
        config.target_success = 0.3;
        assert!(config.check().unwrap_err().to_string().contains("target_success"));
        let mut config = smoke();
        config.mixture.grid_points = 50;
        assert!(config.check().unwrap_err().to_string().contains("mixture.grid_points"));
        let unknown = include_str!("../presets/theory/smoke.toml").replace("annotator", "anotator");
        assert!(toml::from_str::<TheoryConfig>(&unknown).unwrap_err().to_string().contains("anotator"));
    }
}
