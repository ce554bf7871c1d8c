//! The theory study as a page and a summary.

use std::collections::BTreeMap;

use razor_report::{Block, DataKind, Gate, Highlight, Page, ReportError, SUMMARY_SCHEMA, Section, Summary};

use super::gate::evaluate_t12;
use super::{BanditMethod, Direction, MixtureBase, MixtureTarget, TheoryResult, figures, tables};

/// Composes the report. `environment` is what a rerun needs to know (commit, versions), shown and stored as it is.
///
/// No data set is read, so nothing in it is a stand-in: the summary's `data` is `real` and its provenance is empty.
///
/// # Errors
/// [`ReportError::Draw`] when a figure cannot be drawn.
pub fn theory_report(
    result: &TheoryResult,
    preset: &str,
    environment: BTreeMap<String, String>,
) -> Result<(Page, Summary), ReportError> {
    let page = Page {
        title: "Theory: where on-policy learning ends up".to_owned(),
        subtitle: "Does policy gradient find the right policy nearest the reference?".to_owned(),
        highlights: highlights(result),
        sections: vec![bandit_section(result)?, exactness_section(result)?, mixture_section(result)?],
        rerun: vec![format!("cargo xtask reproduce theory --preset {preset} --seed {}", result.seed.value())],
        footer: "Exact arithmetic in f64; only the sampled runs and the random bandits depend on the seed."
            .to_owned(),
    };
    let gate = evaluate_t12(result);
    let summary = Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "theory".to_owned(),
        preset: preset.to_owned(),
        data: DataKind::None,
        verdict: verdict(result),
        gates: vec![Gate {
            id: gate.id,
            claim: "KL(π‖π₀) on the five-answer bandit within 1e-3 nats: exact EM 0.994 and natural gradient 0.986, both \
                    at the minimum; policy gradient 1.357, not at the minimum; annotator 2.120"
                .to_owned(),
            pass: Some(gate.pass),
            figure: gate.figure,
            per_seed: vec![],
        }],
        predictors: vec![],
        matched: vec![],
        residuals: vec![],
        provenance: vec![],
        environment,
    };
    Ok((page, summary))
}

fn verdict(result: &TheoryResult) -> Vec<String> {
    let annotator = result.annotator_limit.kl_policy_to_reference;
    vec![
        format!(
            "On the bandit, exact EM ends {:.3} and natural gradient {:.3} nats above the right policy nearest the \
             reference; plain policy gradient ends {:.3} nats above it.",
            excess(result, BanditMethod::ExactEm),
            excess(result, BanditMethod::NaturalGradient),
            excess(result, BanditMethod::VanillaGradient)
        ),
        format!(
            "Policy gradient still ends at {:.3} nats, where an annotator who always writes answer {} is {annotator:.3} \
             nats from the reference.",
            reverse_kl(result, BanditMethod::VanillaGradient),
            result.config.annotator
        ),
        format!(
            "In the two-mode mixture, at the same new-mode overlap, SFT on the new mode keeps {} of the old one and RL \
             towards both modes {}. With the targets exchanged SFT keeps {} and RL {}: the direction of the KL alone does \
             not decide.",
            kept(result, MixtureBase::TwoModes, Direction::Forward, MixtureTarget::NewOnly),
            kept(result, MixtureBase::TwoModes, Direction::Reverse, MixtureTarget::OldAndNew),
            kept(result, MixtureBase::TwoModes, Direction::Forward, MixtureTarget::OldAndNew),
            kept(result, MixtureBase::TwoModes, Direction::Reverse, MixtureTarget::NewOnly)
        ),
        format!(
            "With a base of one mode and the new mode as the target, SFT keeps {} and RL {}.",
            kept(result, MixtureBase::OneMode, Direction::Forward, MixtureTarget::NewOnly),
            kept(result, MixtureBase::OneMode, Direction::Reverse, MixtureTarget::NewOnly)
        ),
    ]
}

fn highlights(result: &TheoryResult) -> Vec<Highlight> {
    let card = |value: f64, label: &str, detail: String| Highlight {
        value: format!("{value:.3}"),
        label: label.to_owned(),
        detail,
    };
    let at_target = format!("nats, at J = {}", result.config.target_success);
    vec![
        card(result.minimum_kl, "least KL(π‖π₀) of an always right policy", "nats, −ln π₀(right)".to_owned()),
        card(reverse_kl(result, BanditMethod::NaturalGradient), "natural gradient", at_target.clone()),
        card(reverse_kl(result, BanditMethod::OracleCrossEntropy), "oracle SFT, soft", at_target.clone()),
        card(reverse_kl(result, BanditMethod::VanillaGradient), "policy gradient", at_target),
        card(
            result.annotator_limit.kl_policy_to_reference,
            "annotator of one answer",
            "nats, fitted exactly".to_owned(),
        ),
    ]
}

