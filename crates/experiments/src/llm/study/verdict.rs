//! The answer in plain words, computed from this study's figures and from nothing else.

use razor_report::{Gate, Residual};

use crate::comparison::{FORWARD_KL, gate_sentence};
use crate::llm::study::epsilon::effects_sentence;
use crate::llm::study::fitted::Figure;
use crate::llm::study::headline::Contrast;
use crate::llm::study::law::r2_by_method;
use crate::llm::study::method::{StudyMethod, title_of};
use crate::llm::study::points::Measured;
use crate::llm::study::rivals::{CANDIDATES, lead_over};
use crate::llm::study::task_view::TaskView;
use crate::llm::study::words::{list, lower_first, number_words, points};

/// The sentences, most important first.
pub(crate) fn verdict(
    measured: &Measured,
    views: &[TaskView<'_>],
    gates: &[Gate],
    residuals: &[Residual],
) -> Vec<String> {
    let mut sentences = vec![lead(views).to_owned()];
    sentences.extend(views.iter().map(headline));
    sentences.extend(views.iter().filter_map(|view| law(view, residuals)));
    sentences.extend(views.iter().filter_map(effects_sentence));
    if !gates.is_empty() {
        sentences.push(gate_sentence(gates));
    }
    if !measured.failed.is_empty() {
        sentences.push(format!(
            "{} of {} runs ended early, because they diverged or had nothing to learn from; what they measured before that is in.",
            measured.failed.len(),
            measured.n_runs
        ));
    }
    if measured.n_done < measured.n_runs {
        let (done, all) = (measured.n_done, measured.n_runs);
        sentences.push(format!("Only {done} of {all} runs are done: these figures will change."));
    }
    if measured.config.study.is_embedded() {
        sentences.push(format!(
            "The base has {} weights and speaks a language that was made for this study: a policy this small shares its features \
             far more than a large one, and the figures are about it alone.",
            measured.config.n_parameters
        ));
    }
    sentences
}

fn headline(view: &TaskView<'_>) -> String {
    match Contrast::highest(view) {
        Some(contrast) => contrast.sentence(view.name),
        None => format!("{}: open, SFT and GRPO reach no new-task accuracy in common.", view.name),
    }
}

/// The answer over all tasks.
fn lead(views: &[TaskView<'_>]) -> &'static str {
    let found: Vec<Option<bool>> =
        views.iter().filter_map(Contrast::highest).map(|contrast| contrast.answer()).collect();
    let count = |answer: Option<bool>| found.iter().filter(|other| **other == answer).count();
    match (count(Some(true)), count(Some(false)), views.len()) {
        (yes, _, all) if yes == all && all > 0 => {
            "GRPO forgets less than SFT at equal new-task accuracy on every task."
        }
        (0, no, all) if no == all && all > 0 => {
            "GRPO forgets more than SFT at equal new-task accuracy on every task."
        }
        (0, 0, _) => {
            "Whether GRPO forgets less than SFT at equal new-task accuracy is not settled on any task."
        }
        (_, 0, _) => {
            "GRPO forgets less than SFT at equal new-task accuracy on some tasks; on the others it is not settled."
        }
        (0, _, _) => {
            "GRPO forgets more than SFT at equal new-task accuracy on some tasks; on the others it is not settled."
        }
        _ => "Whether GRPO forgets less than SFT depends on the task.",
    }
}

fn law(view: &TaskView<'_>, residuals: &[Residual]) -> Option<String> {
    let r2 = r2_by_method(view);
    let show = |figure: &Figure| figure.value.map(|value| number_words(value, figure.interval));
    let (_, pooled) = r2.first()?;
    let mut text = match show(pooled) {
        Some(pooled) => format!("{}: forward KL's quadratic has R² {pooled} over all methods", view.name),
        None => {
            return Some(format!(
                "{}: too few runs to say whether forward KL predicts forgetting.",
                view.name
            ));
        }
    };
    let own: Vec<(StudyMethod, f64)> =
        r2.iter().filter_map(|(method, figure)| Some(((*method)?, figure.value?))).collect();
    let ascending = |a: &&(StudyMethod, f64), b: &&(StudyMethod, f64)| a.1.total_cmp(&b.1);
    if let (Some(low), Some(high)) = (own.iter().min_by(ascending), own.iter().max_by(ascending)) {
        text += &match own.len() {
            1 => format!(" and {:.2} within {}", low.1, low.0.title()),
            _ => format!(
                " and from {:.2} ({}) to {:.2} ({}) within one",
                low.1,
                low.0.title(),
                high.1,
                high.0.title()
            ),
        };
    }
    let is_off = |row: &&Residual| row.task == view.name && (row.mean_low > 0.0 || row.mean_high < 0.0);
    let off: Vec<String> = residuals
        .iter()
        .filter(is_off)
        .map(|row| {
            let sign = if row.mean > 0.0 { "+" } else { "" };
            format!("{} ({sign}{} points)", title_of(&row.method), points(row.mean))
        })
        .collect();
    text += &match off.len() {
        0 => "; no method of three runs or more lies off the common curve".to_owned(),
        1 => format!("; {} lies off the common curve", off[0]),
        _ => format!("; {} lie off the common curve", list(&off)),
    };
    Some(format!("{text}. {}", rivals(view)))
}

/// Whether something that needs no old data predicts better.
fn rivals(view: &TaskView<'_>) -> String {
    let without_old_data = CANDIDATES.iter().filter(|candidate| {
        candidate.name != FORWARD_KL && candidate.inputs != razor_report::PredictorInputs::OldTask
    });
    let (mut better, mut worse, mut open) = (vec![], vec![], vec![]);
    for candidate in without_old_data {
        let lead = lead_over(view, candidate);
        let name = if candidate.inputs == razor_report::PredictorInputs::Random {
            "KL on random prompts".to_owned()
        } else {
            lower_first(candidate.title)
        };
        match lead.interval {
            Some((low, _)) if low > 0.0 => worse.push(name),
            Some((_, high)) if high < 0.0 => better.push(name),
            _ => open.push(name),
        }
    }
    let part = |names: &[String], what: &str| (!names.is_empty()).then(|| format!("{what} {}", list(names)));
    let parts =
        [part(&better, "worse than"), part(&worse, "better than"), part(&open, "not told apart from")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("Beside what else needs no old data it is {}.", parts.join("; "))
}
