//! The gates of the embedded base: what its recipe measured on a prototype, with the prototype's thresholds but for L3.
//!
//! A gate that cannot be judged is `None`, never a pass. The pooled R² has no gate.

use razor_report::Gate;

use crate::comparison::ComparedPolicy;
use crate::llm::study::headline::Contrast;
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::{Measured, Point};
use crate::llm::study::record::Measurement;
use crate::llm::study::task_view::{TaskView, mean_of};
use crate::llm::study::words::{interval_words, percent, points};

/// All gates; none for a base that is not the embedded one.
pub(crate) fn gates(measured: &Measured, views: &[TaskView<'_>]) -> Vec<Gate> {
    if !measured.config.study.is_embedded() {
        return vec![];
    }
    let view = |source: &str| {
        let tasks = &measured.config.study.tasks;
        tasks.iter().position(|task| task.source == source).map(|task_idx| &views[task_idx])
    };
    let (math, tools) = (view("tiny_math"), view("tiny_tools"));
    vec![
        base_score("L1", "0.45 to 0.65 on math", math, 0.45, 0.65),
        base_score("L2", "0.20 to 0.40 on tools", tools, 0.20, 0.40),
        base_prior(measured),
        retention(math),
        cost(math),
        matched_drop(math),
    ]
}

fn base_score(id: &str, range: &str, view: Option<&TaskView<'_>>, low: f64, high: f64) -> Gate {
    let bases = view.map(TaskView::bases).unwrap_or_default();
    let scores: Vec<f64> = bases.iter().map(|base| base.new_task.sampled).collect();
    let sound = |score: &f64| (low..=high).contains(score);
    let each: Vec<String> = bases
        .iter()
        .map(|base| {
            let (score, error) = (base.new_task.sampled, base.new_task.sampled_error);
            format!("{} %, standard error {}", percent(score, 1), points(error))
        })
        .collect();
    Gate {
        id: id.into(),
        claim: format!("the base's accuracy at temperature 1 is {range}"),
        pass: (!scores.is_empty()).then(|| scores.iter().all(sound)),
        figure: if each.is_empty() { "no such task".into() } else { each.join("; ") },
        per_seed: scores.iter().map(sound).collect(),
    }
}

/// The recipe's prototype had a mean of 0.85 or more, with six of nine skills at their ceiling: losses could not be seen
/// there. This base is meant to have skills that can fall and rise.
fn base_prior(measured: &Measured) -> Gate {
    let prior: Vec<&Measurement> = measured.bases.iter().filter_map(|of_base| of_base.first()).collect();
    let n_inside =
        |base: &Measurement| base.prior.iter().filter(|skill| (0.60..=0.95).contains(&skill.score)).count();
    let sound = |base: &&Measurement| 2 * n_inside(base) > base.prior.len();
    let each: Vec<String> = prior
        .iter()
        .map(|base| {
            let n = base.prior.len();
            format!("{} of {n}, mean {} %", n_inside(base), percent(base.prior_score, 1))
        })
        .collect();
    Gate {
        id: "L3".into(),
        claim:
            "most of the base's prior skills lie between 0.60 and 0.95: neither at the floor nor saturated"
                .into(),
        pass: (!prior.is_empty()).then(|| prior.iter().all(sound)),
        figure: each.join(", "),
        per_seed: prior.iter().map(sound).collect(),
    }
}

fn retention(math: Option<&TaskView<'_>>) -> Gate {
    let claim = "on math GRPO at learning rate 3e-4 ends at 0.85 or more (temperature 1) with a drop of 1.5 points or less";
    let is_wanted = |point: &Point| {
        point.setting.method == StudyMethod::Grpo && is_near(point.setting.learning_rate, 3e-4)
    };
    let mut ends = math.map(TaskView::ends).unwrap_or_default();
    ends.retain(|end| is_wanted(end));
    of_ends("L4", claim, &ends, |score, drop| score >= 0.85 && drop <= 0.015)
}

fn cost(math: Option<&TaskView<'_>>) -> Gate {
    let claim = "on math SFT at learning rate 1e-3 and epsilon 1e-4 ends at 0.85 or more (temperature 1) with a drop of 3 points \
                 or more";
    let is_wanted = |point: &&Point| {
        point.is_last
            && point.setting.method == StudyMethod::Sft
            && is_near(point.setting.learning_rate, 1e-3)
            && is_near(point.setting.epsilon, 1e-4)
    };
    let ends: Option<Vec<&Point>> = math.map(|view| {
        let of_task = view.measured.points.iter().filter(|point| point.setting.task == view.name);
        of_task.filter(is_wanted).collect()
    });
    of_ends("L5", claim, &ends.unwrap_or_default(), |score, drop| score >= 0.85 && drop >= 0.03)
}

/// A claim about new-task score and drop at the end of runs: on their mean, and for each run.
fn of_ends(id: &str, claim: &str, ends: &[&Point], holds: impl Fn(f64, f64) -> bool) -> Gate {
    let means = mean_of(ends, Point::new_task).zip(mean_of(ends, Point::forgetting));
    let each: Vec<String> = ends
        .iter()
        .map(|end| format!("{} % with {}", percent(end.new_task(), 1), points(end.forgetting)))
        .collect();
    Gate {
        id: id.into(),
        claim: claim.into(),
        pass: means.map(|(score, drop)| holds(score, drop)),
        figure: if each.is_empty() {
            "no such run".into()
        } else {
            format!("accuracy with drop in points: {}", each.join(", "))
        },
        per_seed: ends.iter().map(|end| holds(end.new_task(), end.forgetting)).collect(),
    }
}

/// Judged where every repetition reaches the level: one of several would be chosen by what it reaches.
fn matched_drop(math: Option<&TaskView<'_>>) -> Gate {
    const LEVEL: f64 = 0.80;
    let n_of = |method| math.map_or(0, |view| view.frontiers.of(method).len());
    let n_seeds = n_of(StudyMethod::Sft).max(n_of(StudyMethod::Grpo));
    let contrast = math.and_then(|view| Contrast::headline(view, LEVEL));
    let figure = contrast.as_ref().map_or("not reached by both".to_owned(), |contrast| {
        let each: Vec<String> = contrast.per_seed.iter().map(|(_, difference)| points(*difference)).collect();
        let mean = interval_words(contrast.mean.mean, contrast.mean.low.zip(contrast.mean.high));
        format!(
            "SFT's drop less GRPO's {mean} points; reached by {} of {n_seeds} repetitions: {}",
            each.len(),
            each.join(", ")
        )
    });
    let whole = contrast.as_ref().filter(|contrast| contrast.per_seed.len() == n_seeds);
    Gate {
        id: "L6".into(),
        claim: "on math SFT's drop is above GRPO's at 0.80 new-task accuracy".into(),
        pass: whole.map(|contrast| contrast.mean.mean > 0.0),
        figure,
        per_seed: contrast
            .map(|contrast| contrast.per_seed.iter().map(|(_, difference)| *difference > 0.0).collect())
            .unwrap_or_default(),
    }
}

/// Equal but for the last digits of a number that a config was written with.
fn is_near(value: f64, wanted: f64) -> bool {
    (value / wanted - 1.0).abs() < 1e-9
}
