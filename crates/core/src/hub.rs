//! The Hugging Face hub: where it is, where its cache is, and downloads that give up in time.
//!
//! `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HUB_CACHE` and `HF_HOME` are read here; the default cache and tokens
//! (`HF_TOKEN`, or the file that `hf auth login` leaves) are `hf-hub`'s business.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::{HFClient, HFClientSync, HFError};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How to reach the hub.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Address without a slash at the end.
    pub endpoint: String,
    /// `None`: `hf-hub`'s default below the home folder.
    pub cache_dir: Option<PathBuf>,
    /// Whether the environment forbids downloads.
    pub offline: bool,
    /// Time for the first answer; without a network a run should go on or stop, not wait.
    pub answer_within: Duration,
    /// Time without a byte after which a download is given up.
    pub stalled_after: Duration,
}

impl HubSettings {
    /// From environment variables, which `lookup` knows.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| lookup(name).and_then(|value| value.into_string().ok());
        let offline = text("HF_HUB_OFFLINE").map(|value| value.to_ascii_lowercase());
        let cache = lookup("HF_HUB_CACHE").or_else(|| lookup("HUGGINGFACE_HUB_CACHE")).map(PathBuf::from);
        let home = || lookup("HF_HOME").map(|home| PathBuf::from(home).join("hub"));
        Self {
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            cache_dir: cache.or_else(home),
            offline: offline.is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.as_str())),
            answer_within: Duration::from_secs(5),
            stalled_after: Duration::from_secs(60),
        }
    }

    /// The hub as a place for a person.
    pub fn describe(&self) -> String {
        format!("the Hugging Face hub ({})", self.endpoint)
    }

    /// A client with these settings.
    ///
    /// # Errors
    /// What is wrong with them, in the hub library's words.
    pub fn client(&self) -> Result<HFClientSync, String> {
        // One retry: a machine without a network must not spend half a minute on finding out.
        let builder = HFClient::builder().endpoint(&self.endpoint).retry_max_attempts(1);
        let client = match &self.cache_dir {
            Some(dir) => builder.cache_dir(dir),
            None => builder,
        };
        client.build_sync().map_err(|error| root_cause(&error))
    }

    /// Runs a download on a thread of its own, because `hf-hub` has no time limits; `None` when the hub does not have
    /// the file. `send` hands the progress handler to its request and sends it; `on_progress` hears bytes done and in all.
    ///
    /// # Errors
    /// Why there is no file, for a person.
    pub fn download(
        &self,
        send: impl FnOnce(HubProgress) -> Result<PathBuf, HFError> + Send + 'static,
        on_progress: impl FnMut(u64, u64),
    ) -> Result<Option<PathBuf>, String> {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let outcome = send(HubProgress(sender.clone()));
            let _ = sender.send(Message::Finished(outcome)); // nobody listens any more after a time-out
        });
        self.wait_for(&receiver, on_progress)
    }

    fn wait_for(
        &self,
        receiver: &Receiver<Message>,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Option<PathBuf>, String> {
        let mut limit = self.answer_within;
        loop {
            match receiver.recv_timeout(limit) {
                Ok(Message::Progress { done, total }) => on_progress(done, total),
                Ok(Message::Finished(Ok(path))) => return Ok(Some(path)),
                Ok(Message::Finished(Err(HFError::EntryNotFound { .. }))) => return Ok(None),
                Ok(Message::Finished(Err(error))) => return Err(root_cause(&error)),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} sent nothing for {} s", self.endpoint, limit.as_secs_f32()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("the download ended without a result".to_owned());
                }
            }
            limit = self.stalled_after;
        }
    }
}

/// What the thread that downloads has to say.
enum Message {
    Progress { done: u64, total: u64 },
    Finished(Result<PathBuf, HFError>),
}

/// Passes `hf-hub`'s events on; a callback of its own must not block.
pub struct HubProgress(Sender<Message>);

impl ProgressHandler for HubProgress {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        let (done, total) = match event {
            DownloadEvent::Start { total_bytes, .. } => (0, *total_bytes),
            DownloadEvent::Progress { files } => {
                let Some(file) = files.last() else { return };
                (file.bytes_completed, file.total_bytes)
            }
            DownloadEvent::AggregateProgress { bytes_completed, total_bytes, .. } => {
                (*bytes_completed, *total_bytes)
            }
            _ => return,
        };
        let _ = self.0.send(Message::Progress { done, total }); // as above
    }
}

/// What lies at the bottom of an error: "error sending request" does not say that there is no network.
fn root_cause(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}
