//! A data set of five images, for tests of everything that looks for, reads, stores or sends files.

use std::fs;
use std::path::Path;

use crate::idx::{encode_idx_images, encode_idx_labels};
use crate::image_set::IMAGE_LEN;
use crate::manifest::{DatasetEntry, FileEntry, Manifest};
use crate::unpack::sha256_hex;

/// An entry like MNIST's but for its size, and the official bytes of its files.
pub(crate) struct SmallSet {
    pub(crate) entry: DatasetEntry,
    /// In the order of [`DatasetEntry::files`].
    pub(crate) files: [Vec<u8>; 4],
}

/// Labels of the two splits.
pub(crate) const TRAIN_LABELS: [u8; 3] = [5, 0, 9];
pub(crate) const TEST_LABELS: [u8; 2] = [7, 2];

/// Pixel `pixel` of the image with this label; `tests/fixtures/make_parquet.py` has the same formula.
fn pixel(label: u8, pixel: usize) -> u8 {
    ((pixel * (usize::from(label) + 3)) % 256) as u8
}

impl SmallSet {
    pub(crate) fn new() -> Self {
        let pixels = |labels: &[u8]| -> Vec<u8> {
            labels.iter().flat_map(|&label| (0..IMAGE_LEN).map(move |idx| pixel(label, idx))).collect()
        };
        let files = [
            encode_idx_images(&pixels(&TRAIN_LABELS)),
            encode_idx_labels(&TRAIN_LABELS),
            encode_idx_images(&pixels(&TEST_LABELS)),
            encode_idx_labels(&TEST_LABELS),
        ];
        let mut entry = Manifest::parse().datasets.remove(0);
        let (n_train, n_test) = (TRAIN_LABELS.len() as u32, TEST_LABELS.len() as u32);
        let resized = |file: &mut FileEntry, count, bytes: &[u8]| {
            (file.count, file.bytes, file.sha256) = (count, bytes.len() as u64, sha256_hex(bytes));
        };
        resized(&mut entry.train_images, n_train, &files[0]);
        resized(&mut entry.train_labels, n_train, &files[1]);
        resized(&mut entry.test_images, n_test, &files[2]);
        resized(&mut entry.test_labels, n_test, &files[3]);
        Self { entry, files }
    }

    /// Writes the files under their plain names.
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (file, bytes) in self.entry.files().into_iter().zip(&self.files) {
            fs::write(folder.join(&file.name), bytes).unwrap();
        }
    }
}

/// A hub on this machine that serves MNIST's two Parquet files to any number of clients.
#[cfg(feature = "hub")]
pub(crate) struct HubStub {
    pub(crate) endpoint: String,
    requests: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

#[cfg(feature = "hub")]
impl HubStub {
    /// Serves the given splits; anything else is 404. The thread ends with the test's process.
    pub(crate) fn serve(splits: Vec<(&'static str, &'static [u8])>) -> Self {
        use std::io::{BufRead, BufReader, Write};

        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", server.local_addr().unwrap());
        let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in server.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let _ = lines.find(String::is_empty); // the end of the headers
                let file = |split: &str| {
                    format!(" /datasets/ylecun/mnist/resolve/main/mnist/{split}-00000-of-00001.parquet ")
                };
                let found = splits.iter().find(|(split, _)| request.contains(&file(split)));
                let (status, split, body) = match found {
                    Some((split, body)) => ("200 OK", *split, *body),
                    None => ("404 Not Found", "none", &b""[..]),
                };
                log.lock().unwrap().push(request.clone());
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"{split}\"\r\nX-Repo-Commit: {}\r\n\
                     Connection: close\r\n\r\n",
                    body.len(),
                    "0123456789".repeat(4)
                );
                let _ = stream.write_all(head.as_bytes()); // a client may hang up
                if request.starts_with("GET") {
                    let _ = stream.write_all(body);
                }
            }
        });
        Self { endpoint, requests }
    }

    /// The request lines so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
