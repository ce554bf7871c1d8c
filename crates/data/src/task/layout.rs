//! Which files make up a part of a task, and where they lie below a data folder.

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::manifest::Manifest;
use crate::task::id::TaskId;

/// Subsets of a task with their files, relative to the data folder and without `.gz`; the first is the default.
type Parts = &'static [(&'static str, &'static [&'static str])];

const OPEN_REASONER_ZERO: Parts = &[
    ("57k", &["open_reasoner_zero/orz_math_57k_collected.json"]),
    ("72k_extended", &["open_reasoner_zero/orz_math_72k_collection_extended.json"]),
    ("13k_hard", &["open_reasoner_zero/orz_math_13k_collection_hard.json"]),
    ("math500", &["open_reasoner_zero/math500.json"]),
    ("aime2024", &["open_reasoner_zero/aime2024.json"]),
];
const TOOLALPACA: Parts = &[
    ("eval", &["toolalpaca/eval_simulated.json", "toolalpaca/eval_real.json"]),
    ("eval_simulated", &["toolalpaca/eval_simulated.json"]),
    ("eval_real", &["toolalpaca/eval_real.json"]),
];
const GSM8K: Parts = &[("train", &["gsm8k/train.jsonl"]), ("test", &["gsm8k/test.jsonl"])];
const MATH: Parts = &[("test", &["math_extra/math_test_5000.jsonl"])];
const ASDIV: Parts = &[("train", &["math_extra/asdiv_train.jsonl"])];
const MINERVA_MATH: Parts = &[("test", &["math_extra/minerva_math.jsonl"])];
const OLYMPIAD_BENCH: Parts = &[("test", &["math_extra/olympiad_bench.jsonl"])];
const AMC: Parts = &[("test", &["math_extra/amc.jsonl"])];
const TOOLUSE_EVAL: Parts = &[
    ("eval", &["self_distillation_eval/tooluse_eval.jsonl"]),
    ("first_upload", &["self_distillation_eval/tooluse_eval_first_upload_68.json"]),
    ("sdpo_test", &["self_distillation_eval/sdpo_tooluse_test.jsonl"]),
];
const SCIENCE_EVAL: Parts = &[
    ("eval", &["self_distillation_eval/science_eval.jsonl"]),
    ("processed_train", &["self_distillation_eval/science_train_processed.jsonl"]),
    ("processed_val", &["self_distillation_eval/science_val_processed.jsonl"]),
    ("processed_eval", &["self_distillation_eval/science_eval_processed.jsonl"]),
    ("sdpo_train", &["self_distillation_eval/sdpo_sciknoweval_chemistry_train.jsonl"]),
    ("sdpo_test", &["self_distillation_eval/sdpo_sciknoweval_chemistry_test.jsonl"]),
];

/// A generated set has no files.
const GENERATED: Parts = &[("all", &[])];

const SCIENCE_FOLDER: &str = "sciknoweval/raw_data";
const DOMAINS: [&str; 4] = ["Biology", "Chemistry", "Material", "Physics"];
const LEVELS: [&str; 5] = ["L1", "L2", "L3", "L4", "L5"];

impl TaskId {
    /// The subset that is meant when none is named.
    pub const fn default_subset(self) -> &'static str {
        match self {
            Self::Sciknoweval => "Chemistry/L3",
            Self::OpenReasonerZero => "57k",
            Self::Toolalpaca | Self::TooluseEval | Self::ScienceEval => "eval",
            Self::Gsm8k | Self::Asdiv => "train",
            Self::Math | Self::MinervaMath | Self::OlympiadBench | Self::Amc => "test",
            Self::TinyMath | Self::TinyTools | Self::TinyScience | Self::UserFile => "all",
        }
    }

    /// Every subset that can be named, the default first.
    pub fn subsets(self) -> Vec<String> {
        if self == Self::Sciknoweval {
            let all = DOMAINS.iter().flat_map(|domain| LEVELS.map(|level| format!("{domain}/{level}")));
            let others = all.filter(|name| name != self.default_subset());
            return [self.default_subset().to_owned()].into_iter().chain(others).collect();
        }
        self.parts().iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn parts(self) -> Parts {
        match self {
            Self::OpenReasonerZero => OPEN_REASONER_ZERO,
            Self::Toolalpaca => TOOLALPACA,
            Self::Gsm8k => GSM8K,
            Self::Math => MATH,
            Self::Asdiv => ASDIV,
            Self::MinervaMath => MINERVA_MATH,
            Self::OlympiadBench => OLYMPIAD_BENCH,
            Self::Amc => AMC,
            Self::TooluseEval => TOOLUSE_EVAL,
            Self::ScienceEval => SCIENCE_EVAL,
            Self::TinyMath | Self::TinyTools | Self::TinyScience => GENERATED,
            Self::Sciknoweval | Self::UserFile => &[],
        }
    }
}

