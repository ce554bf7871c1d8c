//! The documents that a method unlearned.

use razor_report::{Block, Cell, Column, NumberFormat, Table};

use crate::llm::study::forgotten::benchmark;
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::task_view::TaskView;

/// Text of a benchmark's document by its number, where it is at hand.
pub(crate) type DocumentText<'a> = &'a dyn Fn(&str, usize) -> Option<String>;

/// Documents shown at most.
const SHOWN: usize = 15;

/// Runs in which a document that the base has right is wrong.
struct Regression {
    benchmark: String,
    document_idx: usize,
    /// By method: runs that lost it, and runs.
    lost: Vec<(usize, usize)>,
}

impl Regression {
    fn is_mostly_lost(&self, method_idx: usize) -> bool {
        let (n_lost, n_runs) = self.lost[method_idx];
        2 * n_lost > n_runs
    }

    /// Mean over methods of the share of runs that lost it.
    fn share(&self) -> f64 {
        let shares = self.lost.iter().map(|&(n_lost, n_runs)| n_lost as f64 / n_runs.max(1) as f64);
        shares.sum::<f64>() / self.lost.len() as f64
    }
}

/// How many documents each method lost, and those that most runs lost.
pub(crate) fn regression_blocks(view: &TaskView<'_>, text: DocumentText<'_>) -> Vec<Block> {
    let found = regressions(view);
    let mut blocks = vec![Block::Table(count_table(view, &found))];
    if found.iter().any(|document| document.share() > 0.0) {
        blocks.push(Block::Table(document_table(view, found, text)));
    }
    blocks
}

/// Every document that a base has right.
fn regressions(view: &TaskView<'_>) -> Vec<Regression> {
    let ends = view.ends();
    let mut found = Vec::new();
    for score in &view.bases()[0].prior {
        for document_idx in 0..score.verdicts.len() {
            let lost = |&method: &StudyMethod| {
                let own = ends.iter().filter(|end| end.setting.method == method);
                let verdicts = own.filter_map(|end| verdicts(view, end, &score.name, document_idx));
                let of_right: Vec<bool> =
                    verdicts.filter(|&(before, _)| before).map(|(_, after)| after).collect();
                (of_right.iter().filter(|is_right| !**is_right).count(), of_right.len())
            };
            let lost: Vec<(usize, usize)> = view.methods.iter().map(lost).collect();
            if lost.iter().any(|(_, n_runs)| *n_runs > 0) {
                found.push(Regression { benchmark: score.name.clone(), document_idx, lost });
            }
        }
    }
    found
}

/// Whether a document is right under the base and under the policy. A verdict is the share of a document that is right.
fn verdicts(view: &TaskView<'_>, end: &Point, name: &str, document_idx: usize) -> Option<(bool, bool)> {
    let before = benchmark(view.base_of(end), name)?.verdicts.get(document_idx)?;
    let after = benchmark(&end.measured, name)?.verdicts.get(document_idx)?;
    Some((*before >= 0.5, *after >= 0.5))
}

fn count_table(view: &TaskView<'_>, found: &[Regression]) -> Table {
    let columns = vec![
        Column::text("Method"),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        Column::number("Right under the base", "", NumberFormat::Fixed(0)),
        Column::number("Lost in most runs", "", NumberFormat::Fixed(0)),
        Column::number("Share lost", "", NumberFormat::Percent(1)),
    ];
    let caption = format!(
        "{}: prior documents that the base has right and that are wrong at the end of more than half of a method's runs, all \
         learning rates of the main arm.",
        view.name
    );
    let mut table = Table::new(view.file("lost_documents"), caption, columns);
    for (method_idx, method) in view.methods.iter().enumerate() {
        let known = found.iter().filter(|document| document.lost[method_idx].1 > 0).count();
        let lost = found.iter().filter(|document| document.is_mostly_lost(method_idx)).count();
        let n_runs = view.ends().iter().filter(|end| end.setting.method == *method).count();
        table.push(vec![
            method.title().into(),
            (n_runs as f64).into(),
            (known as f64).into(),
            (lost as f64).into(),
            if known > 0 { (lost as f64 / known as f64).into() } else { Cell::Missing },
        ]);
    }
    table
}

fn document_table(view: &TaskView<'_>, mut found: Vec<Regression>, text: DocumentText<'_>) -> Table {
    // Stable: of equal ones the first benchmark and the first document.
    found.sort_by(|a, b| b.share().total_cmp(&a.share()));
    found.truncate(SHOWN);
    found.retain(|document| document.share() > 0.0);
    let texts: Vec<Option<String>> =
        found.iter().map(|document| text(&document.benchmark, document.document_idx)).collect();
    let has_texts = texts.iter().any(Option::is_some);
    let mut columns = vec![Column::text("Benchmark"), Column::number("Document", "", NumberFormat::Fixed(0))];
    columns.extend(has_texts.then(|| Column::text("Text")));
    columns.extend(view.methods.iter().map(|method| Column::text(method.title())));
    let caption = format!(
        "{}: the documents that methods lost most often: runs in which it is wrong of those whose base has it right. Documents \
         are numbered from 0.",
        view.name
    );
    let mut table = Table::new(view.file("most_regressed"), caption, columns);
    table.folded = true;
    for (document, text) in found.iter().zip(texts) {
        let mut cells: Vec<Cell> =
            vec![document.benchmark.as_str().into(), (document.document_idx as f64).into()];
        cells.extend(has_texts.then(|| text.map_or(Cell::Missing, Cell::Text)));
        cells
            .extend(document.lost.iter().map(|(n_lost, n_runs)| Cell::Text(format!("{n_lost} of {n_runs}"))));
        table.push(cells);
    }
    table
}
