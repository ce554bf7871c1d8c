//! Gate T12: the bandit's figures, and who reaches the minimum.

use serde::{Deserialize, Serialize};

use super::TheoryResult;
use super::descent::BanditMethod;

/// Gate T12 with the figures behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TheoryGate {
    /// `"T12"`.
    pub id: String,
    /// Whether every check holds.
    pub pass: bool,
    /// The checks in one line.
    pub figure: String,
    /// Each claim.
    pub checks: Vec<GateCheck>,
}

/// One claim of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateCheck {
    /// What is measured.
    pub claim: String,
    /// Figure worked out by hand, in nats.
    pub expected: f64,
    /// Figure measured, in nats.
    pub found: f64,
    /// Whether the two are within 1e-3 of each other.
    pub pass: bool,
}

/// Figures worked out by hand, and the distance that still counts as equal, in nats.
const MINIMUM: f64 = 0.994;
const MINIMUM_AT_TARGET: f64 = 0.986;
const POLICY_GRADIENT: f64 = 1.357;
const ANNOTATOR: f64 = 2.120;
const TOLERANCE: f64 = 1e-3;

/// Evaluates T12: KL(π‖π₀) is 0.994 for exact EM (the minimum), 0.986 for natural gradient at J = 0.999 (the minimum
/// there), 1.357 for vanilla gradient and small rejection-sampling steps (not the minimum), 2.120 for the annotator.
///
/// The figures belong to the bandit of the presets: with another bandit or target the gate fails.
pub fn evaluate_t12(result: &TheoryResult) -> TheoryGate {
    let end = |method| result.path(method).map(|path| path.end);
    let kl = |method| end(method).map_or(f64::NAN, |end| end.kl_policy_to_reference);
    let excess = |method| end(method).map_or(f64::NAN, |end| end.excess);
    let check = |claim: &str, expected: f64, found: f64| GateCheck {
        claim: claim.to_owned(),
        expected,
        found,
        pass: (found - expected).abs() <= TOLERANCE,
    };
    use BanditMethod::{ExactEm, NaturalGradient, RejectionCrossEntropy, VanillaGradient};
    let above = POLICY_GRADIENT - MINIMUM_AT_TARGET;
    let checks = vec![
        check("minimum KL, -ln π₀(right)", MINIMUM, result.minimum_kl),
        check("exact EM", MINIMUM, kl(ExactEm)),
        check("exact EM above the minimum", 0.0, excess(ExactEm)),
        check("natural gradient", MINIMUM_AT_TARGET, kl(NaturalGradient)),
        check("natural gradient above the minimum", 0.0, excess(NaturalGradient)),
        check("policy gradient", POLICY_GRADIENT, kl(VanillaGradient)),
        check("policy gradient above the minimum", above, excess(VanillaGradient)),
        check("rejection-sampling SFT, small steps", POLICY_GRADIENT, kl(RejectionCrossEntropy)),
        check("annotator of one answer", ANNOTATOR, result.annotator_limit.kl_policy_to_reference),
    ];
    let pass = checks.iter().all(|check| check.pass);
    let figure = format!(
        "minimum {:.4}, exact EM {:.4}, natural gradient {:.4}, policy gradient {:.4}, annotator {:.4} nats",
        result.minimum_kl,
        kl(ExactEm),
        kl(NaturalGradient),
        kl(VanillaGradient),
        result.annotator_limit.kl_policy_to_reference,
    );
    TheoryGate { id: "T12".to_owned(), pass, figure, checks }
}

#[cfg(test)]
mod tests {
    use razor_core::Seed;

    use super::*;
    use crate::theory::run_theory;
    use crate::theory::tests::smoke;

    #[test]
    fn t12_passes_on_the_bandit_of_the_notes() {
        let gate = evaluate_t12(&run_theory(&smoke(), Seed::new(0)).unwrap());
        assert!(gate.pass, "{gate:#?}");
    }

    #[test]
    fn t12_fails_when_a_method_is_missing_or_off() {
        let result = run_theory(&smoke(), Seed::new(0)).unwrap();
        let mut missing = result.clone();
        missing.paths.retain(|path| path.method != BanditMethod::VanillaGradient);
        assert!(!evaluate_t12(&missing).pass);
        let mut off = result;
        off.annotator_limit.kl_policy_to_reference += 2e-3;
        assert!(!evaluate_t12(&off).pass);
    }
}
