//! Loading a task: found, read, parsed, and put into the prompts of this project.

use std::path::Path;

use crate::error::{DataError, Looked};
use crate::manifest::Manifest;
use crate::sources::{GivenBy, Sources};
use crate::task::example::{TaskData, TaskExample, TaskFile};
use crate::task::id::TaskId;
use crate::task::layout::{Part, PartFile};
use crate::task::notes::Notes;
use crate::task::overlap::repeated_questions;
use crate::task::record::RecordFile;
use crate::task::{gsm8k, math, open_reasoner_zero, sciknoweval, self_distillation, toolalpaca};
use crate::tiny_language::tiny_task;

/// Loads a part of a task from a data folder, which holds `gsm8k/`, `sciknoweval/raw_data/` and so on.
///
/// Generated sets need no folder. Without `subset`, the [default](TaskId::default_subset) one. Files may be gzip or not, an array or JSON lines.
///
/// # Errors
/// [`DataError::UnknownSubset`]; [`DataError::TaskNotFound`] when there is not one of the files,
/// [`DataError::TaskIncomplete`] when only some are there; [`DataError::NotJson`] or [`DataError::Field`] with file, line
/// and field where a record is damaged; the errors of reading and unpacking a file.
pub fn load_task(task: TaskId, subset: Option<&str>, folder: &Path) -> Result<TaskData, DataError> {
    let part = Part::new(task, subset)?;
    if let Some(examples) = tiny_task(task) {
        return Ok(generated(part, examples));
    }
    match part.find(folder)? {
        Some(files) => read_part(part, &files),
        None => {
            let places = vec![looked(folder, "data folder", &part)];
            Err(not_found(part, places))
        }
    }
}

/// As [`load_task`], from the first place of `sources` that has the part: `--data` alone, or `$RAZOR_DATA` and then
/// `datasets/raw`. Never downloads.
///
/// # Errors
/// As [`load_task`]; [`DataError::TaskFolder`] when a named place is not a folder.
pub fn load_task_from(task: TaskId, subset: Option<&str>, sources: &Sources) -> Result<TaskData, DataError> {
    let part = Part::new(task, subset)?;
    if let Some(examples) = tiny_task(task) {
        return Ok(generated(part, examples));
    }
    let mut places = Vec::new();
    for place in &sources.places {
        let given_by = place.given_by.name();
        if place.given_by != GivenBy::Default && !place.path.is_dir() {
            return Err(DataError::TaskFolder { path: place.path.clone(), given_by, task });
        }
        if let Some(files) = part.find(&place.path)? {
            return read_part(part, &files);
        }
        places.push(looked(&place.path, given_by, &part));
    }
    Err(not_found(part, places))
}

fn generated(part: Part, examples: Vec<TaskExample>) -> TaskData {
    let Part { task, subset } = part;
    TaskData { task, subset, examples, notes: Vec::new(), provenance: Vec::new() }
}

fn looked(folder: &Path, given_by: &str, part: &Part) -> Looked {
    let outcome = if folder.is_dir() {
        format!("no {} (or .gz)", part.describe())
    } else {
        "no such folder".to_owned()
    };
    Looked { place: format!("{} ({given_by})", folder.display()), outcome }
}

fn not_found(part: Part, looked: Vec<Looked>) -> DataError {
    DataError::TaskNotFound { task: part.task, subset: part.subset, looked }
}

fn read_part(part: Part, files: &[PartFile]) -> Result<TaskData, DataError> {
    let (mut examples, mut provenance, mut notes) = (Vec::new(), Vec::new(), Notes::default());
    for PartFile { name, path } in files {
        let file = RecordFile::read(path)?;
        examples.extend(parse(part.task, &file, &mut notes)?);
        let official = Manifest::embedded().task_file(part.task, name);
        provenance.push(TaskFile {
            path: file.path,
            bytes: file.bytes,
            records: file.records.len(),
            matches_manifest: official.map(|official| official.sha256 == file.sha256),
            sha256: file.sha256,
        });
    }
    for id in repeated_questions(&examples) {
        notes.flag("repeats a question of the set, perhaps with other options", id);
    }
    for name in part.listed_files() {
        if files.iter().all(|file| file.name != name) {
            notes.flag("a file of the subset is listed in the manifest but not here", name.to_owned());
        }
    }
    let Part { task, subset } = part;
    Ok(TaskData { task, subset, examples, notes: notes.into_vec(), provenance })
}

fn parse(task: TaskId, file: &RecordFile, notes: &mut Notes) -> Result<Vec<TaskExample>, DataError> {
    match task {
        TaskId::OpenReasonerZero => open_reasoner_zero::parse(file),
        TaskId::Sciknoweval => sciknoweval::parse(file, notes),
        TaskId::Toolalpaca => toolalpaca::parse(file, notes),
        TaskId::Gsm8k => gsm8k::parse(file),
        TaskId::Math | TaskId::Asdiv | TaskId::MinervaMath | TaskId::OlympiadBench | TaskId::Amc => {
            math::parse(task, file)
        }
        TaskId::TooluseEval => self_distillation::parse_tools(file, notes),
        TaskId::ScienceEval => self_distillation::parse_science(file, notes),
        TaskId::TinyMath | TaskId::TinyTools | TaskId::TinyScience | TaskId::UserFile => {
            unreachable!("neither a generated set nor a user's file is read as a part")
        }
    }
}
