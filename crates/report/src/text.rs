//! Tables and summaries as plain text, for a terminal.

use std::fmt::Write;

use crate::summary::{DataKind, Gate, Summary};
use crate::summary_table::kept_table;
use crate::table::Table;

/// A table with aligned columns: text to the left, numbers to the right, a rule under the header.
///
/// Empty for a table without rows.
#[must_use]
pub fn table_text(table: &Table) -> String {
    if table.rows().is_empty() {
        return String::new();
    }
    let header: Vec<String> = table.columns().iter().map(|column| one_line(&column.header())).collect();
    let rows: Vec<Vec<String>> = table
        .rows()
        .iter()
        .map(|row| {
            let cells = row.iter().zip(table.columns());
            cells
                .map(|(cell, column)| match cell.shown(column.format) {
                    (value, interval) if interval.is_empty() => one_line(&value),
                    (value, interval) => format!("{value} {interval}"),
                })
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column_idx| {
            rows.iter().chain([&header]).map(|row| row[column_idx].chars().count()).max().unwrap_or(0)
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
    let mut text = String::new();
    for row in [&header, &rule].into_iter().chain(&rows) {
        let cells = row.iter().zip(table.columns()).zip(&widths);
        let line: Vec<String> = cells
            .map(|((cell, column), &width)| match column.format {
                None => format!("{cell:<width$}"),
                Some(_) => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What a command prints at the end of a study: the verdict, the gates, and the methods at equal accuracy.
#[must_use]
pub fn summary_text(summary: &Summary) -> String {
    let mut text = String::new();
    if summary.data == DataKind::Procedural {
        text.push_str("PROCEDURAL DATA: a generated stand-in, not the real data sets.\n\n");
    }
    for sentence in &summary.verdict {
        text.push_str(&one_line(sentence));
        text.push('\n');
    }
    if !summary.gates.is_empty() {
        text.push('\n');
        text.push_str(&gates_text(&summary.gates));
    }
    let matched = kept_table(&summary.matched);
    if !matched.rows().is_empty() {
        let _ = write!(
            text,
            "\nPrior-task accuracy at equal new-task accuracy (95 % intervals)\n{}",
            table_text(&matched)
        );
    }
    text
}

fn gates_text(gates: &[Gate]) -> String {
    let mut text = format!("{}\n", tally(gates));
    let width = gates.iter().map(|gate| gate.id.chars().count()).max().unwrap_or(0);
    for gate in gates {
        let result = match gate.pass {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "  - ",
        };
        let (id, claim, figure) = (one_line(&gate.id), one_line(&gate.claim), one_line(&gate.figure));
        let indent = " ".repeat(width + 10);
        let _ = writeln!(text, "  {result}  {id:<width$}  {claim}\n{indent}{figure}");
    }
    text
}

/// `9 of 11 gates pass, 1 fails, 1 not measured`.
pub(crate) fn tally(gates: &[Gate]) -> String {
    let count = |wanted| gates.iter().filter(|gate| gate.pass == wanted).count();
    let mut text = format!("{} of {} gates pass", count(Some(true)), gates.len());
    match count(Some(false)) {
        0 => {}
        1 => text.push_str(", 1 fails"),
        failed => {
            let _ = write!(text, ", {failed} fail");
        }
    }
    match count(None) {
        0 => {}
        open => {
            let _ = write!(text, ", {open} not measured");
        }
    }
    text
}

/// Names come from outside: a line break or an escape sequence would break the columns of a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::NumberFormat;
    use crate::sample::summary;
    use crate::table::Column;

    #[test]
    fn columns_are_aligned_whatever_the_alphabet() {
        let columns = vec![Column::text("Method"), Column::number("KL", "nats", NumberFormat::Fixed(2))];
        let mut table = Table::new("t", "", columns);
        table.push(vec!["π₀".into(), 10.0.into()]);
        table.push(vec!["GRPO\u{1b}[2J".into(), (-1.0).into()]);
        let expected =
            ["Method    KL (nats)", "────────  ─────────", "π₀            10.00", "GRPO [2J      −1.00", ""];
        assert_eq!(table_text(&table), expected.join("\n"));
    }

    #[test]
    fn the_summary_tells_verdict_gates_and_matched_methods() {
        let text = summary_text(&summary());
        assert!(text.starts_with(
            "RL forgets less.\nKL predicts it.\n\n1 of 3 gates pass, 1 fails, 1 not measured\n"
        ));
        assert!(text.contains("  FAIL  T2   claim of T2\n             figure of T2\n"), "{text}");
        assert!(text.contains("GRPO    46.1 [44.1, 48.1]"), "{text}");
        assert!(text.contains("SimPO                   –"), "{text}");
    }

    #[test]
    fn procedural_data_is_said_first() {
        let procedural = Summary { data: DataKind::Procedural, ..summary() };
        assert!(summary_text(&procedural).starts_with("PROCEDURAL DATA"));
    }
}
