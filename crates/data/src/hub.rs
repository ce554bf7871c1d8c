//! The Hugging Face hub: its cache on this machine, and downloads that are told to a listener.

use std::path::PathBuf;

use hf_hub::split_id;
pub(crate) use razor_core::HubSettings as Settings;

use crate::error::DataError;
use crate::fetch::FetchEvent;
use crate::hub_parquet::read_split;
use crate::load::{Unpacked, check_file};
use crate::manifest::DatasetEntry;
use crate::sources::FetchListener;

pub(crate) const NOT_DOWNLOADED: &str = "not in the cache, and no download was asked for";

/// The checked files of a data set that lies in the hub's cache; `None` when it does not. Never uses the network.
pub(crate) fn cached(entry: &DatasetEntry, settings: &Settings) -> Result<Option<[Unpacked; 4]>, DataError> {
    let client = settings.client().map_err(|reason| DataError::Hub { id: entry.id, reason })?;
    let (owner, name) = split_id(&entry.hub.repository);
    let repository = client.dataset(owner, name);
    let local = |file: &str| {
        let request = repository.download_file().filename(file).revision(&entry.hub.revision);
        request.local_files_only(true).send().ok()
    };
    match (local(&entry.hub.train), local(&entry.hub.test)) {
        (Some(train), Some(test)) => unpack(entry, train, test).map(Some),
        _ => Ok(None),
    }
}

/// Downloads a data set through the hub's cache and checks it.
///
/// # Errors
/// [`DataError::Hub`] within seconds when the hub does not answer or `HF_HUB_OFFLINE` is set.
pub(crate) fn download(
    entry: &DatasetEntry,
    settings: &Settings,
    listener: &FetchListener,
) -> Result<[Unpacked; 4], DataError> {
    if settings.offline {
        let reason = "HF_HUB_OFFLINE forbids downloads".to_owned();
        return Err(DataError::Hub { id: entry.id, reason });
    }
    let hub = &entry.hub;
    let from = format!("{}/datasets/{} at {}", settings.endpoint, hub.repository, hub.revision);
    listener(&FetchEvent::Started { id: entry.id, from });
    let both = |force: bool| -> Result<[Unpacked; 4], DataError> {
        let train = download_file(entry, settings, &hub.train, force, listener)?;
        let test = download_file(entry, settings, &hub.test, force, listener)?;
        unpack(entry, train, test)
    };
    match both(false) {
        // A damaged file of an earlier download may lie in the cache; once more, around it.
        Err(error) if !matches!(error, DataError::Hub { .. }) => both(true),
        outcome => outcome,
    }
}

fn download_file(
    entry: &DatasetEntry,
    settings: &Settings,
    file: &str,
    force: bool,
    listener: &FetchListener,
) -> Result<PathBuf, DataError> {
    let failed = |reason| DataError::Hub { id: entry.id, reason };
    let client = settings.client().map_err(failed)?;
    let (owner, name) = split_id(&entry.hub.repository);
    let repository = client.dataset(owner, name);
    let (filename, revision) = (file.to_owned(), entry.hub.revision.clone());
    let send = move |progress| {
        let request = repository.download_file().filename(filename).revision(revision);
        request.force_download(force).progress(progress).send()
    };
    let outcome = settings.download(send, |done, total| {
        listener(&FetchEvent::Progress { file: file.to_owned(), done, total });
    });
    let found = outcome.map_err(|reason| failed(format!("{file}: {reason}")))?;
    found.ok_or_else(|| failed(format!("{file}: the hub does not have it")))
}

