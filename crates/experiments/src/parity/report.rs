//! From records to `summary.json` and `report.html`.

use std::collections::BTreeMap;

use razor_core::{Seed, write_atomic};
use razor_data::Provenance;
use razor_metrics::leave_one_group_out;
use razor_report::{
    Block, DataFile, DataKind, Guide, Highlight, MatchAxis, Matched, NumberFormat, Page, Predictor, Residual,
    SUMMARY_SCHEMA, Section, Summary, Table, kept_table, matched_table, predictor_table, residual_table,
    write_report,
};

use crate::comparison::{
    ComparedPolicy, FORWARD_KL, Frontiers, Law, Resampling, Words, fit_predictors, held_out_table, scatter,
};
use crate::environment::Environment;
use crate::error::ExperimentError;
use crate::parity::figures::{
    dynamics_figures, frontier_figure, law_figure, pareto_figure, predictor_figure, residual_figure,
};
use crate::parity::folder::StudyFolder;
use crate::parity::gates::{Evidence, gates, percent};
use crate::parity::matched::{Quantity, parity_matched_rows};
use crate::parity::method::{Method, title_of};
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::CANDIDATES;
use crate::parity::tables::{epsilon_table, points_table, weights_table};
use crate::parity::verdict::verdict;
use crate::provenance::described;

/// Makes summary, page, figures and tables from the records in `folder`, as far as its runs are done.
pub(crate) fn write_parity_report(folder: &StudyFolder) -> Result<Summary, ExperimentError> {
    let measured = Measured::read(folder)?;
    let seed = Seed::new(measured.config.seed).derive("report", 0);
    let methods = measured.methods();
    let grid = measured.grid(&methods);
    let frontiers = Frontiers::new(&grid)?;
    let resampling = |label| resampling(&measured, seed, label);
    let predictors = fit_predictors(&CANDIDATES, &measured.grid(&Method::PAPER), resampling("predictors"))?;
    let law = Law::new(&grid, &methods, resampling("residuals"))?;
    let evidence = Evidence { measured: &measured, frontiers: &frontiers, predictors: &predictors };
    let gates = gates(&evidence)?;
    let summary = Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "parity".to_owned(),
        preset: measured.config.preset.clone(),
        data: match measured.config.provenance {
            Provenance::Real => DataKind::Real,
            Provenance::Procedural => DataKind::Procedural,
        },
        verdict: verdict(&measured, &frontiers, &gates, &predictors, &law.residuals),
        gates,
        matched: parity_matched_rows(&measured, &frontiers, seed.derive("matched", 0))?,
        residuals: law.residuals.clone(),
        predictors,
        provenance: provenance(&measured),
        environment: environment(folder, &measured),
    };
    let page = page(&measured, &frontiers, &summary, law, seed)?;
    write_atomic(&folder.path.join("points.csv"), &points_table(&measured).to_csv()?)?;
    write_report(&folder.path, &page, &summary)?;
    Ok(summary)
}

fn resampling(measured: &Measured, seed: Seed, label: &str) -> Resampling {
    Resampling { n_resamples: measured.config.study.measure.n_resamples, seed: seed.derive(label, 0) }
}

fn page(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
    summary: &Summary,
    law: Law,
    seed: Seed,
) -> Result<Page, ExperimentError> {
    let config = &measured.config;
    let data = if config.provenance == Provenance::Real { "" } else { " --procedural" };
    Ok(Page {
        title: "ParityMNIST: does RL forget less than SFT?".to_owned(),
        subtitle: format!(
            "Preset `{}`, {} base {}, {} fine-tuning runs, {} measured checkpoints",
            config.preset,
            measured.bases.len(),
            if measured.bases.len() == 1 { "policy" } else { "policies" },
            measured.n_done,
            measured.points.len()
        ),
        highlights: highlights(measured, frontiers, &summary.predictors),
        sections: vec![
            frontier_section(measured, frontiers, summary)?,
            law_section(measured, summary, law, seed)?,
            predictor_section(measured, &summary.predictors, seed)?,
            mechanism_section(measured, frontiers)?,
        ],
        rerun: vec![
            format!("cargo xtask reproduce parity --preset {} --seed {}{data}", config.preset, config.seed),
            "cargo run --release -p razor-cli -- report DIR   # redraws this page from the records in DIR".to_owned(),
        ],
        footer: "Every figure is made from the records in this folder; `points.csv` has every measured checkpoint."
            .to_owned(),
    })
}

