//! The exact gradient flow of a softmax bandit in closed form.
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

use super::bandit::{Bandit, PolicyPoint, softmax};

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
    let answers: Vec<(f64, bool)> = bandit.base.iter().copied().zip(bandit.is_right()).collect();
    let part =
        |wanted: bool| answers.iter().filter(move |(_, is_right)| *is_right == wanted).map(|(p, _)| *p);
    let favourite = part(true).fold(0.0, f64::max);
    // 1 − s π₀_y, arranged so that the favourite's is exactly e^(−x)
    let rise = |p: f64| -((1.0 - p / favourite) + (-x).exp() * p / favourite).ln();
    let fall = |p: f64, log_w: f64| -(log_w.exp() * p).ln_1p();
    let risen: f64 = part(true).map(rise).sum();
    let log_w = bisect(-80.0, 705.0, |log_w| {
        let fallen: f64 = part(false).map(|p| fall(p, log_w)).sum();
        risen + fallen > 0.0
    });
    let shift = |p, is_right| if is_right { rise(p) } else { fall(p, log_w) };
    answers.iter().map(|&(p, is_right)| p.ln() + shift(p, is_right)).collect()
}

/// Where `is_below` turns from true to false between `low` and `high`, to f64 resolution.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if is_below(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
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
}