/// Rebuilds the four IDX files from the two Parquet files and compares them with the manifest.
fn unpack(entry: &DatasetEntry, train: PathBuf, test: PathBuf) -> Result<[Unpacked; 4], DataError> {
    let (train_images, train_labels) = read_split(&train, entry.train_images.count)?;
    let (test_images, test_labels) = read_split(&test, entry.test_images.count)?;
    let files = [
        Unpacked { path: train.clone(), bytes: train_images },
        Unpacked { path: train, bytes: train_labels },
        Unpacked { path: test.clone(), bytes: test_images },
        Unpacked { path: test, bytes: test_labels },
    ];
    for (file, unpacked) in entry.files().into_iter().zip(&files) {
        check_file(entry, file, &unpacked.path, &unpacked.bytes)?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use tempfile::TempDir;

    use super::*;
    use crate::fetch::store;
    use crate::testing::{HubStub, SmallSet};

    const TRAIN: &[u8] = include_bytes!("../tests/fixtures/train.parquet");
    const TEST: &[u8] = include_bytes!("../tests/fixtures/test.parquet");

    fn settings(endpoint: &str, home: &TempDir) -> Settings {
        let lookup = |name: &str| match name {
            "HF_ENDPOINT" => Some(OsString::from(endpoint)),
            "HF_HOME" => Some(home.path().into()),
            _ => None,
        };
        Settings { answer_within: Duration::from_millis(700), ..Settings::from_lookup(lookup) }
    }

    fn listener() -> (FetchListener, Arc<Mutex<Vec<FetchEvent>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        (Arc::new(move |event: &FetchEvent| log.lock().unwrap().push(event.clone())), events)
    }

    fn reason(outcome: Result<[Unpacked; 4], DataError>) -> String {
        outcome.err().expect("the download fails").to_string()
    }

    #[test]
    fn a_download_is_reported_checked_stored_and_cached() {
        let (set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let stub = HubStub::serve(vec![("train", TRAIN), ("test", TEST)]);
        let settings = settings(&stub.endpoint, &home);
        assert!(cached(&set.entry, &settings).unwrap().is_none());
        assert!(stub.requests().is_empty(), "looking into the cache asks nobody");

        let (listener, events) = listener();
        let files = download(&set.entry, &settings, &listener).unwrap();
        let folder = store(&set.entry, home.path(), &files, &listener).unwrap();
        for (file, bytes) in set.entry.files().into_iter().zip(&set.files) {
            assert_eq!(&std::fs::read(folder.join(&file.name)).unwrap(), bytes);
        }
        let events = events.lock().unwrap();
        assert!(
            matches!(&events[0], FetchEvent::Started { from, .. } if from.contains("ylecun/mnist at main"))
        );
        let all = TRAIN.len() as u64;
        assert!(
            events.iter().any(|event| matches!(event, FetchEvent::Progress { done, .. } if *done == all))
        );
        assert_eq!(events.last(), Some(&FetchEvent::Stored { folder }));

        let n_requests = stub.requests().len();
        let again = cached(&set.entry, &Settings { offline: true, ..settings }).unwrap().unwrap();
        assert_eq!(again[0].bytes, set.files[0]);
        assert_eq!(stub.requests().len(), n_requests);
    }

    #[test]
    fn offline_asks_nobody() {
        let (set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let stub = HubStub::serve(vec![]);
        let lookup = |name: &str| (name == "HF_HUB_OFFLINE").then(|| OsString::from("1"));
        let offline = Settings { endpoint: stub.endpoint.clone(), ..Settings::from_lookup(lookup) };
        let offline = Settings { cache_dir: Some(home.path().into()), ..offline };
        let (listener, events) = listener();
        assert!(reason(download(&set.entry, &offline, &listener)).contains("HF_HUB_OFFLINE forbids"));
        assert!(stub.requests().is_empty() && events.lock().unwrap().is_empty());
    }

    #[test]
    fn without_a_network_the_answer_comes_soon() {
        let (set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); // accepts, never answers
        let silent_endpoint = format!("http://{}", silent.local_addr().unwrap());
        let started = Instant::now();
        let message = reason(download(&set.entry, &settings(&silent_endpoint, &home), &listener().0));
        assert!(message.contains("sent nothing for 0.7 s"), "{message}");
        let message = reason(download(&set.entry, &settings("http://127.0.0.1:1", &home), &listener().0));
        assert!(message.contains("train-00000-of-00001.parquet: "), "{message}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed()); // 2 x 0.7 s and slack
    }

    #[test]
    fn a_missing_file_names_the_file() {
        let (set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let stub = HubStub::serve(vec![("train", TRAIN)]);
        let message = reason(download(&set.entry, &settings(&stub.endpoint, &home), &listener().0));
        assert!(message.contains("cannot fetch mnist") && message.contains("test-00000-of"), "{message}");
    }

    #[test]
    fn a_damaged_file_in_the_cache_is_fetched_again() {
        let (set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        let damaged = HubStub::serve(vec![("train", &TRAIN[..900]), ("test", TEST)]);
        let outcome = download(&set.entry, &settings(&damaged.endpoint, &home), &listener().0);
        assert!(matches!(outcome, Err(DataError::Parquet { .. })));
        assert!(cached(&set.entry, &settings(&damaged.endpoint, &home)).is_err(), "wrong is not missing");
        let sound = HubStub::serve(vec![("train", TRAIN), ("test", TEST)]);
        let files = download(&set.entry, &settings(&sound.endpoint, &home), &listener().0).unwrap();
        assert_eq!(files[0].bytes, set.files[0]);
    }

    #[test]
    fn other_content_than_the_manifest_s_is_refused() {
        let (mut set, home) = (SmallSet::new(), tempfile::tempdir().unwrap());
        set.entry.test_labels.sha256 = "0".repeat(64);
        let stub = HubStub::serve(vec![("train", TRAIN), ("test", TEST)]);
        let outcome = download(&set.entry, &settings(&stub.endpoint, &home), &listener().0);
        assert!(matches!(outcome, Err(DataError::Checksum { .. })));
    }
}
