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
    load_entry(Manifest::embedded().entry(id), sources)
}

pub(crate) fn load_entry(entry: &DatasetEntry, sources: &Sources) -> Result<ImageDataset, DataError> {
    let mut looked = match locate(entry, sources)? {
        Located::Found(found) => return read_found(entry, &found),
        Located::Nowhere(looked) => looked,
    };
    // An explicit folder without the set was refused above, so the hub may be asked.
    if let Some(files) = hub::cached(entry, &sources.hub)? {
        return assemble(entry, files);
    }
    let outcome = match &sources.listener {
        None => hub::NOT_DOWNLOADED.to_owned(),
        Some(listener) => match hub::download(entry, &sources.hub, listener) {
            Ok(files) => {
                fetch::store(entry, sources.store_dir(), &files, listener)?;
                return assemble(entry, files);
            }
            Err(DataError::Hub { reason, .. }) => reason,
            Err(error) => return Err(error),
        },
    };
    looked.push(Looked { place: sources.hub.describe(), outcome });
    Err(DataError::NotFound { id: entry.id, looked })
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use tempfile::TempDir;

    use super::*;
    use crate::testing::{SmallSet, TEST_LABELS, TRAIN_LABELS};

    /// An explicit data folder that holds the small set.
    fn stored() -> (SmallSet, TempDir, Sources) {
        let (set, dir) = (SmallSet::new(), tempfile::tempdir().unwrap());
        set.write(&dir.path().join("mnist"));
        let sources = Sources::new(Some(dir.path().to_owned()));
        (set, dir, sources)
    }

    /// The message that loading ends with after `damage` to the file number `file`.
    fn refusal(file: usize, damage: impl Fn(&mut Vec<u8>)) -> String {
        let (mut set, dir, sources) = stored();
        damage(&mut set.files[file]);
        set.write(&dir.path().join("mnist"));
        load_entry(&set.entry, &sources).unwrap_err().to_string()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_files_load_alike() {
        let (set, dir, sources) = stored();
        let plain = load_entry(&set.entry, &sources).unwrap();
        assert_eq!((plain.train.labels(), plain.test.labels()), (&TRAIN_LABELS[..], &TEST_LABELS[..]));
        assert_eq!(plain.train.images(), &set.files[0][16..]);
        assert_eq!((plain.provenance, plain.files.len()), (Provenance::Real, 4));
        assert_eq!(plain.files[1].name, "mnist/train-labels-idx1-ubyte");

        for (file, bytes) in set.entry.files().into_iter().zip(&set.files) {
            fs::remove_file(dir.path().join("mnist").join(&file.name)).unwrap();
            fs::write(dir.path().join(format!("mnist/{}.gz", file.name)), gzip(bytes)).unwrap();
        }
        assert_eq!(load_entry(&set.entry, &sources).unwrap(), plain);
    }

    #[test]
    fn each_damage_is_told_apart() {
        let refusals = [
            (
                refusal(0, |bytes| bytes.truncate(1000)),
                "images-idx3-ubyte: truncated, the header's count of 3",
            ),
            (refusal(0, |bytes| *bytes = gzip(bytes)[..200].to_vec()), "the gzip stream ends early"),
            (refusal(0, |bytes| bytes[500] ^= 1), "expected SHA-256"),
            (refusal(0, |bytes| bytes.push(0)), "expected 2368 unpacked bytes, found more"),
            (refusal(0, |bytes| bytes[3] = 1), "expected magic number 2051 (images), found 2049"),
            (refusal(1, |bytes| bytes[9] = 10), "train-labels-idx1-ubyte: label 1 is 10"),
            (
                refusal(1, |bytes| {
                    bytes[7] = 2;
                    bytes.pop();
                }),
                "has 3 images but",
            ),
            (refusal(3, |bytes| bytes[7] = 1), "t10k-labels-idx1-ubyte: trailing bytes"),
        ];
        for (message, expected) in refusals {
            assert!(message.contains(expected), "expected `{expected}` in `{message}`");
        }
    }

    #[test]
    fn a_sound_file_of_another_size_is_refused() {
        let (set, _dir, sources) = stored();
        let mut entry = set.entry;
        (entry.train_images.count, entry.train_labels.count) = (4, 4);
        (entry.train_images.bytes, entry.train_labels.bytes) = (16 + 4 * 784, 8 + 4);
        let message = load_entry(&entry, &sources).unwrap_err().to_string();
        assert!(message.contains("expected 4 items, the header says 3"), "{message}");
    }

    /// Sources that find nothing and may not use the network.
    fn nothing(dir: &TempDir) -> Sources {
        let home = OsString::from(dir.path());
        Sources::from_lookup(None, |name| match name {
            "RAZOR_DATA" | "HF_HOME" => Some(home.clone()),
            "HF_HUB_OFFLINE" => Some("1".into()),
            _ => None,
        })
    }

    #[test]
    fn auto_draws_stand_ins_and_keeps_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let load = |policy| load_or_generate(DatasetId::Mnist, &nothing(&dir), policy, Seed::new(1), 5, 3);
        let dataset = load(DataPolicy::Auto).unwrap();
        assert_eq!((dataset.provenance, dataset.train.len()), (Provenance::Procedural, 5));
        let reason = dataset.stand_in_reason.unwrap();
        for part in ["RAZOR_DATA", "datasets", "the Hugging Face hub", "razor data fetch mnist"] {
            assert!(reason.contains(part), "expected `{part}` in `{reason}`");
        }
        let error = load(DataPolicy::RealOnly).unwrap_err();
        assert!(matches!(error, DataError::NotFound { looked, .. } if looked.len() == 3));
    }

    #[test]
    fn auto_never_hides_wrong_files() {
        let dir = tempfile::tempdir().unwrap();
        let load = |policy, data: &Path| {
            let sources = Sources::new(Some(data.to_owned()));
            load_or_generate(DatasetId::Mnist, &sources, policy, Seed::new(1), 5, 3)
        };
        let absent = dir.path().join("absent");
        assert!(matches!(load(DataPolicy::Auto, &absent), Err(DataError::NotAFolder { .. })));
        assert!(matches!(load(DataPolicy::Auto, dir.path()), Err(DataError::LacksSet { .. })));
        SmallSet::new().write(&dir.path().join("mnist"));
        assert!(matches!(load(DataPolicy::Auto, dir.path()), Err(DataError::Count { .. })));
        assert!(load(DataPolicy::ProceduralOnly, dir.path()).is_ok());
    }
}
