//! Loading a data set: found, unpacked, parsed and checked before anyone sees a pixel.

use std::path::{Path, PathBuf};

use razor_core::Seed;

use crate::dataset::{DatasetId, Provenance};
use crate::error::{DataError, Looked};
use crate::fetch;
use crate::hub;
use crate::idx::{parse_idx_images, parse_idx_labels};
use crate::image_set::{FileRecord, IMAGE_LEN, ImageDataset, ImageSet};
use crate::manifest::{DatasetEntry, FileEntry, Manifest};
use crate::procedural::procedural_images;
use crate::sources::{FoundFiles, Located, Sources, locate};
use crate::unpack::{read_unpacked, sha256_hex};

/// What to do when the real images are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPolicy {
    /// Real images if found, otherwise procedural ones. A file that is there but wrong stays an error.
    Auto,
    /// Real images or an error.
    RealOnly,
    /// Procedural images, whatever is on the machine.
    ProceduralOnly,
}

/// The real images of a data set.
///
/// # Errors
/// [`DataError::NotFound`] with every place looked in when there are none; any other [`DataError`] when what was found or
/// named is wrong: not a folder, incomplete, unreadable, or not the official bytes.
pub fn load_images(id: DatasetId, sources: &Sources) -> Result<ImageDataset, DataError> {
    let entry = Manifest::embedded().entry(id);
    let mut looked = match locate(entry, sources)? {
        Located::Found(found) => return read_found(entry, &found),
        Located::Nowhere(looked) => looked,
    };
    if let Some(settings) = &sources.hub {
        if let Some(files) = hub::cached(entry, settings)? {
            return assemble(entry, files);
        }
        let place = settings.describe();
        match &sources.listener {
            None => looked.push(Looked { place, outcome: hub::NOT_DOWNLOADED.into() }),
            Some(listener) => match hub::download(entry, settings, listener) {
                Ok(files) => {
                    fetch::store(entry, sources.store_dir(), &files, listener)?;
                    return assemble(entry, files);
                }
                Err(DataError::Hub { reason, .. }) => looked.push(Looked { place, outcome: reason }),
                Err(error) => return Err(error),
            },
        }
    }
    Err(DataError::NotFound { id, looked })
}

/// Real or procedural images, as `policy` says, with at most `n_train` and `n_test` of them.
///
/// `seed` matters to procedural images only. When [`DataPolicy::Auto`] falls back, the reason is in
/// [`stand_in_reason`](ImageDataset::stand_in_reason) and should be printed.
///
/// # Errors
/// As [`load_images`]; under `Auto` every error but [`DataError::NotFound`]; under `ProceduralOnly` none.
pub fn load_or_generate(
    id: DatasetId,
    sources: &Sources,
    policy: DataPolicy,
    seed: Seed,
    n_train: usize,
    n_test: usize,
) -> Result<ImageDataset, DataError> {
    if policy == DataPolicy::ProceduralOnly {
        return Ok(procedural_images(id, seed, n_train, n_test));
    }
    match load_images(id, sources) {
        Ok(dataset) => Ok(ImageDataset {
            train: dataset.train.truncated(n_train),
            test: dataset.test.truncated(n_test),
            ..dataset
        }),
        Err(error @ DataError::NotFound { .. }) if policy == DataPolicy::Auto => {
            let stand_in_reason = Some(error.to_string());
            Ok(ImageDataset { stand_in_reason, ..procedural_images(id, seed, n_train, n_test) })
        }
        Err(error) => Err(error),
    }
}

/// An unpacked file and the path that names it in messages.
pub(crate) struct Unpacked {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

fn read_found(entry: &DatasetEntry, found: &FoundFiles) -> Result<ImageDataset, DataError> {
    let [a, b, c, d] = entry.files();
    let [path_a, path_b, path_c, path_d] = &found.paths;
    let read = |path: &PathBuf, file: &FileEntry| {
        Ok(Unpacked { path: path.clone(), bytes: read_unpacked(path, file.bytes)? })
    };
    assemble(entry, [read(path_a, a)?, read(path_b, b)?, read(path_c, c)?, read(path_d, d)?])
}

/// Checks the four files, in the order of [`DatasetEntry::files`], and joins them.
pub(crate) fn assemble(entry: &DatasetEntry, files: [Unpacked; 4]) -> Result<ImageDataset, DataError> {
    let [train_images, train_labels, test_images, test_labels] = files;
    let mut records = Vec::with_capacity(4);
    let mut join = |images: Unpacked, labels: Unpacked, wanted: [&FileEntry; 2]| {
        let pixels = parse_idx_images(&images.path, &images.bytes)?;
        let classes = parse_idx_labels(&labels.path, &labels.bytes)?;
        let (n_images, n_labels) = (pixels.len() / IMAGE_LEN, classes.len());
        if n_images != n_labels {
            let (images_path, labels_path) = (images.path, labels.path);
            return Err(DataError::CountMismatch { images_path, n_images, labels_path, n_labels });
        }
        let classes = classes.to_vec();
        let header_len = images.bytes.len() - pixels.len();
        for (file, unpacked, count) in [(wanted[0], &images, n_images), (wanted[1], &labels, n_labels)] {
            records.push(check_official(entry, file, &unpacked.path, &unpacked.bytes, count)?);
        }
        let mut pixels = images.bytes;
        pixels.drain(..header_len); // in place: a copy would double the peak
        Ok(ImageSet::new(pixels, classes))
    };
    let train = join(train_images, train_labels, [&entry.train_images, &entry.train_labels])?;
    let test = join(test_images, test_labels, [&entry.test_images, &entry.test_labels])?;
    let (id, provenance) = (entry.id, Provenance::Real);
    Ok(ImageDataset { id, provenance, train, test, files: records, stand_in_reason: None })
}

/// One file on its own: parsed, counted and compared with the manifest.
pub(crate) fn check_file(
    entry: &DatasetEntry,
    file: &FileEntry,
    path: &Path,
    bytes: &[u8],
) -> Result<FileRecord, DataError> {
    let is_images = [&entry.train_images, &entry.test_images].iter().any(|images| images.name == file.name);
    let count = match is_images {
        true => parse_idx_images(path, bytes)?.len() / IMAGE_LEN,
        false => parse_idx_labels(path, bytes)?.len(),
    };
    check_official(entry, file, path, bytes, count)
}

fn check_official(
    entry: &DatasetEntry,
    file: &FileEntry,
    path: &Path,
    bytes: &[u8],
    count: usize,
) -> Result<FileRecord, DataError> {
    let path = path.to_owned();
    let found_count = u32::try_from(count).expect("the count was read from a 32-bit field");
    if found_count != file.count {
        return Err(DataError::Count { path, expected: file.count, found: found_count });
    }
    let found = sha256_hex(bytes);
    if found != file.sha256 {
        return Err(DataError::Checksum { path, expected: file.sha256.clone(), found });
    }
    Ok(FileRecord { name: format!("{}/{}", entry.id, file.name), sha256: found, bytes: bytes.len() as u64 })
}