/// A part of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) task: TaskId,
    pub(super) subset: String,
}

/// A file of a part: its name in the manifest and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Part {
    pub(super) fn new(task: TaskId, subset: Option<&str>) -> Result<Self, DataError> {
        let (name, known) = (subset.unwrap_or(task.default_subset()), task.subsets());
        if task == TaskId::UserFile {
            return Err(DataError::UnknownTask { name: task.name().to_owned(), expected: TaskId::list() });
        }
        if !known.iter().any(|subset| subset == name) {
            return Err(DataError::UnknownSubset { task, name: name.to_owned(), expected: known.join(", ") });
        }
        Ok(Self { task, subset: name.to_owned() })
    }

    /// What is looked for below a data folder, in words.
    pub(super) fn describe(&self) -> String {
        match self.task {
            TaskId::Sciknoweval => format!("{SCIENCE_FOLDER}/{} with .jsonl files", self.subset),
            _ => self.file_names().join(", "),
        }
    }

    /// The part's files below `folder`; `None` when there is not one of them.
    pub(super) fn find(&self, folder: &Path) -> Result<Option<Vec<PartFile>>, DataError> {
        let names = match self.task {
            TaskId::Sciknoweval => json_line_files(folder, &format!("{SCIENCE_FOLDER}/{}", self.subset))?,
            _ => self.file_names().iter().map(|&name| name.to_owned()).collect(),
        };
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let candidates = [folder.join(&name), folder.join(format!("{name}.gz"))];
            match candidates.into_iter().find(|path| path.is_file()) {
                Some(path) => files.push(PartFile { name, path }),
                None => missing.push(name),
            }
        }
        match (files.is_empty(), missing.is_empty()) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(files)),
            (false, false) => {
                Err(DataError::TaskIncomplete { path: folder.to_owned(), task: self.task, missing })
            }
        }
    }

    /// Names of the files that the manifest lists for a folder of the part; none for parts whose files are all needed.
    pub(super) fn listed_files(&self) -> impl Iterator<Item = &'static str> {
        let folder = format!("{SCIENCE_FOLDER}/{}/", self.subset);
        let entry = Manifest::embedded().tasks.iter().find(|entry| entry.id == self.task);
        let files = entry.filter(|_| self.task == TaskId::Sciknoweval).map_or(&[][..], |entry| &entry.files);
        files.iter().map(|file| file.name.as_str()).filter(move |name| name.starts_with(&folder))
    }

    fn file_names(&self) -> &'static [&'static str] {
        let parts = self.task.parts();
        parts.iter().find(|(name, _)| *name == self.subset).map_or(&[], |(_, files)| files)
    }
}

/// JSON-lines files of a folder, sorted by name, without `.gz`; none when there is no such folder.
fn json_line_files(root: &Path, below: &str) -> Result<Vec<String>, DataError> {
    let folder = root.join(below);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| DataError::Read { path: folder.clone(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if plain.ends_with(".jsonl") {
            names.push(format!("{below}/{plain}"));
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_subset_comes_first() {
        for task in TaskId::ALL.into_iter().chain(TaskId::GENERATED) {
            assert_eq!(task.subsets()[0], task.default_subset(), "{task}");
        }
    }

    #[test]
    fn a_subset_is_a_known_name_and_never_a_path() {
        for name in ["Chemistry/L9", "../L3", "Chemistry", ""] {
            let message = Part::new(TaskId::Sciknoweval, Some(name)).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}`")) && message.contains("Physics/L3"), "{message}");
        }
        assert_eq!(Part::new(TaskId::Sciknoweval, Some("Biology/L3")).unwrap().subset, "Biology/L3");
    }
}
