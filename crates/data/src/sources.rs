//! Where on this machine a data set is looked for, and in which order.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{DataError, Looked};
use crate::fetch::FetchEvent;
use crate::hub;
use crate::manifest::DatasetEntry;

/// Called with what a download does, possibly many times a second; must not block.
pub type FetchListener = Arc<dyn Fn(&FetchEvent) + Send + Sync>;

/// Where data sets are looked for.
///
/// With an explicit folder, only there. Otherwise in `$RAZOR_DATA`, then `datasets/raw` below the current folder, then
/// the Hugging Face hub's cache, and on the hub itself once [`allow_download`](Self::allow_download) was called.
#[derive(Clone)]
pub struct Sources {
    pub(crate) places: Vec<Place>,
    pub(crate) hub: hub::Settings,
    pub(crate) listener: Option<FetchListener>,
}

/// A data folder to look in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) given_by: GivenBy,
    pub(crate) path: PathBuf,
}

/// Who named a folder, which decides what is an error there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBy {
    /// `--data`: must be a folder and must hold the set.
    Option,
    /// `RAZOR_DATA`: must be a folder, but may hold other sets only.
    Variable,
    /// `datasets/raw`: may be absent.
    Default,
}

impl GivenBy {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Option => "--data",
            Self::Variable => "RAZOR_DATA",
            Self::Default => "the default folder",
        }
    }
}

impl Sources {
    /// Reads `RAZOR_DATA`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and, through `hf-hub`, `HF_HOME`, `HF_HUB_CACHE` and tokens.
    ///
    /// `data_dir` is the folder that the user named with `--data`. Nothing is opened yet.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        Self::from_lookup(data_dir, |name| env::var_os(name))
    }

    /// As [`new`](Self::new), with the environment given by a function, for tests and embedding.
    ///
    /// An empty variable counts as unset.
    pub fn from_lookup(data_dir: Option<PathBuf>, lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let (hub, listener) = (hub::Settings::from_lookup(variable), None);
        if let Some(path) = data_dir {
            let given_by = GivenBy::Option;
            return Self { places: vec![Place { given_by, path }], hub, listener };
        }
        let from_variable =
            variable("RAZOR_DATA").map(|path| Place { given_by: GivenBy::Variable, path: path.into() });
        let default = Place { given_by: GivenBy::Default, path: Path::new("datasets").join("raw") };
        Self { places: from_variable.into_iter().chain([default]).collect(), hub, listener }
    }

    /// Lets [`load_images`](crate::load_images) download what it finds nowhere, and says who is told.
    ///
    /// Without a listener nothing is ever downloaded. Has no effect on an explicit `--data` folder, nor when
    /// `HF_HUB_OFFLINE` is set.
    #[must_use]
    pub fn allow_download(mut self, listener: FetchListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The folder that a fetched data set is stored below.
    pub(crate) fn store_dir(&self) -> &Path {
        &self.places.last().expect("there is always a place: the explicit one or the default").path
    }
}

/// Files of a data set that lie together in one folder.
#[derive(Debug)]
pub(crate) struct FoundFiles {
    /// In the order of [`DatasetEntry::files`].
    pub(crate) paths: [PathBuf; 4],
    pub(crate) folder: PathBuf,
}

/// The outcome of a search in the folders.
#[derive(Debug)]
pub(crate) enum Located {
    Found(FoundFiles),
    Nowhere(Vec<Looked>),
}

/// Looks for the four files of a data set, without opening them.
///
/// # Errors
/// [`DataError::NotAFolder`], [`DataError::LacksSet`] or [`DataError::Incomplete`]: what the user pointed at is wrong, and
/// looking elsewhere would hide it.
pub(crate) fn locate(entry: &DatasetEntry, sources: &Sources) -> Result<Located, DataError> {
    let mut looked = Vec::new();
    for place in &sources.places {
        if let Some(found) = search_place(entry, place)? {
            return Ok(Located::Found(found));
        }
        let outcome = if place.path.is_dir() {
            format!("no {}", entry.folders.join(", no "))
        } else {
            "no such folder".to_owned()
        };
        looked
            .push(Looked { place: format!("{} ({})", place.path.display(), place.given_by.name()), outcome });
    }
    Ok(Located::Nowhere(looked))
}

