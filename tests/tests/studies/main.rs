//! The studies as a whole, from their presets to their reports.
//!
//! - `parity.rs`: a small ParityMNIST study: same bytes with any number of workers, resumed, refused and redrawn
//! - `llm.rs`: the same for a small LLM study on the embedded base
//! - `llm_methods.rs`: two steps of every method on the shape of Qwen2.5-0.5B, and the public questions and benchmarks

#![expect(clippy::unwrap_used, reason = "a file that cannot be read or written should fail the test here")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use razor_experiments::Environment;

mod llm;
mod llm_methods;
mod parity;

fn environment(n_workers: usize) -> Environment {
    Environment {
        razor: "0".to_owned(),
        commit: "none".to_owned(),
        burn: "0".to_owned(),
        backend: "flex".to_owned(),
        platform: "test".to_owned(),
        n_workers,
    }
}

/// Every file below `dir` with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// A copy of a study, to be damaged.
fn copy_of(study: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in files(study) {
        let path = copy.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    copy
}

/// An empty folder for a study that several tests look at.
fn kept_folder(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    out
}
