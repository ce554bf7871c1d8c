//! From what a person calls a model to a folder on this machine.

use std::path::{Path, PathBuf};

use crate::error::ModelError;
use crate::hub_download::{Settings, fetch};

/// A repository on the hub at one revision.
#[derive(Debug)]
#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "nothing is fetched in such a build"))]
pub(crate) struct Repository<'a> {
    pub(crate) owner: &'a str,
    pub(crate) name: &'a str,
    /// Branch, tag, or 40 hexadecimal digits of a commit.
    pub(crate) revision: &'a str,
}

/// The folder of a model: `name` itself when there is such a folder, otherwise the hub's `org/name`, from the cache or
/// by download (feature `hub`).
///
/// Config, tokenizer files and safetensors (with their index) all come from one commit: that to which `revision`
/// (`main` when there is none) points when the config is asked for. The weights come last, so that an interrupted
/// download is recognised and goes on file by file. `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and
/// `HF_HUB_OFFLINE` are respected. `progress` is told file, bytes done and bytes in all; with `offline` nobody is asked.
///
/// # Errors
/// [`ModelError::Hub`] when `name` is neither a folder nor `org/name`, a revision is asked of a folder, or a file can
/// not be had, within seconds when the hub does not answer; [`ModelError::Layout`] when the index is damaged.
pub fn resolve_model(
    name: &str,
    revision: Option<&str>,
    offline: bool,
    progress: impl Fn(&str, u64, u64),
) -> Result<PathBuf, ModelError> {
    let settings = Settings::from_lookup(|variable| std::env::var_os(variable));
    resolve_with(&settings, name, revision, offline, &progress)
}

fn resolve_with(
    settings: &Settings,
    name: &str,
    revision: Option<&str>,
    offline: bool,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<PathBuf, ModelError> {
    let refused = |reason: &str| Err(ModelError::Hub { name: name.to_owned(), reason: reason.to_owned() });
    match (Path::new(name).is_dir(), revision) {
        (true, None) => return Ok(PathBuf::from(name)),
        (true, Some(_)) => return refused("it is a folder on this machine, which has no revisions"),
        (false, _) => {}
    }
    let Some((owner, repository)) =
        name.split_once('/').filter(|(owner, name)| is_part(owner) && is_part(name))
    else {
        return refused("there is no such folder, and it is not of the form org/name");
    };
    let revision = revision.unwrap_or("main");
    if !revision.split('/').all(is_part) {
        return refused("the revision is no branch, tag or commit");
    }
    fetch(settings, &Repository { owner, name: repository, revision }, offline, progress)
}

/// Whether a text can be a part of a path without leading elsewhere.
fn is_part(part: &str) -> bool {
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "._-".contains(symbol);
    !part.is_empty() && part.chars().all(plain) && !part.starts_with('.') && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, revision: Option<&str>) -> String {
        resolve_model(name, revision, true, |_, _, _| {}).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_that_exists_is_its_own_answer() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().to_str().unwrap();
        assert_eq!(resolve_model(name, None, false, |_, _, _| {}).unwrap(), dir.path());
        assert!(refusal(name, Some("main")).contains("has no revisions"));
    }

    #[test]
    fn names_and_revisions_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            "gpt2",
            "a/b/c",
            "/no-such-folder",
            "../no-such-folder",
            "a/..",
            "a/.b",
            "a\\b/c",
            "a b/c",
            "a/b?x=1",
            "a/",
        ] {
            let message = refusal(name, None);
            assert!(message.contains("not of the form org/name"), "{name}: {message}");
        }
        for revision in ["", "../main", "a//b", "/main", "a..b", "a b"] {
            assert!(refusal("org/name", Some(revision)).contains("the revision is no branch"), "{revision}");
        }
    }
}