fn search_place(entry: &DatasetEntry, place: &Place) -> Result<Option<FoundFiles>, DataError> {
    let (path, given_by) = (place.path.clone(), place.given_by.name());
    if place.given_by != GivenBy::Default && !path.is_dir() {
        return Err(DataError::NotAFolder { path, given_by, id: entry.id });
    }
    let mut incomplete = None;
    for folder in entry.folders.iter().map(|name| path.join(name)) {
        match search_folder(entry, folder) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => incomplete = incomplete.or(Some(error)),
        }
    }
    match (incomplete, place.given_by) {
        (Some(error), _) => Err(error),
        (None, GivenBy::Option) => {
            let expected = entry.folders.iter().map(|name| path.join(name).display().to_string()).collect();
            Err(DataError::LacksSet { path, given_by, id: entry.id, expected })
        }
        (None, GivenBy::Variable | GivenBy::Default) => Ok(None),
    }
}

fn search_folder(entry: &DatasetEntry, folder: PathBuf) -> Result<Option<FoundFiles>, DataError> {
    let files = entry.files();
    let paths = files.map(|file| {
        let candidates = file.name_variants().into_iter().map(|name| folder.join(name));
        candidates.into_iter().find(|path| path.is_file())
    });
    let missing: Vec<String> = (files.iter().zip(&paths))
        .filter(|(_, path)| path.is_none())
        .map(|(file, _)| file.name.clone())
        .collect();
    if missing.len() == files.len() {
        return Ok(None);
    }
    match paths {
        [Some(a), Some(b), Some(c), Some(d)] => Ok(Some(FoundFiles { paths: [a, b, c, d], folder })),
        _ => Err(DataError::Incomplete { path: folder, id: entry.id, missing }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::SmallSet;

    fn with_variable(dir: &Path) -> Sources {
        Sources::from_lookup(None, |name| (name == "RAZOR_DATA").then(|| dir.into()))
    }

    fn found_in(sources: &Sources) -> Option<PathBuf> {
        match locate(&SmallSet::new().entry, sources).unwrap() {
            Located::Found(found) => Some(found.folder),
            Located::Nowhere(_) => None,
        }
    }

    fn refusal(sources: &Sources) -> String {
        locate(&SmallSet::new().entry, sources).unwrap_err().to_string()
    }

    #[test]
    fn both_layouts_and_spellings_are_found() {
        for folder in ["mnist", "MNIST/raw"] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(folder);
            SmallSet::new().write(&folder);
            let dotted = folder.join("t10k-images.idx3-ubyte");
            fs::rename(folder.join("t10k-images-idx3-ubyte"), dotted).unwrap();
            assert_eq!(found_in(&with_variable(dir.path())), Some(folder.clone()));
            assert_eq!(found_in(&Sources::new(Some(dir.path().to_owned()))), Some(folder));
        }
    }

    #[test]
    fn a_folder_that_was_named_must_be_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let message = refusal(&Sources::new(Some(file.clone())));
        assert!(message.contains("--data is") && message.contains("which is not a folder"), "{message}");
        let message = refusal(&with_variable(&file));
        assert!(message.contains("RAZOR_DATA is") && message.contains("which is not a folder"), "{message}");
    }

    #[test]
    fn an_explicit_folder_without_the_set_is_an_error_but_a_variable_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let message = refusal(&Sources::new(Some(dir.path().to_owned())));
        assert!(message.contains("does not hold mnist") && message.contains("MNIST/raw"), "{message}");
        let sources = with_variable(dir.path());
        let Located::Nowhere(looked) = locate(&SmallSet::new().entry, &sources).unwrap() else {
            panic!("an empty folder holds no data set");
        };
        assert_eq!((looked.len(), looked[0].outcome.as_str()), (2, "no mnist, no MNIST/raw"));
    }

    #[test]
    fn an_incomplete_set_names_the_missing_files() {
        let dir = tempfile::tempdir().unwrap();
        SmallSet::new().write(&dir.path().join("mnist"));
        fs::remove_file(dir.path().join("mnist/train-labels-idx1-ubyte")).unwrap();
        let message = refusal(&with_variable(dir.path()));
        assert!(message.contains("mnist is incomplete, missing train-labels-idx1-ubyte"), "{message}");
    }

    #[test]
    fn an_explicit_folder_is_the_only_place() {
        let sources = Sources::from_lookup(Some("given".into()), |_| Some("set".into()));
        assert_eq!(sources.places, [Place { given_by: GivenBy::Option, path: "given".into() }]);
        let unset = Sources::from_lookup(None, |_| Some(OsString::new()));
        assert_eq!(unset.places.len(), 1, "an empty variable counts as unset");
    }
}
