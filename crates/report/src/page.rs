//! The page: what it is made of, and how it becomes one HTML file.

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::error::ReportError;
use crate::plot::{Figure, FigureSize};
use crate::summary::{DataKind, Gate, Summary};
use crate::table::Table;
use crate::text::tally;

/// What a study tells a reader. Verdict, gates, data provenance and environment come from the [`Summary`], so that
/// page and file cannot disagree.
///
/// Text is shown as it stands, except that `` `words in backticks` `` are set as code.
#[derive(Debug, Clone)]
pub struct Page {
    /// Name of the study.
    pub title: String,
    /// The question that it answers, in one line.
    pub subtitle: String,
    /// Three to five headline figures, shown as cards under the verdict.
    pub highlights: Vec<Highlight>,
    /// The body, in order; each section gets an entry in the table of contents.
    pub sections: Vec<Section>,
    /// Command lines that repeat the study.
    pub rerun: Vec<String>,
    /// Last line of the page.
    pub footer: String,
}

/// One headline figure.
#[derive(Debug, Clone, Serialize)]
pub struct Highlight {
    /// The figure, short: `0.945`.
    pub value: String,
    /// What it is.
    pub label: String,
    /// What to compare it with: an interval, the paper's value.
    pub detail: String,
}

/// A part of the page with its own heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Paragraphs under the heading.
    pub intro: Vec<String>,
    /// Text, figures and tables, in order. Half-width figures that follow each other stand side by side.
    pub blocks: Vec<Block>,
}

/// A piece of a [`Section`].
#[derive(Debug, Clone)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A figure with its caption.
    Figure(Figure),
    /// A table with its caption.
    Table(Table),
}

const TEMPLATE: &str = include_str!("../templates/report.html");
const STYLE: &str = include_str!("../templates/report.css");

/// The page as one self-contained HTML file.
pub(crate) fn render(page: &Page, summary: &Summary) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("code", code_in_backticks);
    environment.add_template("report.html", TEMPLATE)?;
    let sections: Vec<SectionView<'_>> = page.sections.iter().map(SectionView::new).collect();
    let gates: Vec<GateView<'_>> = summary.gates.iter().map(GateView::new).collect();
    let html = environment.get_template("report.html")?.render(context! {
        style => Value::from_safe_string(STYLE.to_owned()),
        title => page.title.as_str(),
        subtitle => page.subtitle.as_str(),
        procedural => summary.data == DataKind::Procedural,
        summary => Serde(summary),
        highlights => Serde(&page.highlights),
        tally => tally(&summary.gates),
        gates => Serde(gates),
        sections => Serde(sections),
        rerun => page.rerun.join("\n"),
        footer => page.footer.as_str(),
    })?;
    Ok(html)
}

#[derive(Serialize)]
struct GateView<'a> {
    id: &'a str,
    claim: &'a str,
    figure: &'a str,
    /// CSS class and word of the badge.
    class: &'static str,
    result: &'static str,
    per_seed: &'a [bool],
}

impl<'a> GateView<'a> {
    fn new(gate: &'a Gate) -> Self {
        let (class, result) = match gate.pass {
            Some(true) => ("pass", "pass"),
            Some(false) => ("fail", "fail"),
            None => ("open", "not measured"),
        };
        Self {
            id: &gate.id,
            claim: &gate.claim,
            figure: &gate.figure,
            class,
            result,
            per_seed: &gate.per_seed,
        }
    }
}

#[derive(Serialize)]
struct SectionView<'a> {
    title: &'a str,
    intro: &'a [String],
    blocks: Vec<BlockView<'a>>,
}

