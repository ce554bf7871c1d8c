//! Tensors of a model folder, read one at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::bf16;

use crate::checkpoint::folder::{WeightFiles, weight_files};
use crate::checkpoint::header::{Entry, Header};
use crate::checkpoint::numbers::{BadValue, Stored};
use crate::error::ModelError;
use crate::lm_config::TensorSpec;
use crate::strict_json::shown;

/// Bytes that are read at once: large enough for the disk, small enough for the cache.
const CHUNK: usize = 1 << 20;

/// The input embedding.
pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";

/// The output layer.
pub(super) const LM_HEAD: &str = "lm_head.weight";

/// Numbers of one tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum HostData {
    /// Four bytes each.
    F32(Vec<f32>),
    /// Two bytes each.
    Bf16(Vec<bf16>),
}

/// One tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// As in the checkpoint.
    pub shape: Vec<usize>,
    /// As many finite numbers as the shape has places.
    pub data: HostData,
}

/// How weights are held or stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightDtype {
    /// 32-bit floats.
    F32,
    /// The upper half of a 32-bit float.
    Bf16,
}

/// The weights of a model folder: headers in memory, tensors on the disk until they are read.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    shards: Vec<Shard>,
    /// Tensors in the order of the shards' names, inside a shard in the order of its bytes.
    entries: Vec<Located>,
    by_name: HashMap<String, usize>,
}

/// An open file. The position belongs to whoever holds the lock, so threads may share a checkpoint.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: Mutex<File>,
}

/// A tensor and the shard that has it.
#[derive(Debug)]
pub(super) struct Located {
    shard: usize,
    pub(super) entry: Entry,
}