fn bandit_section(result: &TheoryResult) -> Result<Section, ReportError> {
    let base = &result.config.bandit.base;
    Ok(Section {
        title: "The bandit".to_owned(),
        intro: vec![
            format!(
                "Ways to become right, all from the reference {base:?} with answers {:?} right, counted from 1.",
                result.config.bandit.right
            ),
            "The theorem is about KL(π‖π₀), the empirical law about KL(π₀‖π), and the paper does not connect the two. At \
             the theorem's optimum KL(π₀‖π) is infinite, since every wrong answer is given up; at any success below 1 both \
             are least for the same policy, the one that keeps the reference's proportions among right and among wrong."
                .to_owned(),
            "Plain policy gradient moves each logit by π(R − J), so the likelier right answer grows faster, and followed for \
             ever it takes everything. Small steps of cross-entropy towards its own right samples have the same gradient \
             over J and walk the same path; their lines lie on each other."
                .to_owned(),
        ],
        blocks: vec![
            Block::Figure(figures::reverse_kl_figure(result)?),
            Block::Figure(figures::forward_kl_figure(result)?),
            Block::Table(tables::methods_table(result)),
            Block::Table(tables::sampled_table(result)),
            Block::Text(
                "Drift: with a baseline, a group that is all right changes nothing. Without one the update is zero only in \
                 expectation, and a policy that has nothing left to learn keeps wandering among right answers."
                    .to_owned(),
            ),
        ],
    })
}

fn exactness_section(result: &TheoryResult) -> Result<Section, ReportError> {
    Ok(Section {
        title: "How much exactness, and how large a gap".to_owned(),
        intro: vec![
            "The theorem asks for exact M-steps, or for errors with a finite sum. Making more gradient steps towards each \
             target before it is drawn anew leads from policy gradient (one step) to the minimum (all of them): oracle SFT \
             is the far end, whose target never moves."
                .to_owned(),
            "On random bandits the gap is the rule. The exact flow has a closed form: e to the minus logit falls at one \
             rate for all right answers, so that of the likeliest one is the first at 0."
                .to_owned(),
        ],
        blocks: vec![
            Block::Figure(figures::m_step_figure(result)?),
            Block::Figure(figures::random_figure(result)?),
            Block::Table(tables::m_steps_table(result)),
            Block::Table(tables::random_table(result)),
        ],
    })
}

fn mixture_section(result: &TheoryResult) -> Result<Section, ReportError> {
    Ok(Section {
        title: "Two modes, two directions".to_owned(),
        intro: vec![
            "In the spirit of arXiv 2510.18874 and 2603.12163: Gaussian modes, an old one to keep and a new one to learn, \
             by forward KL (SFT) or reverse KL (RL), towards the new mode only or towards both."
                .to_owned(),
            "Deviations: all parameters follow the plain gradient at one rate, where the released simulation of 2510.18874 \
             slows the old mode and the weights 200 times, samples RL from the new component alone and uses other learning \
             rates for SFT than for RL; expectations are integrals, nothing is sampled; the base's old mode is already right."
                .to_owned(),
            "With the presets' modes, KL from the base does not predict what is lost: the two-mode arms that keep the old mode are no nearer to the base \
             than SFT on the new mode, because moving the other mode costs KL too and costs nothing old."
                .to_owned(),
        ],
        blocks: vec![
            Block::Figure(figures::frontier_figure(result, MixtureBase::TwoModes)?),
            Block::Figure(figures::frontier_figure(result, MixtureBase::OneMode)?),
            Block::Figure(figures::density_figure(result)?),
            Block::Table(tables::mixture_table(result)),
        ],
    })
}

fn reverse_kl(result: &TheoryResult, method: BanditMethod) -> f64 {
    result.path(method).map_or(f64::NAN, |path| path.end.kl_policy_to_reference)
}

fn excess(result: &TheoryResult, method: BanditMethod) -> f64 {
    // Rounding may leave it a hair below 0, which would print as a negative zero.
    result.path(method).map_or(f64::NAN, |path| path.end.excess.max(0.0))
}

/// Share of the old mode kept at the matched level, in words.
fn kept(result: &TheoryResult, base: MixtureBase, direction: Direction, target: MixtureTarget) -> String {
    let mut arms = result.mixture.arms.iter();
    let arm = arms.find(|arm| (arm.base, arm.direction, arm.target) == (base, direction, target));
    match arm.and_then(|arm| arm.matched) {
        Some(point) => format!("{:.1} %", 100.0 * point.old_overlap),
        None => "nothing to compare, as it never gets there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;
    use razor_report::{Block, write_report};

    use super::*;
    use crate::theory::run_theory;
    use crate::theory::tests::smoke;

    #[test]
    fn the_report_is_written_with_every_figure_and_the_gate() {
        let result = run_theory(&smoke(), Seed::new(0)).unwrap();
        let (page, summary) = theory_report(&result, "smoke", BTreeMap::new()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        write_report(dir.path(), &page, &summary).unwrap();
        assert_eq!(Summary::read(&dir.path().join("summary.json")).unwrap().gates[0].pass, Some(true));
        let blocks = page.sections.iter().flat_map(|section| &section.blocks);
        let n_figures = blocks.filter(|block| matches!(block, Block::Figure(_))).count();
        assert_eq!(std::fs::read_dir(dir.path().join("figures")).unwrap().count(), n_figures);
        let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
        assert!(!html.contains("NaN") && !html.contains("no data"), "a figure or a sentence has no number");
    }
}
