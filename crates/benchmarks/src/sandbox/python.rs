//! Finds the interpreter, and what of the file system it needs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::sandbox::SandboxError;

/// An interpreter and the files it needs at run time.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    /// The program itself, past links and wrappers such as those of pyenv.
    pub executable: PathBuf,
    /// Files and folders to be seen inside, none within another.
    pub visible: Vec<PathBuf>,
    /// Where the loader is to look for the interpreter's own shared library, if it has one.
    pub library_path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Description {
    executable: PathBuf,
    library: Vec<PathBuf>,
    shared: Option<PathBuf>,
}

const DESCRIBE: &str = r#"
import json, os, sys, sysconfig
shared = None
if sysconfig.get_config_var("Py_ENABLE_SHARED"):
    shared = os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
if sys.version_info < (3, 8):
    sys.exit("version 3.8 or newer is needed")
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "library": [os.path.abspath(path) for path in sys.path if path],
    "shared": shared if shared and os.path.isfile(shared) else None,
}))
"#;

/// Folders of shared libraries: the loader's own and where it looks without a cache.
const SYSTEM_LIBRARIES: [&str; 4] = ["/usr/lib", "/usr/lib64", "/lib", "/lib64"];

impl Python {
    /// Asks `program` (or `python3` of the search path) where its parts lie.
    ///
    /// # Errors
    /// [`SandboxError::NoPython`] where none is found or it gives no answer.
    pub(crate) fn find(program: Option<&Path>) -> Result<Self, SandboxError> {
        let program = match program {
            Some(program) => program.to_path_buf(),
            None => on_search_path("python3")
                .ok_or_else(|| SandboxError::NoPython { reason: "no `python3` on the search path".into() })?,
        };
        let none =
            |reason: String| SandboxError::NoPython { reason: format!("{}: {reason}", program.display()) };
        let output = Command::new(&program)
            .args(["-I", "-S", "-c", DESCRIBE])
            .output()
            .map_err(|error| none(error.to_string()))?;
        if !output.status.success() {
            return Err(none(String::from_utf8_lossy(&output.stderr).trim().to_string()));
        }
        let described: Description =
            serde_json::from_slice(&output.stdout).map_err(|error| none(error.to_string()))?;
        let library_path = described.shared.as_deref().and_then(Path::parent).map(Path::to_path_buf);
        let wanted = SYSTEM_LIBRARIES
            .iter()
            .map(PathBuf::from)
            .chain(described.library)
            .chain(described.shared)
            .chain([described.executable.clone()]);
        Ok(Self { visible: outermost(wanted), executable: described.executable, library_path })
    }
}

/// The first executable file of that name on the search path.
pub(crate) fn on_search_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// Paths that exist and lie in no other one of the list.
fn outermost(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths.filter(|path| path.exists()) {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.retain(|inner| !inner.starts_with(&path));
            kept.push(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_another_is_left_out() {
        let paths = ["/usr/lib/ssl", "/usr", "/usr/lib", "/no such folder"];
        assert_eq!(outermost(paths.iter().map(PathBuf::from)), [PathBuf::from("/usr")]);
    }

    #[test]
    fn what_is_no_python_is_refused() {
        let refused = Python::find(Some(Path::new("/bin/false")));
        assert!(matches!(refused, Err(SandboxError::NoPython { .. })));
    }
}
