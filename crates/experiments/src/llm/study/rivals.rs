//! Section: what else predicts forgetting?

use anyhow::Result;
use razor_report::{
    Block, Column, NumberFormat, Predictor, PredictorInputs, Section, Table, predictor_table,
};

use crate::comparison::{Candidate, ComparedPolicy, FORWARD_KL, Words, fit_predictors, predictor_figure};
use crate::llm::study::fitted::{Figure, r2_lead};
use crate::llm::study::points::Point;
use crate::llm::study::task_view::TaskView;

/// All candidates.
#[rustfmt::skip] // a table
pub(crate) const CANDIDATES: [Candidate<Point>; 8] = {
    use PredictorInputs::{NewTask, None as NoInputs, OldTask, Random};
    [
        Candidate { name: FORWARD_KL, title: "Forward KL(π₀‖π)", inputs: NewTask, paper: Some(0.71), value: |p| p.shift.kl_reference_to_policy },
        Candidate { name: "kl_policy_to_reference", title: "Reverse KL(π‖π₀)", inputs: NewTask, paper: None, value: |p| p.shift.kl_policy_to_reference },
        Candidate { name: "total_variation", title: "Total variation", inputs: NewTask, paper: None, value: |p| p.shift.total_variation },
        Candidate { name: "distribution_l2", title: "Distribution L2", inputs: NewTask, paper: None, value: |p| p.shift.l2 },
        Candidate { name: "log_learning_rate_steps", title: "ln(learning rate × steps)", inputs: NoInputs, paper: None, value: Point::log_step },
        Candidate { name: "relative_weight_change", title: "Relative weight change", inputs: NoInputs, paper: None, value: |p| p.measured.weights.relative },
        Candidate { name: "old_kl_reference_to_policy", title: "Forward KL(π₀‖π)", inputs: OldTask, paper: None, value: |p| p.measured.kl_on_prior_prompts },
        Candidate { name: "random_kl_reference_to_policy", title: "Forward KL(π₀‖π)", inputs: Random, paper: None, value: |p| p.measured.kl_on_random_prompts },
    ]
};

/// The predictors of a task, best first; none where the runs are too few.
pub(crate) fn predictors(view: &TaskView<'_>) -> Vec<Predictor> {
    let rows = fit_predictors(&CANDIDATES, &view.points, view.resampling("predictors"));
    let rows = rows.unwrap_or_default();
    rows.into_iter().map(|row| Predictor { task: view.name.to_owned(), ..row }).collect()
}

/// R² of forward KL less that of another candidate, on the same resamples of runs.
pub(crate) fn lead_over(view: &TaskView<'_>, candidate: &Candidate<Point>) -> Figure {
    r2_lead(&view.points, Point::forward_kl, candidate.value, view.resampling("predictors"))
}

pub(crate) fn rival_section(views: &[TaskView<'_>], predictors: &[Predictor]) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views {
        let own: Vec<Predictor> = predictors.iter().filter(|row| row.task == view.name).cloned().collect();
        if own.is_empty() {
            blocks.push(Block::Text(format!("{}: too few runs to compare predictors.", view.name)));
            continue;
        }
        let words = Words::new(
            view.file("predictors"),
            format!("{}: what predicts forgetting", view.name),
            "In-sample R² of a quadratic of forgetting on each quantity, all methods pooled; whiskers are 95 % intervals over \
             runs, the diamond is the paper's 3B model. Colored: measured on new-task prompts, which is all that a \
             forecaster has.",
        );
        blocks.push(Block::Figure(predictor_figure(&own, &CANDIDATES, words)?));
        let titled: Vec<Predictor> = own
            .iter()
            .map(|row| Predictor { task: String::new(), name: title_of(&row.name).to_owned(), ..row.clone() })
            .collect();
        let mut table = predictor_table(&titled);
        table.name = view.file("predictors");
        table.caption = format!("{}: {}", view.name, table.caption);
        table.folded = true;
        blocks.push(Block::Table(table));
        blocks.push(Block::Table(lead_table(view)));
    }
    Ok(Section {
        title: "Which quantity predicts best?".to_owned(),
        intro: vec![
            "A forecaster has new-task prompts, the weights and the settings of the run. ln(learning rate × steps) needs nothing at \
             all, which makes it the rival to beat. KL on prior prompts is an oracle: it needs the data that one does not \
             have. KL on random tokens needs no data and is a probe of movement that the new task's prompts do not show."
                .to_owned(),
        ],
        blocks,
    })
}

/// Name of a candidate for people.
pub(crate) fn title_of(name: &str) -> &str {
    CANDIDATES.iter().find(|candidate| candidate.name == name).map_or(name, |candidate| candidate.title)
}

fn lead_table(view: &TaskView<'_>) -> Table {
    let columns = vec![
        Column::text("Rival"),
        Column::text("Inputs"),
        Column::number("Forward KL's R² less the rival's", "", NumberFormat::Fixed(2)),
        Column::text("Answer"),
    ];
    let caption = format!(
        "{}: does forward KL on new-task prompts predict better than its rivals? Differences of R² on the same resamples of runs, \
         with 95 % intervals.",
        view.name
    );
    let mut table = Table::new(view.file("leads"), caption, columns);
    for candidate in CANDIDATES.iter().filter(|candidate| candidate.name != FORWARD_KL) {
        let lead = lead_over(view, candidate);
        let answer = match lead.interval {
            Some((low, _)) if low > 0.0 => "forward KL is better",
            Some((_, high)) if high < 0.0 => "the rival is better",
            _ => "not settled",
        };
        let inputs = match candidate.inputs {
            PredictorInputs::NewTask => "new task",
            PredictorInputs::OldTask => "old task",
            PredictorInputs::Random => "random",
            PredictorInputs::None => "none",
        };
        table.push(vec![candidate.title.into(), inputs.into(), lead.into(), answer.into()]);
    }
    table
}
