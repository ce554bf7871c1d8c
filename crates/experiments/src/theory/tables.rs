//! The tables of the theory report.

use razor_report::NumberFormat::{Fixed, Percent};
use razor_report::{Cell, Column, Table};

use super::{BanditPath, MixtureArm, MixtureBase, PolicyPoint, RandomBandit, TheoryResult};

/// Where each exact method ends.
pub(super) fn methods_table(result: &TheoryResult) -> Table {
    let mut columns = vec![Column::text("Method")];
    columns.extend(point_columns());
    let caption = format!(
        "Where each exact method passes J = {}. Exact EM is at J = 1, where KL(π₀‖π) is infinite.",
        result.config.target_success
    );
    let mut table = Table::new("bandit_methods", caption, columns);
    for BanditPath { method, end, .. } in &result.paths {
        table.push(row(method.label().into(), end));
    }
    table.push(row("fixed annotator, fitted exactly".into(), &result.annotator_limit));
    table
}

/// EM with more and more exact M-steps.
pub(super) fn m_steps_table(result: &TheoryResult) -> Table {
    let mut columns = vec![Column::number("Gradient steps per M-step", "", Fixed(0))];
    columns.extend(point_columns());
    let caption = "EM whose M-step is so many gradient steps before the target is drawn anew.";
    let mut table = Table::new("m_steps", caption, columns);
    table.folded = true;
    for m_step in &result.m_steps {
        table.push(row((m_step.inner_steps as f64).into(), &m_step.end));
    }
    table
}

/// The sampled methods: median and range over runs.
pub(super) fn sampled_table(result: &TheoryResult) -> Table {
    let columns = vec![
        Column::text("Method"),
        Column::number("Runs there", "", Percent(0)),
        Column::number("Updates", "", Fixed(0)),
        Column::number("KL(π‖π₀)", "nats", Fixed(4)),
        Column::number("Drift", "", Fixed(3)),
    ];
    let caption = format!(
        "REINFORCE on groups of {}: median and range over {} runs. Drift: total variation \
         between the proportions of right answers before and after {} more updates that begin at the minimum with J = {}.",
        result.config.sampled.group_size,
        result.config.sampled.runs,
        result.config.sampled.drift_steps,
        result.config.target_success
    );
    let mut table = Table::new("sampled", caption, columns);
    for summary in &result.sampled {
        let over_runs = |of: fn(&PolicyPoint) -> f64| spread(summary.ends.iter().map(of), 0.0);
        table.push(vec![
            summary.method.label().into(),
            (summary.n_reached as f64 / summary.ends.len() as f64).into(),
            over_runs(|end| end.step as f64),
            over_runs(|end| end.kl_policy_to_reference),
            spread(summary.drift.iter().copied(), 0.0),
        ]);
    }
    table
}

/// The random bandits: median and the middle 90 %.
pub(super) fn random_table(result: &TheoryResult) -> Table {
    let nats = |title: &str| Column::number(title, "nats", Fixed(3));
    let columns = vec![
        Column::number("Concentration", "", Fixed(1)),
        nats("Minimum"),
        nats("Policy gradient"),
        nats("Its limit"),
        nats("Mean annotator"),
        Column::number("Share", "", Percent(0)),
    ];
    let random = &result.config.random;
    let caption = format!(
        "KL(π‖π₀) at J = {} on {} random bandits per concentration of the Dirichlet, {} answers of which {} are right, \
         J(π₀) = {}: median and middle 90 %. Share: of the way from the minimum to the mean annotator.",
        result.config.target_success, random.count, random.n_labels, random.n_right, random.base_success
    );
    let mut table = Table::new("random_bandits", caption, columns);
    for &concentration in &random.concentrations {
        let drawn: Vec<&RandomBandit> =
            result.random.iter().filter(|bandit| bandit.concentration == concentration).collect();
        let over = |of: fn(&RandomBandit) -> f64| spread(drawn.iter().map(|bandit| of(bandit)), 0.05);
        table.push(vec![
            concentration.into(),
            drawn.first().map(|bandit| bandit.minimum).into(), // the same for all: it depends on J(π₀) alone
            over(|bandit| bandit.policy_gradient),
            over(|bandit| bandit.favourite),
            over(|bandit| bandit.mean_annotator),
            over(|bandit| {
                (bandit.policy_gradient - bandit.minimum) / (bandit.mean_annotator - bandit.minimum)
            }),
        ]);
    }
    table
}

/// Each arm of the mixture where the new mode is learned, and at the end.
pub(super) fn mixture_table(result: &TheoryResult) -> Table {
    let columns = vec![
        Column::text("Base"),
        Column::text("Objective"),
        Column::number("New mode", "", Percent(1)),
        Column::number("Old mode", "", Percent(1)),
        Column::number("KL(π₀‖π)", "nats", Fixed(2)),
        Column::number("KL(π‖π₀)", "nats", Fixed(2)),
        Column::number("Old mode, end", "", Percent(1)),
    ];
    let caption = format!(
        "Arms where their overlap with the new mode reaches {:.0} %, their overlap with the old mode there and at the \
         end. A dash: not reached within {} updates of {}.",
        100.0 * result.config.mixture.matched_overlap,
        result.config.mixture.max_steps,
        result.config.mixture.step_size
    );
    let mut table = Table::new("mixture", caption, columns);
    for arm in &result.mixture.arms {
        let MixtureArm { base, matched, end, .. } = arm;
        let base = match base {
            MixtureBase::OneMode => "one mode",
            MixtureBase::TwoModes => "two modes",
        };
        table.push(vec![
            base.into(),
            arm.label().into(),
            matched.map(|point| point.new_overlap).into(),
            matched.map(|point| point.old_overlap).into(),
            matched.map(|point| point.kl_reference_to_policy).into(),
            matched.map(|point| point.kl_policy_to_reference).into(),
            end.old_overlap.into(),
        ]);
    }
    table
}

fn point_columns() -> [Column; 5] {
    [
        Column::number("Updates", "", Fixed(0)),
        Column::number("J", "", Fixed(4)),
        Column::number("KL(π‖π₀)", "nats", Fixed(4)),
        Column::number("Above the minimum", "nats", Fixed(4)),
        Column::number("KL(π₀‖π)", "nats", Fixed(4)),
    ]
}

fn row(name: Cell, end: &PolicyPoint) -> Vec<Cell> {
    vec![
        name,
        (end.step as f64).into(),
        end.success.into(),
        end.kl_policy_to_reference.into(),
        end.excess.into(),
        end.kl_reference_to_policy.unwrap_or(f64::INFINITY).into(),
    ]
}

/// Median, with the quantiles `tail` and 1 − `tail` as ends.
fn spread(values: impl Iterator<Item = f64>, tail: f64) -> Cell {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return Cell::Missing;
    }
    let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Cell::Interval { value: quantile(0.5), low: quantile(tail), high: quantile(1.0 - tail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_between_its_quantiles() {
        let values = (0..=100).rev().map(f64::from);
        assert_eq!(spread(values.clone(), 0.0), Cell::Interval { value: 50.0, low: 0.0, high: 100.0 });
        assert_eq!(spread(values, 0.05), Cell::Interval { value: 50.0, low: 5.0, high: 95.0 });
        assert_eq!(spread(std::iter::empty(), 0.0), Cell::Missing);
    }
}
