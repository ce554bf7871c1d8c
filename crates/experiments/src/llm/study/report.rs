//! From records to `summary.json` and `report.html`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use razor_core::{read_toml, write_atomic};
use razor_report::{
    DataKind, Highlight, Matched, NumberFormat, Page, Predictor, Residual, SUMMARY_SCHEMA, Summary,
    write_report,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::environment::Environment;
use crate::llm::study::controls::control_section;
use crate::llm::study::cost::cost_section;
use crate::llm::study::epsilon::epsilon_section;
use crate::llm::study::folder::StudyFolder;
use crate::llm::study::forgotten::forgotten_section;
use crate::llm::study::gates::gates;
use crate::llm::study::headline::Contrast;
use crate::llm::study::law::{law_section, r2_by_method, residuals};
use crate::llm::study::matched::matched_of_task;
use crate::llm::study::points::Measured;
use crate::llm::study::points_table::points_table;
use crate::llm::study::quadrants::quadrant_section;
use crate::llm::study::regressions::DocumentText;
use crate::llm::study::rivals::{predictors, rival_section};
use crate::llm::study::sequence::sequence_section;
use crate::llm::study::task_view::TaskView;
use crate::llm::study::time::time_section;
use crate::llm::study::verdict::verdict;
use crate::llm::study::words::{percent, points};
use crate::provenance::described;

/// Makes summary, page, figures and tables from the records in `folder`, as far as its runs are done.
///
/// # Errors
/// For records that cannot be read and a report that cannot be written. What a study does not have yet is no error: the
/// page says so.
pub(crate) fn write_llm_report(folder: &StudyFolder) -> Result<Summary> {
    let measured = Measured::read(folder)?;
    let views = TaskView::all(&measured)?;
    let summary = summary(folder, &measured, &views)?;
    let documents = folder.read_documents()?;
    let text_of = |benchmark: &str, idx: usize| documents.get(benchmark)?.get(idx).cloned();
    let page = page(&measured, &views, &summary, &text_of)?;
    write_atomic(&folder.path.join("points.csv"), &points_table(&measured.points).to_csv()?)?;
    write_report(&folder.path, &page, &summary)?;
    Ok(summary)
}

/// Redraws summary and report of the study in `dir` from its records, as far as its runs are done.
///
/// # Errors
/// When `dir` is not the folder of an LLM study, and for records that cannot be read.
pub fn redraw_llm_report(dir: PathBuf) -> Result<Summary> {
    write_llm_report(&StudyFolder { path: dir })
}

/// Whether `dir` holds an LLM study.
pub fn is_llm_study(dir: &Path) -> bool {
    #[derive(Deserialize)]
    struct Started {
        #[serde(rename = "study")]
        _study: Parts,
    }
    /// Tables that only the config of this study has.
    #[derive(Deserialize)]
    struct Parts {
        #[serde(rename = "prior")]
        _prior: IgnoredAny,
        #[serde(rename = "sequence")]
        _sequence: IgnoredAny,
    }
    read_toml::<Started>(&dir.join("config.toml")).is_ok()
}

fn summary(folder: &StudyFolder, measured: &Measured, views: &[TaskView<'_>]) -> Result<Summary> {
    let matched: Result<Vec<Vec<Matched>>, _> = views.iter().map(matched_of_task).collect();
    let residuals: Vec<Residual> = views.iter().flat_map(residuals).collect();
    let predictors: Vec<Predictor> = views.iter().flat_map(predictors).collect();
    let gates = gates(measured, views);
    let mut environment = Environment::lines(&folder.path);
    let config = &measured.config;
    let more = [
        ("seed", config.seed.to_string()),
        ("base", config.base_name.clone()),
        ("base fingerprint", config.base.clone()),
        ("base weights", config.n_parameters.to_string()),
    ];
    environment.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Ok(Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "llm".to_owned(),
        preset: config.preset.clone(),
        data: if config.study.is_embedded() { DataKind::Procedural } else { DataKind::Real },
        verdict: verdict(measured, views, &gates, &residuals),
        gates,
        predictors,
        matched: matched?.concat(),
        residuals,
        provenance: config.files.iter().map(|file| described(&file.name, &file.sha256)).collect(),
        environment,
    })
}

fn page(
    measured: &Measured,
    views: &[TaskView<'_>],
    summary: &Summary,
    text: DocumentText<'_>,
) -> Result<Page> {
    let config = &measured.config;
    let tasks: Vec<&str> = views.iter().map(|view| view.name).collect();
    Ok(Page {
        title: "Language models: does RL forget less than SFT?".to_owned(),
        subtitle: format!(
            "Preset `{}`, base {} ({} weights), new tasks {}; {} of {} fine-tuning runs, {} measured policies",
            config.preset,
            config.base_name,
            config.n_parameters,
            tasks.join(", "),
            measured.n_done,
            measured.n_runs,
            measured.points.len()
        ),
        highlights: highlights(views),
        sections: vec![
            cost_section(views, &summary.matched)?,
            quadrant_section(views),
            law_section(views, &summary.matched)?,
            rival_section(views, &summary.predictors)?,
            epsilon_section(views)?,
            control_section(views)?,
            forgotten_section(views, text)?,
            sequence_section(measured),
            time_section(measured),
        ],
        rerun: vec![
            format!("cargo xtask reproduce llm --preset {} --seed {}", config.preset, config.seed),
            "cargo run --release -p razor-cli -- report DIR   # redraws this page from the records in DIR"
                .to_owned(),
        ],
        footer:
            "Every figure is made from the records in this folder; `points.csv` has every measured policy."
                .to_owned(),
    })
}

/// The difference of SFT and GRPO, and the law, of each task.
fn highlights(views: &[TaskView<'_>]) -> Vec<Highlight> {
    let mut cards: Vec<Highlight> = views
        .iter()
        .map(|view| {
            let label = format!("points: SFT's drop less GRPO's on {}", view.name);
            match Contrast::highest(view) {
                Some(contrast) => Highlight {
                    value: points(contrast.mean.mean),
                    label,
                    detail: match contrast.mean.low.zip(contrast.mean.high) {
                        Some((low, high)) => {
                            format!("[{}, {}] at {} %", points(low), points(high), percent(contrast.level, 0))
                        }
                        None => format!("at {} %; one repetition, no interval", percent(contrast.level, 0)),
                    },
                },
                None => Highlight {
                    value: "–".to_owned(),
                    label,
                    detail: "no accuracy that both reach".to_owned(),
                },
            }
        })
        .collect();
    cards.extend(views.iter().filter_map(|view| {
        let (_, pooled) = r2_by_method(view).into_iter().next()?;
        let value = NumberFormat::Fixed(2).format(pooled.value?);
        let (low, high) = pooled.interval?;
        Some(Highlight {
            value,
            label: format!("R² of forgetting on forward KL, {}", view.name),
            detail: format!("[{low:.2}, {high:.2}] over runs; all methods pooled"),
        })
    }));
    cards.truncate(6);
    cards
}
