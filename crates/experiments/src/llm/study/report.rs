//! From records to `summary.json` and `report.html`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use razor_core::{read_toml, write_atomic, write_json};
use razor_metrics::Calibration;
use razor_report::{
    Block, DataKind, Highlight, Matched, NumberFormat, Page, Predictor, Residual, SUMMARY_SCHEMA, Summary,
    write_report,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::environment::Environment;
use crate::llm::study::calibration::{calibration, forecast_section};
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
    let calibration = calibration(&measured);
    let page = page(&measured, &views, &summary, calibration.as_ref(), &text_of)?;
    if let Some(calibration) = &calibration {
        write_json(&folder.path.join("calibration.json"), calibration)?;
    }
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
    calibration: Option<&Calibration>,
    text: DocumentText<'_>,
) -> Result<Page> {
    let config = &measured.config;
    let tasks: Vec<&str> = views.iter().map(|view| view.name).collect();
    let mut sections = vec![
        cost_section(views)?,
        quadrant_section(views),
        law_section(views, &summary.matched)?,
        rival_section(views, &summary.predictors)?,
        epsilon_section(views)?,
        control_section(views)?,
        forgotten_section(views, text)?,
        sequence_section(measured),
        time_section(measured),
        forecast_section(views, calibration)?,
    ];
    // A study that has only begun has tables without rows.
    let is_empty = |block: &Block| matches!(block, Block::Table(table) if table.rows().is_empty());
    sections.iter_mut().for_each(|section| section.blocks.retain(|block| !is_empty(block)));
    Ok(Page {
        title: "Language models: does RL forget less than SFT?".to_owned(),
        subtitle: format!(
            "Preset {}, base {} ({} weights), new tasks {}; {} of {} fine-tuning runs, {} measured policies",
            config.preset,
            config.base_name,
            config.n_parameters,
            tasks.join(", "),
            measured.n_done,
            measured.n_runs,
            measured.points.len()
        ),
        highlights: highlights(views),
        sections,
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
    // Five cards stand beside each other.
    if 2 * views.len() <= 5 {
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
    }
    cards
}

#[cfg(test)]
mod tests {
    use std::fs;

    use razor_report::MatchAxis;

    use super::*;
    use crate::llm::study::method::StudyMethod;
    use crate::llm::study::sample_study::{CLEAR, Sample};

    const SECTIONS: [&str; 10] = [
        "What a new skill costs",
        "On-policy data, or the negative term?",
        "Does KL on the new task predict forgetting?",
        "Which quantity predicts best?",
        "AdamW&#x27;s epsilon",
        "Controls",
        "What was forgotten",
        "The tasks one after another",
        "Time",
        "Forecast",
    ];

    fn html(dir: &Path) -> String {
        let html = fs::read_to_string(dir.join("report.html")).unwrap();
        for section in SECTIONS {
            assert!(html.contains(&format!(">{section}</h2>")), "{section}");
        }
        html
    }

    fn gate(summary: &Summary, id: &str) -> (Option<bool>, Vec<bool>) {
        let gate = summary.gates.iter().find(|gate| gate.id == id).unwrap();
        (gate.pass, gate.per_seed.clone())
    }

    #[test]
    fn a_whole_study_is_told_as_its_numbers_are() {
        let dir = tempfile::tempdir().unwrap();
        let summary = write_llm_report(&CLEAR.write(dir.path(), |_| true)).unwrap();
        html(dir.path());
        assert!(
            summary.verdict[0]
                .starts_with("GRPO forgets less than SFT at equal new-task accuracy on every task."),
            "{:?}",
            summary.verdict
        );
        assert!(summary.verdict.iter().all(|sentence| !sentence.starts_with("Only")));
        let yes = (Some(true), vec![true]);
        assert_eq!(gate(&summary, "L1"), yes, "math starts at 0.55");
        assert_eq!(gate(&summary, "L2"), yes, "tools start at 0.30");
        assert_eq!(gate(&summary, "L3"), yes, "all skills score 0.80");
        assert_eq!(gate(&summary, "L4"), (Some(true), vec![true; 2]), "0.935 with 0.75 and 1.0 points");
        assert_eq!(gate(&summary, "L5"), (Some(true), vec![true; 2]), "0.97 with 5 points");
        assert_eq!(gate(&summary, "L6"), (Some(true), vec![true; 2]));
        for task in ["math", "tools"] {
            assert!(summary.matched.iter().any(|row| row.task == task && row.prior_task.is_some()));
            assert_eq!(summary.predictors.iter().filter(|row| row.task == task).count(), 8);
            assert_eq!(summary.residuals.iter().filter(|row| row.task == task).count(), 4);
        }
        let path = dir.path().join("calibration.json");
        let calibration = Calibration::parse(&path, &fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(calibration.tasks(), ["math", "tools"]);
        let points = fs::read_to_string(dir.path().join("points.csv")).unwrap();
        // 2 tasks × 4 methods × 2 rates, 4 more with epsilon 1e-4 and 2 controls; 2 repetitions; 4 checkpoints.
        assert_eq!(points.lines().count(), 1 + (16 + 4 + 2) * 2 * 4);
    }

    #[test]
    fn intervals_are_over_repetitions_and_not_over_learning_rates() {
        let dir = tempfile::tempdir().unwrap();
        let summary = write_llm_report(&CLEAR.write(dir.path(), |_| true)).unwrap();
        // SFT loses 10 points at both rates and half of it at the larger epsilon, in both repetitions.
        let start = "math: AdamW's epsilon of 1e-4 instead of 1e-8: fewer points lost with";
        let effects = summary.verdict.iter().find(|sentence| sentence.starts_with(start)).unwrap();
        assert!(
            effects.contains("SFT (5.0 [5.0, 5.0])") && effects.contains("; 2 repetitions)"),
            "{effects}"
        );
        let at_accuracy = |row: &&Matched| {
            row.axis == MatchAxis::Accuracy && row.method == "grpo" && row.prior_task.is_some()
        };
        let row = summary.matched.iter().rfind(at_accuracy).unwrap();
        let (mean, low, high) =
            (row.prior_task.unwrap(), row.prior_task_low.unwrap(), row.prior_task_high.unwrap());
        // One more document of 400 is lost in the second repetition: Student's factor for two values is 12.7.
        assert!(high - low > 0.001 && ((low + high) / 2.0 - mean).abs() < 1e-12, "{low} {mean} {high}");
    }

    #[test]
    fn two_runs_of_a_method_have_no_interval_over_runs() {
        let residual = |sample: Sample| {
            let dir = tempfile::tempdir().unwrap();
            let summary = write_llm_report(&sample.write(dir.path(), |_| true)).unwrap();
            summary.residuals.into_iter().find(|row| row.method == "sft").unwrap()
        };
        let (four, two) = (residual(CLEAR), residual(Sample { n_seeds: 1, ..CLEAR }));
        assert!(four.mean_low < four.mean_high);
        assert!(two.mean.is_finite() && two.mean_low.is_nan() && two.mean_high.is_nan());
    }

    #[test]
    fn a_gate_that_one_repetition_reaches_is_not_judged() {
        let dir = tempfile::tempdir().unwrap();
        let is_done = |setting: &crate::llm::study::plan::Setting| {
            setting.method != StudyMethod::Grpo || setting.seed_idx == 0
        };
        let summary = write_llm_report(&CLEAR.write(dir.path(), |run| is_done(&run.setting))).unwrap();
        assert_eq!(gate(&summary, "L6"), (None, vec![true]));
    }

    #[test]
    fn an_equal_drop_is_not_settled() {
        let dir = tempfile::tempdir().unwrap();
        let equal = Sample { lost_by_sft: 12.0, lost_by_grpo: 12.0, ..CLEAR };
        let summary = write_llm_report(&equal.write(dir.path(), |_| true)).unwrap();
        let lead =
            "Whether GRPO forgets less than SFT at equal new-task accuracy is not settled on any task.";
        assert!(summary.verdict[0].starts_with(lead), "{}", summary.verdict[0]);
        assert_eq!(gate(&summary, "L6"), (Some(false), vec![false; 2]));
        assert_eq!(gate(&summary, "L5").0, Some(false), "half of 3 points");
    }

    #[test]
    fn one_repetition_settles_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let one = Sample { n_seeds: 1, has_all_figures: false, ..CLEAR };
        let summary = write_llm_report(&one.write(dir.path(), |_| true)).unwrap();
        assert!(
            summary.verdict[1].contains("not settled") && summary.verdict[1].contains("one repetition"),
            "{:?}",
            summary.verdict
        );
        html(dir.path());
    }

    #[test]
    fn a_study_that_has_only_begun_says_so() {
        let of =
            |method: StudyMethod| move |setting: &crate::llm::study::plan::Setting| setting.method == method;
        let (is_sft, is_simpo) = (of(StudyMethod::Sft), of(StudyMethod::Simpo));
        let first =
            |setting: &crate::llm::study::plan::Setting| setting.seed_idx == 0 && setting.task == "math";
        type IsDone<'a> = &'a dyn Fn(&crate::llm::study::plan::Setting) -> bool;
        let cases: [IsDone<'_>; 4] = [
            &|_| false,
            &|setting| first(setting) && is_simpo(setting),
            &|setting| first(setting) && is_sft(setting) && setting.learning_rate == 3e-4,
            &|setting| setting.task == "tools",
        ];
        for is_done in cases {
            let dir = tempfile::tempdir().unwrap();
            let folder = CLEAR.write(dir.path(), |run| is_done(&run.setting));
            fs::remove_dir_all(dir.path().join("sequence")).unwrap();
            let summary = write_llm_report(&folder).unwrap();
            html(dir.path());
            assert!(
                summary.verdict.iter().any(|sentence| sentence.starts_with("Only ")),
                "{:?}",
                summary.verdict
            );
            assert_eq!(gate(&summary, "L6"), (None, vec![]));
        }
    }

    #[test]
    fn a_redrawn_report_has_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        write_llm_report(&CLEAR.write(dir.path(), |_| true)).unwrap();
        assert!(is_llm_study(dir.path()));
        let files = ["report.html", "summary.json", "points.csv", "calibration.json"];
        let read = || files.map(|name| fs::read(dir.path().join(name)).unwrap());
        let before = read();
        redraw_llm_report(dir.path().to_owned()).unwrap();
        assert!(before == read());
    }

    #[test]
    fn the_config_of_another_study_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_llm_study(dir.path()));
        fs::write(dir.path().join("config.toml"), "preset = \"smoke\"\n[study.grid]\nx = 1\n").unwrap();
        assert!(!is_llm_study(dir.path()));
    }
}