fn highlights(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
    predictors: &[Predictor],
) -> Vec<Highlight> {
    const LEVEL: f64 = 0.93;
    let kept = |method: Method| {
        let value = frontiers.mean(method, LEVEL, Point::prior_task);
        value.map_or("not reached".to_owned(), |value| format!("{} %", percent(value)))
    };
    let base = percent(measured.base_accuracy().1);
    let mut cards: Vec<Highlight> = [Method::SftOracle, Method::Grpo, Method::Sft2, Method::Sft1]
        .into_iter()
        .map(|method| Highlight {
            value: kept(method),
            label: format!("kept by {}", method.title()),
            detail: format!("FashionMNIST at 93 % parity; base {base} %"),
        })
        .collect();
    if let Some(kl) = predictors.iter().find(|row| row.name == FORWARD_KL) {
        cards.push(Highlight {
            value: NumberFormat::Fixed(3).format(kl.r2),
            label: "R² of forgetting on forward KL".to_owned(),
            detail: format!("[{:.3}, {:.3}]; the paper: 0.96", kl.r2_low, kl.r2_high),
        });
    }
    cards
}

fn frontier_section(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
    summary: &Summary,
) -> Result<Section, ExperimentError> {
    let others: Vec<Method> = measured.methods().into_iter().filter(|m| !Method::PAPER.contains(m)).collect();
    let base = || Guide::horizontal(measured.base_accuracy().1, "base policy");
    let frontier_caption = "FashionMNIST accuracy along each method's Pareto frontier over all its checkpoints; mean over \
                            repetitions, band from the lowest to the highest.";
    Ok(Section {
        title: "What a new skill costs".to_owned(),
        intro: vec![
            "Every run is measured several times; a method's frontier is the best prior-task accuracy that any of its \
             checkpoints has at a given new-task accuracy. Methods are compared along it, never at equal steps."
                .to_owned(),
        ],
        blocks: vec![
            Block::Figure(frontier_figure(
                frontiers,
                &Method::PAPER,
                Quantity::PriorTask,
                Words::new("frontiers", "Prior-task accuracy at equal new-task accuracy", frontier_caption),
                Some(base()),
            )?),
            Block::Figure(frontier_figure(
                frontiers,
                &Method::PAPER,
                Quantity::ForwardKl,
                Words::new(
                    "frontier_kl",
                    "How far each method moves to get there",
                    "Forward KL from the base policy along the same frontiers.",
                ),
                None,
            )?),
            Block::Table(kept_table(&titled(&summary.matched))),
            Block::Table(folded(matched_table(&titled(&summary.matched), MatchAxis::Accuracy))),
            Block::Figure(pareto_figure(measured, frontiers)?),
            Block::Figure(frontier_figure(
                frontiers,
                &others,
                Quantity::PriorTask,
                Words::new("frontiers_others", "The other methods", frontier_caption),
                Some(base()),
            )?),
            Block::Table(folded(matched_table(&titled(&summary.matched), MatchAxis::Kl))),
            Block::Table(folded(matched_table(&titled(&summary.matched), MatchAxis::LearningRate))),
        ],
    })
}

