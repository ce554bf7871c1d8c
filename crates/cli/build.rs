//! Tells the binary what it was built from: the git commit and the version of Burn.
//!
//! Never fails: outside a checkout, or without git, the commit is `unknown`.

use std::path::Path;
use std::process::Command;

fn main() {
    // Sources are watched too, or a commit could be called clean after an edit.
    println!("cargo::rerun-if-changed=..");
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    println!("cargo::rustc-env=RAZOR_COMMIT={}", commit.as_deref().unwrap_or("unknown"));

    let lock = Path::new("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let burn = std::fs::read_to_string(lock).ok().and_then(|lock| version_of("burn", &lock));
    println!("cargo::rustc-env=RAZOR_BURN={}", burn.as_deref().unwrap_or("unknown"));
}

/// What git prints, or nothing when it cannot be asked.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The version of a package in the text of a `Cargo.lock`.
fn version_of(package: &str, lock: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}
