//! What each data set is: source, licence, and its files byte for byte.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::dataset::DatasetId;
use crate::task::TaskId;

static EMBEDDED: LazyLock<Manifest> = LazyLock::new(Manifest::parse);

/// `datasets/manifest.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the manifest's layout; 1.
    pub schema: u32,
    /// One entry a data set.
    #[serde(rename = "dataset")]
    pub datasets: Vec<DatasetEntry>,
    /// One entry a task for language models.
    #[serde(rename = "task")]
    pub tasks: Vec<TaskEntry>,
    /// One entry a benchmark of prior abilities.
    #[serde(rename = "benchmark")]
    pub benchmarks: Vec<BenchmarkEntry>,
}

/// The data of a task, or of a benchmark, whose id is the folder of its files below a data folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskEntry<I = TaskId> {
    /// Which one.
    pub id: I,
    /// Name for people.
    pub title: String,
    /// One line on what it holds.
    pub about: String,
    /// Where it was first published, and by whom.
    pub source: String,
    /// Repository and commit whose bytes the sums are of, and what was done to them.
    pub revision: String,
    /// Licence as its source states it.
    pub licence: String,
    /// Its files. A file with other bytes is loaded too, and says so.
    pub files: Vec<TaskFileEntry>,
}

/// The data of a benchmark.
pub type BenchmarkEntry = TaskEntry<String>;

/// One file of a task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFileEntry {
    /// Path below a data folder, without `.gz`.
    pub name: String,
    /// Number of records.
    pub records: usize,
    /// Unpacked size.
    pub bytes: u64,
    /// SHA-256 of the unpacked bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// One data set of the manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetEntry {
    /// Which data set.
    pub id: DatasetId,
    /// Name for people.
    pub title: String,
    /// One line on what it holds.
    pub about: String,
    /// Where it was first published, and by whom.
    pub source: String,
    /// Licence as its source states it.
    pub licence: String,
    /// Names of the classes, by label.
    pub classes: Vec<String>,
    /// Folders to look in, relative to a data folder; the first is where `fetch` writes.
    pub folders: Vec<String>,
    /// The copy on the Hugging Face hub.
    pub hub: HubEntry,
    /// Training images.
    pub train_images: FileEntry,
    /// Training labels.
    pub train_labels: FileEntry,
    /// Test images.
    pub test_images: FileEntry,
    /// Test labels.
    pub test_labels: FileEntry,
}

/// Where a data set lies on the hub.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubEntry {
    /// `owner/name` of the hub's data set.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Parquet file of the training split.
    pub train: String,
    /// Parquet file of the test split.
    pub test: String,
}

/// One IDX file of a data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name without `.gz`.
    pub name: String,
    /// Number of images or labels.
    pub count: u32,
    /// Unpacked size.
    pub bytes: u64,
    /// SHA-256 of the unpacked bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// The manifest that this build was made with.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// A copy of one's own.
    pub(crate) fn parse() -> Self {
        toml::from_str(include_str!("../../../datasets/manifest.toml")).expect("a test parses the manifest")
    }

    /// The entry of one data set.
    ///
    /// # Panics
    /// When the manifest lacks the data set; the embedded one has all.
    pub fn entry(&self, id: DatasetId) -> &DatasetEntry {
        self.datasets
            .iter()
            .find(|entry| entry.id == id)
            .expect("the manifest has an entry for every data set")
    }

    /// A file of a task by its path below a data folder, without `.gz`; `None` where it is not listed.
    pub fn task_file(&self, task: TaskId, name: &str) -> Option<&TaskFileEntry> {
        let entry = self.tasks.iter().find(|entry| entry.id == task)?;
        entry.files.iter().find(|file| file.name == name)
    }
}

impl DatasetEntry {
    /// The four files: training images and labels, test images and labels.
    pub fn files(&self) -> [&FileEntry; 4] {
        [&self.train_images, &self.train_labels, &self.test_images, &self.test_labels]
    }

    /// The name of a class, by label.
    ///
    /// # Panics
    /// When `label` is 10 or more.
    pub fn class_name(&self, label: u8) -> &str {
        &self.classes[usize::from(label)]
    }
}

impl FileEntry {
    /// Names under which the file is found in the wild, best first.
    pub(crate) fn name_variants(&self) -> [String; 4] {
        let dotted = self.name.replace("-idx", ".idx");
        [self.name.clone(), format!("{}.gz", self.name), dotted.clone(), format!("{dotted}.gz")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_set::{IMAGE_LEN, N_CLASSES};

    #[test]
    fn every_data_set_has_a_sound_entry() {
        for id in DatasetId::ALL {
            let entry = Manifest::embedded().entry(id);
            assert_eq!(entry.classes.len(), N_CLASSES);
            assert_eq!(entry.folders[0], id.name());
            for file in entry.files() {
                let is_image = file.name.contains("images");
                let expected = if is_image {
                    16 + u64::from(file.count) * IMAGE_LEN as u64
                } else {
                    8 + u64::from(file.count)
                };
                assert_eq!(file.bytes, expected, "{}", file.name);
                assert!(
                    file.sha256.len() == 64 && file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b))
                );
            }
        }
    }

    #[test]
    fn every_task_has_a_sound_entry() {
        for task in TaskId::ALL {
            let entry = Manifest::embedded().tasks.iter().find(|entry| entry.id == task).unwrap();
            assert!(!entry.files.is_empty() && !entry.licence.is_empty(), "{task}");
            for file in &entry.files {
                let is_hex = file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b));
                assert!(file.sha256.len() == 64 && is_hex && file.records > 0, "{}", file.name);
                assert_eq!(Manifest::embedded().task_file(task, &file.name).unwrap().bytes, file.bytes);
            }
        }
    }

    #[test]
    fn every_benchmark_has_a_sound_entry() {
        let mut names = Vec::new();
        for entry in &Manifest::embedded().benchmarks {
            assert!(!entry.files.is_empty() && !entry.licence.is_empty(), "{}", entry.id);
            for file in &entry.files {
                let is_hex = file.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b));
                assert!(file.sha256.len() == 64 && is_hex && file.records > 0, "{}", file.name);
                assert!(file.name.starts_with(&format!("{}/", entry.id)), "{}", file.name);
                names.push(&file.name);
            }
        }
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n, "every file is listed once");
    }

    #[test]
    fn both_spellings_of_a_name_are_known() {
        let names = Manifest::embedded().entry(DatasetId::Mnist).train_images.name_variants();
        assert_eq!(names[1], "train-images-idx3-ubyte.gz");
        assert_eq!(names[2], "train-images.idx3-ubyte");
    }
}
