//! The answer in plain words, made from the same figures as the gates.

use razor_data::Provenance;
use razor_report::{Gate, Predictor, Residual};

use crate::comparison::{ComparedPolicy, FORWARD_KL, Frontiers, gate_sentence};
use crate::parity::gates::percent;
use crate::parity::method::{Method, title_of};
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::CANDIDATES;

/// Levels tried for the headline, the gates' level first.
const HEADLINE_LEVELS: [f64; 4] = [0.93, 0.90, 0.88, 0.87];

/// The sentences, most important first.
pub(crate) fn verdict(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
    gates: &[Gate],
    predictors: &[Predictor],
    residuals: &[Residual],
) -> Vec<String> {
    let mut sentences = vec![retention(measured, frontiers), law(predictors, residuals)];
    sentences.push(gate_sentence(gates));
    if measured.n_done < measured.n_runs {
        let (done, all) = (measured.n_done, measured.n_runs);
        sentences.push(format!("Only {done} of {all} runs are done: these figures will change."));
    }
    if measured.config.provenance == Provenance::Procedural {
        sentences
            .push("The images are procedural stand-ins: nothing here is a result about MNIST.".to_owned());
    }
    sentences
}

fn retention(measured: &Measured, frontiers: &Frontiers<'_, Point>) -> String {
    let methods = [Method::Grpo, Method::Sft1, Method::Sft2];
    let at = |level: f64| -> Option<Vec<f64>> {
        methods.iter().map(|&method| frontiers.mean(method, level, Point::prior_task)).collect()
    };
    let Some((level, kept)) = HEADLINE_LEVELS.iter().find_map(|&level| Some((level, at(level)?))) else {
        return "Whether RL forgets less than SFT is open: the methods reach no new-task accuracy in common."
            .to_owned();
    };
    let base = measured.base_accuracy().1;
    let answer = match (kept[0] > kept[1], kept[0] > kept[2]) {
        (true, true) => "RL forgets less than SFT",
        (false, false) => "RL does not forget less than SFT",
        _ => "RL forgets less than one of the two SFT labelings only",
    };
    let mut text = format!(
        "{answer} at equal new-task score: at {} % ParityMNIST accuracy GRPO keeps {} % on FashionMNIST (base {} %), \
         SFT-1 {} % and SFT-2 {} %",
        percent(level),
        percent(kept[0]),
        percent(base),
        percent(kept[1]),
        percent(kept[2])
    );
    if let Some(oracle) = frontiers.mean(Method::SftOracle, level, Point::prior_task) {
        let relation = if oracle > kept[0] { "more than" } else { "not more than" };
        text += &format!("; oracle SFT keeps {} %, {relation} RL", percent(oracle));
    }
    text + "."
}

fn law(predictors: &[Predictor], residuals: &[Residual]) -> String {
    let Some(kl) = predictors.iter().find(|row| row.name == FORWARD_KL && row.r2.is_finite()) else {
        return "Whether KL on the new task predicts forgetting could not be judged.".to_owned();
    };
    let without_old_data = |row: &&Predictor| {
        row.inputs != razor_report::PredictorInputs::OldTask && row.name != FORWARD_KL && row.r2.is_finite()
    };
    let best = predictors.iter().find(without_old_data);
    let leads = best.is_none_or(|best| kl.r2 > best.r2);
    let answer = match (kl.r2 >= 0.9, leads) {
        (true, true) => {
            "Forward KL on the new task predicts forgetting, better than anything else that needs no old data"
        }
        (true, false) => "Forward KL on the new task predicts forgetting, but is not the best predictor",
        (false, true) => {
            "Forward KL on the new task predicts forgetting only in part, though better than anything else \
                          that needs no old data"
        }
        (false, false) => {
            "Forward KL on the new task predicts forgetting only in part, and is not the best predictor"
        }
    };
    let mut text = format!("{answer}: R² {:.3} [{:.3}, {:.3}]", kl.r2, kl.r2_low, kl.r2_high);
    if let Some(best) = best {
        let title = CANDIDATES.iter().find(|candidate| candidate.name == best.name).map_or("", |c| c.title);
        text += &format!(", next {title} with {:.3}", best.r2);
    }
    let off: Vec<String> = residuals
        .iter()
        .filter(|row| row.mean_low > 0.0 || row.mean_high < 0.0)
        .map(|row| format!("{} ({:+.1} points)", title_of(&row.method), 100.0 * row.mean))
        .collect();
    if off.is_empty() {
        text + ". No method lies off the common curve."
    } else {
        format!(
            "{text}. It is not the whole story: at equal KL some methods forget more or less than the common curve says, {}.",
            off.join(", ")
        )
    }
}