fn law_section(
    measured: &Measured,
    summary: &Summary,
    law: Law,
    seed: Seed,
) -> Result<Section, ExperimentError> {
    let others: Vec<Method> = measured.methods().into_iter().filter(|m| !Method::PAPER.contains(m)).collect();
    let points = measured.grid(&measured.methods());
    let groups: Vec<Method> = points.iter().map(|point| point.setting.method).collect();
    let held_out = leave_one_group_out(&scatter(&points, Point::forward_kl)?, &groups);
    let residuals: Vec<Residual> = summary
        .residuals
        .iter()
        .map(|row| Residual { method: title_of(&row.method).to_owned(), ..row.clone() })
        .collect();
    Ok(Section {
        title: "Does KL on the new task predict forgetting?".to_owned(),
        intro: vec![
            "Forgetting saturates (ten classes leave 10 % by chance), so a quadratic bends down at large KL; the \
             predictor table has a monotone fit and rank correlations beside it. Checkpoints of a run are correlated: \
             all intervals resample runs."
                .to_owned(),
        ],
        blocks: vec![
            Block::Figure(law_figure(
                measured,
                &Method::PAPER,
                resampling(measured, seed, "band"),
                Words::new(
                    "forgetting_vs_kl",
                    "Forgetting against forward KL",
                    "One point per checkpoint of the paper's five methods; quadratic fit with its 95 % band over runs.",
                ),
            )?),
            Block::Figure(law_figure(
                measured,
                &others,
                resampling(measured, seed, "band"),
                Words::new(
                    "forgetting_vs_kl_others",
                    "The other methods against the same curve",
                    "The curve is the one above, fitted without these methods.",
                ),
            )?),
            Block::Figure(residual_figure(law.strip)?),
            Block::Table(residual_table(&residuals)),
            Block::Table(held_out_table(&held_out)),
        ],
    })
}

fn predictor_section(
    measured: &Measured,
    predictors: &[Predictor],
    seed: Seed,
) -> Result<Section, ExperimentError> {
    let titled: Vec<Predictor> = predictors
        .iter()
        .map(|row| {
            let title =
                CANDIDATES.iter().find(|candidate| candidate.name == row.name).map(|c| c.title.to_owned());
            Predictor { name: title.unwrap_or_else(|| row.name.clone()), ..row.clone() }
        })
        .collect();
    let mut blocks =
        vec![Block::Figure(predictor_figure(predictors)?), Block::Table(predictor_table(&titled))];
    if let Some(table) = epsilon_table(measured, seed.derive("epsilon", 0))? {
        blocks.push(Block::Table(table));
    }
    Ok(Section {
        title: "Which quantity predicts best?".to_owned(),
        intro: vec![
            "A forecaster has new-task inputs, the weights and the settings of the run. Rows on old-task inputs are an \
             oracle: they need what one does not have. The learning rate times the steps needs nothing at all, which \
             makes it the rival to beat."
                .to_owned(),
        ],
        blocks,
    })
}

fn mechanism_section(
    measured: &Measured,
    frontiers: &Frontiers<'_, Point>,
) -> Result<Section, ExperimentError> {
    let mut blocks = vec![Block::Figure(frontier_figure(
        frontiers,
        &Method::PAPER,
        Quantity::Cknna,
        Words::new(
            "cknna",
            "Representations at equal new-task accuracy",
            "CKNNA of the last hidden layer with the base policy's, on FashionMNIST test images, along the frontiers.",
        ),
        None,
    )?)];
    if !measured.watched.is_empty() {
        blocks.extend(dynamics_figures(measured)?.into_iter().map(Block::Figure));
    }
    blocks.push(Block::Table(weights_table(measured)));
    Ok(Section {
        title: "Representations, steps and weights".to_owned(),
        intro: vec![
            "The paper's secondary findings: representations drift less under RL, steps that move the policy far on the \
             new task point up the old task's loss, and sparse updates are an artefact of bf16."
                .to_owned(),
        ],
        blocks,
    })
}

/// Matched rows for readers: methods by their titles.
fn titled(rows: &[Matched]) -> Vec<Matched> {
    rows.iter().map(|row| Matched { method: title_of(&row.method).to_owned(), ..row.clone() }).collect()
}

fn folded(mut table: Table) -> Table {
    table.folded = true;
    table
}

fn provenance(measured: &Measured) -> Vec<DataFile> {
    if measured.config.provenance == Provenance::Procedural {
        return vec![];
    }
    measured.config.files.iter().map(|file| described(&file.name, &file.sha256)).collect()
}

/// What a rerun needs to know. Not the number of workers or anything else that must not matter.
fn environment(folder: &StudyFolder, measured: &Measured) -> BTreeMap<String, String> {
    let mut lines = Environment::lines(&folder.path);
    lines.insert("seed".to_owned(), measured.config.seed.to_string());
    lines
}
