//! Models of the Hugging Face hub: its cache on this machine, and downloads into it.

use std::path::{Path, PathBuf};

pub(crate) use razor_core::HubSettings as Settings;

use crate::checkpoint::{COMPANIONS, INDEX_FILE, MODEL_FILE, WeightFiles, read_index, weight_files};
use crate::error::ModelError;
use crate::model_hub::Repository;

/// The folder of a snapshot that holds a whole model.
///
/// # Errors
/// As of [`resolve_model`](crate::resolve_model).
pub(crate) fn fetch(
    settings: &Settings,
    repository: &Repository<'_>,
    offline: bool,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<PathBuf, ModelError> {
    let source = Source { settings, repository, progress };
    let is_commit =
        repository.revision.len() == 40 && repository.revision.bytes().all(|b| b.is_ascii_hexdigit());
    if offline || settings.offline || is_commit {
        match source.cached()? {
            Some(folder) => return Ok(folder),
            None if offline || settings.offline => {
                return Err(source.failed("it is not whole in the cache, and downloads are forbidden"));
            }
            None => {}
        }
    }
    source.download()
}

struct Source<'a> {
    settings: &'a Settings,
    repository: &'a Repository<'a>,
    progress: &'a dyn Fn(&str, u64, u64),
}

impl Source<'_> {
    /// The snapshot in the cache when all its weights are there. Never uses the network.
    fn cached(&self) -> Result<Option<PathBuf>, ModelError> {
        let client = self.settings.client().map_err(|reason| self.failed(reason))?;
        let Repository { owner, name, revision } = *self.repository;
        let repository = client.model(owner, name);
        let request = repository.download_file().filename("config.json").revision(revision);
        let Ok(config) = request.local_files_only(true).send() else { return Ok(None) };
        let folder = folder_of(&config);
        Ok(is_whole(&folder)?.then_some(folder))
    }

    fn download(&self) -> Result<PathBuf, ModelError> {
        let config = self.required("config.json", self.repository.revision)?;
        let folder = folder_of(&config);
        // Weights come last: when they are there, so is the rest.
        if is_whole(&folder)? {
            return Ok(folder);
        }
        let commit =
            folder.file_name().and_then(|name| name.to_str()).unwrap_or(self.repository.revision).to_owned();
        for name in COMPANIONS {
            self.file(name, &commit)?;
        }
        match self.file(INDEX_FILE, &commit)? {
            None => drop(self.required(MODEL_FILE, &commit)?),
            Some(index) => {
                let mut shards: Vec<String> = read_index(&index)?.into_iter().map(|(_, file)| file).collect();
                shards.sort_unstable();
                shards.dedup();
                for shard in shards {
                    self.required(&shard, &commit)?;
                }
            }
        }
        Ok(folder)
    }

    fn required(&self, file: &str, revision: &str) -> Result<PathBuf, ModelError> {
        self.file(file, revision)?.ok_or_else(|| self.failed(format!("{file}: the hub does not have it")))
    }

    /// One file; `None` when the hub does not have it.
    fn file(&self, file: &str, revision: &str) -> Result<Option<PathBuf>, ModelError> {
        let client = self.settings.client().map_err(|reason| self.failed(reason))?;
        let repository = client.model(self.repository.owner, self.repository.name);
        let (filename, revision) = (file.to_owned(), revision.to_owned());
        let send = move |progress| {
            repository.download_file().filename(filename).revision(revision).progress(progress).send()
        };
        let outcome = self.settings.download(send, |done, total| (self.progress)(file, done, total));
        outcome.map_err(|reason| self.failed(format!("{file}: {reason}")))
    }

    fn failed(&self, reason: impl Into<String>) -> ModelError {
        let Repository { owner, name, revision } = *self.repository;
        ModelError::Hub { name: format!("{owner}/{name} at {revision}"), reason: reason.into() }
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// Whether a snapshot holds all its weights.
fn is_whole(folder: &Path) -> Result<bool, ModelError> {
    if !folder.join(MODEL_FILE).is_file() && !folder.join(INDEX_FILE).is_file() {
        return Ok(false);
    }
    match weight_files(folder)? {
        WeightFiles::Single(_) => Ok(true),
        WeightFiles::Sharded(map) => Ok(map.iter().all(|(_, file)| folder.join(file).is_file())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ffi::OsString;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::{Duration, Instant};

    use tempfile::TempDir;

    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const INDEX: &str = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;

    /// A hub on this machine with one model.
    struct HubStub {
        endpoint: String,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl HubStub {
        /// Serves these files of `org/name` at `main` and at the commit; anything else is 404.
        fn serve(files: Vec<(&'static str, &'static str)>) -> Self {
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", server.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&requests);
            thread::spawn(move || {
                for mut stream in server.incoming().map_while(Result::ok) {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    let request = lines.next().unwrap_or_default();
                    let _ = lines.find(String::is_empty); // the end of the headers
                    let asked = |revision: &str, file: &str| {
                        request.contains(&format!(" /org/name/resolve/{revision}/{file} "))
                    };
                    let found = files.iter().find(|(file, _)| asked("main", file) || asked(COMMIT, file));
                    let (status, name, body) = match found {
                        Some((name, body)) => ("200 OK", *name, *body),
                        None => ("404 Not Found", "none", ""),
                    };
                    log.lock().unwrap().push(request.clone());
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"{name}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
                         Connection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(head.as_bytes()); // a client may hang up
                    if request.starts_with("GET") {
                        let _ = stream.write_all(body.as_bytes());
                    }
                }
            });
            Self { endpoint, requests }
        }

        fn n_requests(&self) -> usize {
            self.requests.lock().unwrap().len()
        }
    }

    fn settings(endpoint: &str, home: &TempDir) -> Settings {
        let lookup = |name: &str| match name {
            "HF_ENDPOINT" => Some(OsString::from(endpoint)),
            "HF_HOME" => Some(home.path().into()),
            _ => None,
        };
        Settings { answer_within: Duration::from_millis(700), ..Settings::from_lookup(lookup) }
    }

    fn at<'a>(revision: &'a str) -> Repository<'a> {
        Repository { owner: "org", name: "name", revision }
    }

    fn quietly(settings: &Settings, revision: &str, offline: bool) -> Result<PathBuf, ModelError> {
        fetch(settings, &at(revision), offline, &|_, _, _| {})
    }

    #[test]
    fn a_model_is_fetched_once_from_one_commit() {
        let home = tempfile::tempdir().unwrap();
        let stub =
            HubStub::serve(vec![("config.json", "{}"), ("tokenizer.json", "[]"), (MODEL_FILE, "weights")]);
        let settings = settings(&stub.endpoint, &home);
        let told = RefCell::new(Vec::new());
        let note = |file: &str, done: u64, total: u64| told.borrow_mut().push((file.to_owned(), done, total));
        let folder = fetch(&settings, &at("main"), false, &note).unwrap();
        assert!(folder.ends_with(COMMIT));
        assert_eq!(std::fs::read(folder.join("tokenizer.json")).unwrap(), b"[]");
        assert_eq!(std::fs::read(folder.join(MODEL_FILE)).unwrap(), b"weights");
        assert!(told.borrow().contains(&(MODEL_FILE.to_owned(), 7, 7)));
        let requests = stub.requests.lock().unwrap().clone();
        let floating = |request: &&String| request.contains("/main/") && !request.contains("config.json");
        assert_eq!(requests.iter().find(floating), None, "only the config follows the branch");

        let n_requests = stub.n_requests();
        assert_eq!(quietly(&settings, "main", true).unwrap(), folder);
        assert_eq!(quietly(&settings, COMMIT, false).unwrap(), folder);
        assert_eq!(stub.n_requests(), n_requests, "the cache answers");
        assert_eq!(quietly(&settings, "main", false).unwrap(), folder);
        assert_eq!(stub.n_requests(), n_requests + 1, "where the branch points now");
    }

    #[test]
    fn shards_are_fetched_and_an_interrupted_download_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let half = vec![("config.json", "{}"), (INDEX_FILE, INDEX), ("model-1.safetensors", "one")];
        let all = [half.clone(), vec![("model-2.safetensors", "two")]].concat();
        let stub = HubStub::serve(half);
        let message = quietly(&settings(&stub.endpoint, &home), "main", false).unwrap_err().to_string();
        assert!(message.contains("org/name at main") && message.contains("model-2.safetensors"), "{message}");
        let message = quietly(&settings(&stub.endpoint, &home), "main", true).unwrap_err().to_string();
        assert!(message.contains("not whole in the cache"), "{message}");

        let stub = HubStub::serve(all);
        let folder = quietly(&settings(&stub.endpoint, &home), "main", false).unwrap();
        assert_eq!(std::fs::read(folder.join("model-2.safetensors")).unwrap(), b"two");
        let requests = stub.requests.lock().unwrap().clone();
        assert!(!requests.iter().any(|request| request.contains("model-1")), "that shard was there");
    }

    #[test]
    fn an_index_that_points_outside_fetches_nothing_there() {
        let home = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map": {"a": "../../secret.safetensors"}}"#;
        let stub = HubStub::serve(vec![("config.json", "{}"), (INDEX_FILE, index)]);
        let outcome = quietly(&settings(&stub.endpoint, &home), "main", false);
        assert!(matches!(outcome, Err(ModelError::Layout { .. })));
        assert!(!stub.requests.lock().unwrap().iter().any(|request| request.contains("secret")));
    }

    #[test]
    fn offline_asks_nobody() {
        let home = tempfile::tempdir().unwrap();
        let stub = HubStub::serve(vec![]);
        let settings = settings(&stub.endpoint, &home);
        assert!(
            quietly(&settings, "main", true).unwrap_err().to_string().contains("downloads are forbidden")
        );
        let forbidden = Settings { offline: true, ..settings };
        assert!(
            quietly(&forbidden, "main", false).unwrap_err().to_string().contains("downloads are forbidden")
        );
        assert_eq!(stub.n_requests(), 0);
    }

    #[test]
    fn a_missing_model_and_a_silent_hub_are_told_soon() {
        let home = tempfile::tempdir().unwrap();
        let stub = HubStub::serve(vec![]);
        let message = quietly(&settings(&stub.endpoint, &home), "main", false).unwrap_err().to_string();
        assert!(message.contains("org/name at main: config.json"), "{message}");

        let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts, never answers
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let started = Instant::now();
        let message = quietly(&settings(&endpoint, &home), "main", false).unwrap_err().to_string();
        assert!(message.contains("sent nothing for 0.7 s"), "{message}");
        let message = quietly(&settings("http://127.0.0.1:1", &home), "main", false).unwrap_err().to_string();
        assert!(message.contains("config.json: "), "{message}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed()); // 0.7 s, a retry and slack
    }
}