impl Checkpoint {
    /// Opens the weights of `folder` and reads the headers.
    ///
    /// # Errors
    /// [`ModelError::Read`] when a file cannot be read; [`ModelError::Layout`] when there are no weights, a header or the
    /// index is damaged, or shards and index disagree.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let mut open =
            Self { folder: folder.to_owned(), shards: vec![], entries: vec![], by_name: HashMap::new() };
        match weight_files(folder)? {
            WeightFiles::Single(path) => open.add_shard(&path)?,
            WeightFiles::Sharded(map) => {
                let mut tensors_of: BTreeMap<&str, usize> = BTreeMap::new();
                for (_, file) in &map {
                    *tensors_of.entry(file).or_default() += 1;
                }
                let missing: Vec<&str> =
                    tensors_of.keys().copied().filter(|file| !folder.join(file).is_file()).collect();
                if !missing.is_empty() {
                    let message = format!("lacks the shards {} that its index names", missing.join(", "));
                    return Err(ModelError::Layout { path: folder.to_owned(), message });
                }
                for file in tensors_of.keys() {
                    open.add_shard(&folder.join(file))?;
                }
                open.compare_with_index(&map)?;
            }
        }
        Ok(open)
    }

    /// Opens one safetensors file that holds any tensors, such as the state of an optimizer.
    ///
    /// # Errors
    /// [`ModelError::Read`] when it cannot be read, [`ModelError::Layout`] when its header is damaged.
    pub fn open_file(path: &Path) -> Result<Self, ModelError> {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut open = Self { folder, shards: vec![], entries: vec![], by_name: HashMap::new() };
        open.add_shard(path)?;
        Ok(open)
    }

    fn add_shard(&mut self, path: &Path) -> Result<(), ModelError> {
        let unread = |source| ModelError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unread)?;
        let header = Header::read(path, &mut file)?;
        let shard = self.shards.len();
        self.shards.push(Shard { path: path.to_owned(), file: Mutex::new(file) });
        for entry in header.entries {
            if let Some(other) = self.by_name.insert(entry.name.clone(), self.entries.len()) {
                let first = self.shards[self.entries[other].shard].path.display().to_string();
                return Err(self.tensor_error(shard, &entry.name, format!("is in {first} too")));
            }
            self.entries.push(Located { shard, entry });
        }
        Ok(())
    }

    /// Every tensor of the shards is in the index, and the other way round.
    fn compare_with_index(&self, map: &[(String, String)]) -> Result<(), ModelError> {
        let mut problems = Vec::new();
        let indexed: HashMap<&str, &str> =
            map.iter().map(|(name, file)| (name.as_str(), file.as_str())).collect();
        for (name, file) in map {
            let expected = self.folder.join(file);
            match self.by_name.get(name).map(|idx| &self.shards[self.entries[*idx].shard].path) {
                Some(path) if *path == expected => {}
                Some(path) => {
                    problems.push(format!("`{}` is in {}, not in {file}", shown(name), path.display()))
                }
                None => problems.push(format!("`{}` is not in {file}", shown(name))),
            }
        }
        for located in
            self.entries.iter().filter(|located| !indexed.contains_key(located.entry.name.as_str()))
        {
            let path = self.shards[located.shard].path.display();
            problems.push(format!("`{}` is in {path}, but not in the index", shown(&located.entry.name)));
        }
        if problems.is_empty() {
            return Ok(());
        }
        problems.truncate(20);
        let message = format!("index and shards disagree: {}", problems.join("; "));
        Err(ModelError::Layout { path: self.folder.clone(), message })
    }

    /// Names of all tensors, in the order of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|located| located.entry.name.as_str())
    }

    /// Reads one tensor, converted to `dtype`; to bf16 by rounding to nearest, ties to even.
    ///
    /// The memory in use is that of the result and one MiB. The embedding is read from `lm_head.weight` when the files
    /// hold only that: [`Checkpoint::check`] has made sure that the two are the same.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] when the tensor is missing, has another shape, is no float, or holds a value that is not
    /// finite (or too large for bf16); [`ModelError::Read`] when the file cannot be read.
    pub fn read(&self, spec: &TensorSpec, dtype: WeightDtype) -> Result<HostTensor, ModelError> {
        let Some(located) = self.find(&spec.name) else {
            let (path, message) = (self.folder.clone(), "is missing".to_owned());
            return Err(ModelError::Tensor { path, name: spec.name.clone(), message });
        };
        let entry = &located.entry;
        let refused = |message: String| self.tensor_error(located.shard, &entry.name, message);
        if entry.shape != spec.shape {
            return Err(refused(format!("has shape {:?}, expected {:?}", entry.shape, spec.shape)));
        }
        let stored = Stored::of(entry.dtype).ok_or_else(|| refused(not_a_float(entry)))?;
        let n_values = entry.shape.iter().product();
        let data = match dtype {
            WeightDtype::F32 => {
                let mut values = room(n_values).map_err(refused)?;
                self.convert(located, stored.size(), |bytes| stored.append_f32(bytes, &mut values))?;
                HostData::F32(values)
            }
            WeightDtype::Bf16 => {
                let mut values = room(n_values).map_err(refused)?;
                self.convert(located, stored.size(), |bytes| stored.append_bf16(bytes, &mut values))?;
                HostData::Bf16(values)
            }
        };
        Ok(HostTensor { shape: entry.shape.clone(), data })
    }

    /// Feeds the bytes of a tensor to `append`, whose error names a position in its own chunk.
    fn convert(
        &self,
        located: &Located,
        element: usize,
        mut append: impl FnMut(&[u8]) -> Result<(), BadValue>,
    ) -> Result<(), ModelError> {
        let mut n_done = 0;
        self.chunks(located, |bytes| {
            append(bytes).map_err(|BadValue { idx, why }| {
                let message = format!("value {} {why}", n_done + idx);
                self.tensor_error(located.shard, &located.entry.name, message)
            })?;
            n_done += bytes.len() / element;
            Ok(())
        })
    }

    /// The bytes of a tensor in pieces of at most [`CHUNK`].
    fn chunks(
        &self,
        located: &Located,
        mut take: impl FnMut(&[u8]) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let Located { shard, entry } = located;
        let mut buffer = vec![0; CHUNK.min(usize::try_from(entry.n_bytes).unwrap_or(CHUNK))];
        let mut n_read = 0;
        while n_read < entry.n_bytes {
            let piece = usize::try_from(entry.n_bytes - n_read).unwrap_or(CHUNK).min(CHUNK);
            let bytes = &mut buffer[..piece];
            self.shards[*shard].read_at(entry.start + n_read, bytes).map_err(|source| {
                self.tensor_error(*shard, &entry.name, format!("cannot be read: {source}"))
            })?;
            take(bytes)?;
            n_read += piece as u64;
        }
        Ok(())
    }

    /// Whether two tensors of one type and shape have the same bytes.
    pub(super) fn same_bytes(&self, left: &Located, right: &Located) -> Result<bool, ModelError> {
        let (mut same, mut n_read) = (true, 0);
        let mut other = vec![0; CHUNK];
        self.chunks(left, |bytes| {
            let other = &mut other[..bytes.len()];
            let read = self.shards[right.shard].read_at(right.entry.start + n_read, other);
            read.map_err(|source| {
                self.tensor_error(right.shard, &right.entry.name, format!("cannot be read: {source}"))
            })?;
            same &= bytes == other;
            n_read += bytes.len() as u64;
            Ok(())
        })?;
        Ok(same)
    }

    /// The tensor of that name, or the output layer for a missing embedding.
    pub(super) fn find(&self, name: &str) -> Option<&Located> {
        let alias = || (name == EMBEDDING).then(|| self.by_name.get(LM_HEAD)).flatten();
        self.by_name.get(name).or_else(alias).map(|idx| &self.entries[*idx])
    }

    pub(super) fn entries(&self) -> &[Located] {
        &self.entries
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn tensor_error(&self, shard: usize, name: &str, message: String) -> ModelError {
        ModelError::Tensor { path: self.shards[shard].path.clone(), name: shown(name), message }
    }
}

impl Shard {
    fn read_at(&self, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        // A thread that panicked while it held the lock left nothing half done: every read seeks first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}

pub(super) fn not_a_float(entry: &Entry) -> String {
    format!("is of type {}, expected F32, F16 or BF16", entry.dtype)
}

/// An empty vector with room for `n_values`.
fn room<T>(n_values: usize) -> Result<Vec<T>, String> {
    let mut values = Vec::new();
    let room = values.try_reserve_exact(n_values);
    room.map_err(|error| format!("of {n_values} values does not fit the memory: {error}"))?;
    Ok(values)
}