impl<'a> SectionView<'a> {
    fn new(section: &'a Section) -> Self {
        let mut blocks: Vec<BlockView<'a>> = Vec::new();
        for block in &section.blocks {
            match block {
                Block::Text(text) => blocks.push(BlockView::Text { text }),
                Block::Table(table) => blocks.push(BlockView::table(table)),
                Block::Figure(figure) => match blocks.last_mut() {
                    Some(BlockView::Figures { figures }) => figures.push(FigureView::new(figure)),
                    _ => blocks.push(BlockView::Figures { figures: vec![FigureView::new(figure)] }),
                },
            }
        }
        Self { title: &section.title, intro: &section.intro, blocks }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum BlockView<'a> {
    Text {
        text: &'a str,
    },
    /// Figures that follow each other share a grid.
    Figures {
        figures: Vec<FigureView<'a>>,
    },
    Table {
        name: &'a str,
        caption: &'a str,
        folded: bool,
        n_rows: usize,
        header: Vec<HeaderView>,
        rows: Vec<Vec<CellView>>,
    },
}

impl<'a> BlockView<'a> {
    fn table(table: &'a Table) -> Self {
        let columns = table.columns();
        let header = columns
            .iter()
            .map(|column| HeaderView { text: column.header(), numeric: column.format.is_some() });
        let rows = table.rows().iter().map(|row| {
            let cells = row.iter().zip(columns);
            cells
                .map(|(cell, column)| {
                    let (value, interval) = cell.shown(column.format);
                    CellView { value, interval, numeric: column.format.is_some() }
                })
                .collect()
        });
        Self::Table {
            name: &table.name,
            caption: &table.caption,
            folded: table.folded,
            n_rows: table.rows().len(),
            header: header.collect(),
            rows: rows.collect(),
        }
    }
}

#[derive(Serialize)]
struct FigureView<'a> {
    name: &'a str,
    caption: &'a str,
    wide: bool,
    svg: &'a str,
}

impl<'a> FigureView<'a> {
    fn new(figure: &'a Figure) -> Self {
        let wide = figure.size() == FigureSize::Wide;
        Self { name: figure.name(), caption: figure.caption(), wide, svg: figure.svg() }
    }
}

#[derive(Serialize)]
struct HeaderView {
    text: String,
    numeric: bool,
}

#[derive(Serialize)]
struct CellView {
    value: String,
    interval: String,
    numeric: bool,
}

/// Escapes `text` and sets what stands between pairs of backticks as code.
fn code_in_backticks(text: &str) -> Value {
    let mut html = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, code, after)) = next_code(rest) {
        push_escaped(&mut html, before);
        html.push_str("<code>");
        push_escaped(&mut html, code);
        html.push_str("</code>");
        rest = after;
    }
    push_escaped(&mut html, rest);
    Value::from_safe_string(html)
}

fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once('`')?;
    let (code, after) = opened.split_once('`')?;
    Some((before, code, after))
}

/// Appends `text` with the five characters that mean something in HTML and XML replaced. Control characters are
/// dropped: no XML document may hold them.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "<script>alert('&')</script>";
        let mut page = sample::page();
        let mut summary = sample::summary();
        page.title = hostile.to_owned();
        page.sections[0].title = hostile.to_owned();
        page.sections[0].intro = vec![format!("`{hostile}`")];
        page.sections[0].blocks.push(Block::Table(crate::summary_table::matched_table(
            &[crate::summary::Matched { method: hostile.to_owned(), ..summary.matched[0].clone() }],
            crate::summary::MatchAxis::Accuracy,
        )));
        summary.verdict = vec![hostile.to_owned()];
        summary.gates[0].figure = hostile.to_owned();
        summary.provenance[0].name = hostile.to_owned();
        summary.environment.insert(hostile.to_owned(), hostile.to_owned());
        let html = render(&page, &summary).unwrap();
        assert!(!html.contains("<script"), "nothing on the page runs");
        assert!(html.matches("&lt;script&gt;").count() >= 8, "and everything hostile is still shown");
    }

    #[test]
    fn nothing_is_requested_from_outside() {
        let html = render(&sample::page(), &sample::summary()).unwrap();
        for request in ["src=", "<link", "@import", "url("] {
            assert!(!html.contains(request), "{request}");
        }
    }

    #[test]
    fn procedural_data_puts_a_banner_on_the_page() {
        let real = sample::summary();
        let procedural = Summary { data: DataKind::Procedural, ..real.clone() };
        assert!(!render(&sample::page(), &real).unwrap().contains("class=\"banner\""));
        assert!(render(&sample::page(), &procedural).unwrap().contains("class=\"banner\""));
    }

    #[test]
    fn backticks_become_code_only_in_pairs() {
        assert_eq!(code_in_backticks("a `b<c` d").to_string(), "a <code>b&lt;c</code> d");
        assert_eq!(code_in_backticks("a `b c").to_string(), "a `b c");
    }
}
