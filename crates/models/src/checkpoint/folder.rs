//! Which files of a model folder hold weights, and a folder that appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use razor_core::{file_digest, fingerprint};
use serde::Deserialize;

use crate::checkpoint::header::MAX_JSON_LEN;
use crate::error::ModelError;
use crate::strict_json::{UniqueMap, UniqueValue, shown};

/// All weights in one file.
pub(crate) const MODEL_FILE: &str = "model.safetensors";

/// Which shard holds which tensor.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// Files beside config and weights that belong to a model: its tokenizer and how it generates.
pub(crate) const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
];

/// The files with a model's weights.
pub(crate) enum WeightFiles {
    /// Everything in one.
    Single(PathBuf),
    /// `(tensor, file name)` of every tensor.
    Sharded(Vec<(String, String)>),
}

/// Looks for weights in `folder`.
pub(crate) fn weight_files(folder: &Path) -> Result<WeightFiles, ModelError> {
    let (single, index) = (folder.join(MODEL_FILE), folder.join(INDEX_FILE));
    match (single.is_file(), index.is_file()) {
        (true, false) => Ok(WeightFiles::Single(single)),
        (is_single, true) => {
            let map = read_index(&index)?;
            // Some writers add an index to a single file; that agrees. Weights from elsewhere beside it do not.
            if is_single && map.iter().any(|(_, file)| file != MODEL_FILE) {
                let message = format!("names shards, but there is {MODEL_FILE} too; remove one of them");
                return Err(ModelError::Layout { path: index, message });
            }
            Ok(WeightFiles::Sharded(map))
        }
        (false, false) => {
            let hint = match folder.join("pytorch_model.bin").exists() {
                true => "; pytorch_model.bin is not read, save the model as safetensors",
                false => "",
            };
            let message = format!("has neither {MODEL_FILE} nor {INDEX_FILE}{hint}");
            Err(ModelError::Layout { path: folder.to_owned(), message })
        }
    }
}

/// A fingerprint (16 hexadecimal digits) of all files of a model folder that are read: config, weights, tokenizer, template.
/// Equal files, equal fingerprints, wherever the folder is.
///
/// # Errors
/// [`ModelError::Read`] when a file cannot be read, [`ModelError::Layout`] when there are no weights.
pub fn fingerprint_model(folder: &Path) -> Result<String, ModelError> {
    let mut names = weight_file_names(folder)?;
    let beside = ["config.json"].into_iter().chain(COMPANIONS).filter(|name| folder.join(name).is_file());
    names.extend(beside.map(str::to_owned));
    fingerprint_files(folder, names)
}

/// As [`fingerprint_model`], of the files with weights alone: another tokenizer or chat template leaves it as it is,
/// another type or cut into shards does not.
///
/// # Errors
/// As [`fingerprint_model`].
pub fn fingerprint_weights(folder: &Path) -> Result<String, ModelError> {
    fingerprint_files(folder, weight_file_names(folder)?)
}

fn weight_file_names(folder: &Path) -> Result<Vec<String>, ModelError> {
    Ok(match weight_files(folder)? {
        WeightFiles::Single(_) => vec![MODEL_FILE.to_owned()],
        WeightFiles::Sharded(map) => map.into_iter().map(|(_, file)| file).collect(),
    })
}

fn fingerprint_files(folder: &Path, mut names: Vec<String>) -> Result<String, ModelError> {
    names.sort_unstable();
    names.dedup();
    let mut digests = Vec::with_capacity(names.len());
    for name in names {
        let path = folder.join(&name);
        let digest = File::open(&path).and_then(|file| file_digest(&file));
        let (_, sha256) = digest.map_err(|source| ModelError::Read { path, source })?;
        digests.push((name, sha256));
    }
    Ok(fingerprint(&digests))
}

#[derive(Deserialize)]
struct RawIndex {
    weight_map: UniqueMap<String>,
    #[serde(default, rename = "metadata")]
    _metadata: Option<UniqueValue>,
}

/// `(tensor, file name)` of an index; every file name is plain.
pub(crate) fn read_index(path: &Path) -> Result<Vec<(String, String)>, ModelError> {
    let bad = |message: String| ModelError::Layout { path: path.to_owned(), message };
    let mut json = Vec::new();
    let file = File::open(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let read = file.take(MAX_JSON_LEN + 1).read_to_end(&mut json);
    read.map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    if json.len() as u64 > MAX_JSON_LEN {
        return Err(bad(format!("is longer than {MAX_JSON_LEN} bytes")));
    }
    let index: RawIndex =
        serde_json::from_slice(&json).map_err(|error| bad(format!("bad index: {error}")))?;
    let UniqueMap(map) = index.weight_map;
    match map.iter().find(|(_, file)| !is_plain(file)) {
        Some((tensor, file)) => Err(bad(format!(
            "tensor `{}` is said to be in `{}`, expected the name of a safetensors file in the same folder",
            shown(tensor),
            shown(file)
        ))),
        None if map.is_empty() => Err(bad("names no tensor".to_owned())),
        None => Ok(map),
    }
}

/// Whether `name` can only be a file in the same folder, on every system.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!(parts.next(), Some(Component::Normal(part)) if part == name) && parts.next().is_none();
    one && name.ends_with(".safetensors") && !name.contains(['/', '\\', ':', '\0'])
}

/// A folder under a temporary name beside its target; removed when dropped before it was published.
///
/// The name is that of the target with the process and `.partial` behind it, so that what a killed process left can be
/// told and removed.
#[derive(Debug)]
pub struct PartialFolder {
    path: PathBuf,
    target: PathBuf,
    published: bool,
}

impl PartialFolder {
    /// Makes the temporary folder and missing parents; `target` may exist only as an empty folder.
    ///
    /// # Errors
    /// That of the file system; `AlreadyExists` when `target` has content.
    pub fn create(target: &Path) -> io::Result<Self> {
        refuse_content(target)?;
        let name =
            target.file_name().ok_or_else(|| io::Error::other("the path does not end in a folder name"))?;
        if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        let mut attempt = 0;
        loop {
            let mut temporary = name.to_owned();
            temporary.push(format!(".{}-{attempt}.partial", std::process::id()));
            let path = target.with_file_name(temporary);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, target: target.to_owned(), published: false }),
                // A killed process with the same id left one behind, or a neighbour thread is at work.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1_000 => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where its files go until it has its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one file of it and waits until it is on the disk.
    ///
    /// # Errors
    /// That of the file system; `AlreadyExists` when it has a file of that name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create_new(self.path.join(name))?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    }

    /// Gives the folder its name. What the caller put there by other means must be on the disk already.
    ///
    /// # Errors
    /// That of the file system; the temporary folder is removed then.
    pub fn publish(mut self) -> io::Result<()> {
        sync_folder(&self.path)?;
        if self.target.exists() {
            fs::remove_dir(&self.target)?; // fails when it is no longer empty
        }
        fs::rename(&self.path, &self.target)?;
        self.published = true;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: the error that matters is the one being returned.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn refuse_content(target: &Path) -> io::Result<()> {
    let n_entries = match fs::read_dir(target) {
        Ok(entries) => entries.take(1).count(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if n_entries == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder exists and is not empty"))
}

/// Makes names in a folder survive a crash; only Unix lets a folder be opened for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
