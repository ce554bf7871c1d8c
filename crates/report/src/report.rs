//! A study's report as files.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use razor_core::write_atomic;

use crate::error::ReportError;
use crate::page::{Block, Page, render};
use crate::plot::Figure;
use crate::summary::Summary;
use crate::table::Table;

/// Writes `report.html`, `summary.json`, `figures/<name>.svg` and `tables/<name>.csv` into `dir`.
///
/// Each file is written whole or not at all, the page last. Figures and tables of an earlier report that this one
/// does not have are removed; other files in `dir` are left alone. The same page and summary give the same bytes.
///
/// # Errors
/// [`ReportError::Name`] or [`ReportError::DuplicateName`] before anything is written, [`ReportError::Csv`] and
/// [`ReportError::Template`] when a part cannot be rendered, [`ReportError::Write`] and [`ReportError::Remove`] with
/// the path when the disk refuses.
pub fn write_report(dir: &Path, page: &Page, summary: &Summary) -> Result<(), ReportError> {
    let blocks = || page.sections.iter().flat_map(|section| &section.blocks);
    let figures: Vec<&Figure> = blocks()
        .filter_map(|block| if let Block::Figure(figure) = block { Some(figure) } else { None })
        .collect();
    let tables: Vec<&Table> = blocks()
        .filter_map(|block| if let Block::Table(table) = block { Some(table) } else { None })
        .collect();
    let figure_names = checked_names("figure", figures.iter().map(|figure| figure.name()))?;
    let table_names = checked_names("table", tables.iter().map(|table| table.name.as_str()))?;
    let html = render(page, summary)?;

    for figure in &figures {
        write_atomic(&dir.join(format!("figures/{}.svg", figure.name())), figure.svg().as_bytes())?;
    }
    for table in &tables {
        write_atomic(&dir.join(format!("tables/{}.csv", table.name)), &table.to_csv()?)?;
    }
    write_atomic(&dir.join("summary.json"), summary.to_json().as_bytes())?;
    write_atomic(&dir.join("report.html"), html.as_bytes())?;
    remove_outdated(&dir.join("figures"), "svg", &figure_names)?;
    remove_outdated(&dir.join("tables"), "csv", &table_names)
}

fn checked_names<'a>(
    kind: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<BTreeSet<&'a str>, ReportError> {
    let mut seen = BTreeSet::new();
    for name in names {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 80 || !name.chars().all(plain) {
            return Err(ReportError::Name { kind, name: name.to_owned() });
        }
        if !seen.insert(name) {
            return Err(ReportError::DuplicateName { kind, name: name.to_owned() });
        }
    }
    Ok(seen)
}

/// Removes the files in `folder` with this extension whose stem is not in `current`.
fn remove_outdated(folder: &Path, extension: &str, current: &BTreeSet<&str>) -> Result<(), ReportError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(ReportError::Read { path: folder.to_owned(), source });
        }
    };
    for entry in entries {
        let path = entry.map_err(|source| ReportError::Read { path: folder.to_owned(), source })?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_ours = path.extension().is_some_and(|found| found == extension);
        if is_ours && stem.is_some_and(|stem| !current.contains(stem)) {
            fs::remove_file(&path).map_err(|source| ReportError::Remove { path, source })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, FigureSize, XyChart};
    use crate::sample;
    use crate::summary::MatchAxis;
    use crate::summary_table::matched_table;

    fn figure(name: &str) -> Block {
        let chart = XyChart {
            name: name.to_owned(),
            title: "Title".to_owned(),
            caption: "Caption".to_owned(),
            size: FigureSize::Half,
            x: Axis::linear("x", ""),
            y: Axis::linear("y", ""),
            series: vec![],
            guides: vec![],
        };
        Block::Figure(chart.draw().unwrap())
    }

    fn page_with(blocks: Vec<Block>) -> Page {
        let mut page = sample::page();
        page.sections[0].blocks = blocks;
        page
    }

    #[test]
    fn a_report_replaces_the_one_before_it_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let summary = sample::summary();
        let table = Block::Table(matched_table(&summary.matched, MatchAxis::Accuracy));
        write_report(dir.path(), &page_with(vec![figure("first"), table]), &summary).unwrap();
        fs::write(dir.path().join("figures/notes.txt"), "mine").unwrap();
        write_report(dir.path(), &page_with(vec![figure("second")]), &summary).unwrap();
        let listed = |folder: &str| {
            let entries = fs::read_dir(dir.path().join(folder)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        assert_eq!(listed("figures"), BTreeSet::from(["notes.txt".to_owned(), "second.svg".to_owned()]));
        assert_eq!(listed("tables"), BTreeSet::new());
        assert_eq!(Summary::read(&dir.path().join("summary.json")).unwrap(), summary);
    }

    #[test]
    fn the_same_report_has_the_same_bytes() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let pages = dirs.each_ref().map(|dir| {
            write_report(dir.path(), &page_with(vec![figure("one")]), &sample::summary()).unwrap();
            fs::read(dir.path().join("report.html")).unwrap()
        });
        assert_eq!(pages[0], pages[1]);
    }

    #[test]
    fn names_that_are_no_file_names_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for blocks in [vec![figure("../escape")], vec![figure("twice"), figure("twice")], vec![figure("")]] {
            assert!(write_report(dir.path(), &page_with(blocks), &sample::summary()).is_err());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
