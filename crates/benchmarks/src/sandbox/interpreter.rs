//! The command line and environment of a worker or a judge, the same for every backend.

use std::ffi::OsString;

use crate::sandbox::Limits;
use crate::sandbox::python::Python;

/// Which of the two interpreters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Judge,
}

const WORKER: &str = concat!(include_str!("wire.py"), "\n", include_str!("worker.py"));
const JUDGE: &str = concat!(include_str!("wire.py"), "\n", include_str!("judge.py"));

/// Program and arguments.
pub(crate) fn command_line(python: &Python, role: Role, limits: &Limits) -> Vec<OsString> {
    let code = match role {
        Role::Worker => WORKER,
        Role::Judge => JUDGE,
    };
    let mut line = vec![python.executable.clone().into_os_string()];
    // Not -I: it would ignore the hash seed too. The environment holds only what is set below.
    line.extend(["-s", "-S", "-B", "-X", "utf8", "-c", code].iter().map(OsString::from));
    line.extend(limits.resource_limits().iter().map(OsString::from));
    line
}

/// The whole environment.
pub(crate) fn environment(python: &Python) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        // Sets of text in one order: a verdict must not depend on chance.
        ("PYTHONHASHSEED", "0".into()),
        ("PYTHONSAFEPATH", "1".into()),
        ("HOME", "/tmp".into()),
    ];
    if let Some(folder) = &python.library_path {
        variables.push(("LD_LIBRARY_PATH", folder.clone().into_os_string()));
    }
    variables
}
