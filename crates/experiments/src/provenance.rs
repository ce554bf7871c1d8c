//! Where the files that a study read come from.

use razor_data::{DatasetId, Manifest};
use razor_report::DataFile;

/// A file with what the manifest of data sets knows of its bytes.
pub(crate) fn described(name: &str, sha256: &str) -> DataFile {
    let mut entries = DatasetId::ALL.into_iter().map(|id| Manifest::embedded().entry(id));
    let entry = entries.find(|entry| entry.files().iter().any(|known| known.sha256 == sha256));
    DataFile {
        name: name.to_owned(),
        source: entry.map_or_else(String::new, |entry| entry.source.clone()),
        licence: entry.map_or_else(String::new, |entry| entry.licence.clone()),
        sha256: sha256.to_owned(),
    }
}
