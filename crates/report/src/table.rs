//! A typed table: rounded for a reader, exact in its CSV file.

use crate::error::ReportError;
use crate::number::NumberFormat;

/// One column of a [`Table`].
#[derive(Debug, Clone)]
pub struct Column {
    /// Header, without the unit.
    pub title: String,
    /// Unit of the numbers ("nats", "points"); empty when there is none.
    pub unit: String,
    /// `None` for a column of text, which is aligned left.
    pub format: Option<NumberFormat>,
}

impl Column {
    /// A column of text.
    pub fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), unit: String::new(), format: None }
    }

    /// A column of numbers, aligned right. The unit of [`NumberFormat::Percent`] is added where `unit` is empty.
    pub fn number(title: impl Into<String>, unit: impl Into<String>, format: NumberFormat) -> Self {
        Self { title: title.into(), unit: unit.into(), format: Some(format) }
    }

    /// The header with its unit in brackets.
    pub(crate) fn header(&self) -> String {
        let own_unit = self.format.map_or("", NumberFormat::unit);
        match [self.unit.as_str(), own_unit].into_iter().find(|unit| !unit.is_empty()) {
            Some(unit) => format!("{} ({unit})", self.title),
            None => self.title.clone(),
        }
    }

    /// `Forward KL` in `nats` as `forward_kl_nats`. Files hold fractions where a reader sees percent or points, so
    /// the unit of such a column is left out.
    fn key(&self) -> String {
        let is_fraction = matches!(self.format, Some(NumberFormat::Percent(_)));
        let unit = if is_fraction { "" } else { self.unit.as_str() };
        let words = format!("{} {unit}", self.title);
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
    }
}

/// One value of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number in the unit of its column; NaN is shown as missing.
    Number(f64),
    /// An estimate with the interval around it.
    Interval {
        /// The estimate.
        value: f64,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
    },
    /// Nothing was measured, or the level was not reached.
    Missing,
}

impl Cell {
    /// An estimate with its interval, [`Cell::Missing`] without an estimate and a plain number without an interval.
    pub fn interval(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> Self {
        match (value, low, high) {
            (Some(value), Some(low), Some(high)) => Self::Interval { value, low, high },
            (value, ..) => value.into(),
        }
    }

    /// The estimate and the interval as a reader sees them; the interval is empty where there is none.
    pub(crate) fn shown(&self, format: Option<NumberFormat>) -> (String, String) {
        let format = format.unwrap_or(NumberFormat::Significant(4));
        match self {
            Self::Text(text) => (text.clone(), String::new()),
            Self::Number(value) => (format.format(*value), String::new()),
            Self::Missing => (format.format(f64::NAN), String::new()),
            Self::Interval { value, low, high } if low.is_nan() && high.is_nan() => {
                (format.format(*value), String::new())
            }
            Self::Interval { value, low, high } => {
                (format.format(*value), format!("[{}, {}]", format.format(*low), format.format(*high)))
            }
        }
    }

    fn csv_fields(&self, with_interval: bool) -> Vec<String> {
        let (value, ends) = match self {
            Self::Text(text) => (text.clone(), None),
            Self::Number(value) => (exact(*value), None),
            Self::Missing => (String::new(), None),
            Self::Interval { value, low, high } => (exact(*value), Some((*low, *high))),
        };
        let mut fields = vec![value];
        if with_interval {
            let (low, high) = ends.unwrap_or((f64::NAN, f64::NAN));
            fields.extend([exact(low), exact(high)]);
        }
        fields
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Missing, Self::Number)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A table of the page and of `tables/<name>.csv`.
#[derive(Debug, Clone)]
pub struct Table {
    /// Stem of the CSV file: `a-z`, `0-9`, `_`, `-`, unique in a report.
    pub name: String,
    /// What the table shows, in a sentence or two.
    pub caption: String,
    /// Whether the page shows it closed, to be opened by a click. For long tables.
    pub folded: bool,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: impl Into<String>, caption: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { name: name.into(), caption: caption.into(), folded: false, columns, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When `row` does not hold one cell per column.
    pub fn push(&mut self, row: Vec<Cell>) {
        let (found, expected) = (row.len(), self.columns.len());
        assert_eq!(found, expected, "table `{}`: {found} cells for {expected} columns", self.name);
        self.rows.push(row);
    }

    /// The columns, left to right.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows, top to bottom, each with one cell per column.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The table as CSV with one header line, numbers in full precision, missing and NaN as empty fields.
    ///
    /// A header is the title and unit in `snake_case`; a column with intervals is followed by `<header>_low` and
    /// `<header>_high`. Columns that show percent hold fractions and name no unit.
    ///
    /// # Errors
    /// [`ReportError::Csv`] when the writer refuses a record.
    pub fn to_csv(&self) -> Result<Vec<u8>, ReportError> {
        let failed = |source| ReportError::Csv { table: self.name.clone(), source };
        let wide: Vec<bool> =
            (0..self.columns.len()).map(|column_idx| self.has_interval(column_idx)).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut header = Vec::new();
        for (column, &wide) in self.columns.iter().zip(&wide) {
            let key = column.key();
            let ends = [format!("{key}_low"), format!("{key}_high")];
            header.push(key);
            header.extend(ends.into_iter().filter(|_| wide));
        }
        writer.write_record(&header).map_err(failed)?;
        for row in &self.rows {
            let fields = row.iter().zip(&wide).flat_map(|(cell, &wide)| cell.csv_fields(wide));
            writer.write_record(fields).map_err(failed)?;
        }
        writer.into_inner().map_err(|error| failed(error.into_error().into()))
    }

    fn has_interval(&self, column_idx: usize) -> bool {
        self.rows.iter().any(|row| matches!(row[column_idx], Cell::Interval { .. }))
    }
}

/// Shortest text that reads back to the same float; nothing for NaN.
fn exact(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(
            "matched",
            "",
            vec![
                Column::text("Method"),
                Column::number("Prior-task accuracy", "", NumberFormat::Percent(1)),
                Column::number("Forward KL", "nats", NumberFormat::Fixed(2)),
            ],
        );
        let accuracy = Cell::interval(Some(2.0 / 3.0), Some(0.5), Some(0.75));
        table.push(vec!["SFT, \"one\"\nlabel".into(), accuracy, 1e-300.into()]);
        table.push(vec!["GRPO".into(), Cell::Missing, f64::NAN.into()]);
        table
    }

    #[test]
    fn csv_quotes_names_and_keeps_every_digit() {
        let text = String::from_utf8(table().to_csv().unwrap()).unwrap();
        let expected = "method,prior_task_accuracy,prior_task_accuracy_low,prior_task_accuracy_high,forward_kl_nats\n\
                        \"SFT, \"\"one\"\"\nlabel\",0.6666666666666666,0.5,0.75,1e-300\nGRPO,,,,\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_reader_sees_rounded_numbers_and_the_unit_in_the_header() {
        let table = table();
        let (column, cell) = (&table.columns()[1], &table.rows()[0][1]);
        assert_eq!(column.header(), "Prior-task accuracy (%)");
        assert_eq!(cell.shown(column.format), ("66.7".to_owned(), "[50.0, 75.0]".to_owned()));
        assert_eq!(table.rows()[1][1].shown(column.format).0, "–");
    }

    #[test]
    #[should_panic(expected = "1 cells for 3 columns")]
    fn a_row_of_the_wrong_width_is_a_bug() {
        table().push(vec!["alone".into()]);
    }
}
