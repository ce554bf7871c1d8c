//! Section: where the time went.

use razor_report::{Block, Column, NumberFormat, Section, Table};

use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Measured;
use crate::llm::study::record::PartSeconds;

pub(crate) fn time_section(measured: &Measured) -> Section {
    Section {
        title: "Time".to_owned(),
        intro: vec![
            "Wall-clock time of each run, on one of the workers beside others; the study's own time is the sum over the number of \
             workers. The only figures on this page that two equal studies do not share."
                .to_owned(),
        ],
        blocks: vec![
            if measured.seconds.is_empty() {
                Block::Text("No run is finished.".to_owned())
            } else {
                Block::Table(time_table(measured))
            },
            Block::Table(failed_table(measured)),
        ],
    }
}

/// Runs that ended early; without rows where there are none.
fn failed_table(measured: &Measured) -> Table {
    let columns = vec![Column::text("Run"), Column::text("Why it ended")];
    let mut table = Table::new("failed", "Runs that ended before their last step.", columns);
    for (run, reason) in &measured.failed {
        table.push(vec![run.as_str().into(), reason.as_str().into()]);
    }
    table
}

fn time_table(measured: &Measured) -> Table {
    let seconds = |title: &str| Column::number(title, "s", NumberFormat::Fixed(1));
    let columns = vec![
        Column::text("Method"),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        seconds("Sampling"),
        seconds("Update"),
        seconds("Evaluation"),
        seconds("KL"),
        seconds("Rest"),
        seconds("Total"),
        seconds("A run"),
    ];
    let caption = "Seconds by part, summed over runs. Evaluation is everything that is measured besides the KL on new-task prompts.";
    let mut table = Table::new("time", caption, columns);
    let method_of = |run: &str| {
        let point = measured.points.iter().find(|point| point.run == run);
        point.map(|point| point.setting.method)
    };
    let by_run: Vec<(Option<StudyMethod>, PartSeconds)> =
        measured.seconds.iter().map(|(run, seconds)| (method_of(run), *seconds)).collect();
    let mut row = |name: &str, of: &dyn Fn(Option<StudyMethod>) -> bool| {
        let runs: Vec<&PartSeconds> =
            by_run.iter().filter(|(method, _)| of(*method)).map(|(_, seconds)| seconds).collect();
        if runs.is_empty() {
            return;
        }
        let sum = |part: fn(&PartSeconds) -> f64| runs.iter().map(|seconds| part(seconds)).sum::<f64>();
        let parts = [
            sum(|part| part.sampling),
            sum(|part| part.update),
            sum(|part| part.evaluation),
            sum(|part| part.kl),
        ];
        let total = sum(|part| part.total);
        let mut cells = vec![name.into(), (runs.len() as f64).into()];
        cells.extend(parts.map(Into::into));
        cells.push((total - parts.iter().sum::<f64>()).max(0.0).into());
        cells.extend([total.into(), (total / runs.len() as f64).into()]);
        table.push(cells);
    };
    for method in StudyMethod::ALL {
        row(method.title(), &|other| other == Some(method));
    }
    row("all", &|_| true);
    table
}
