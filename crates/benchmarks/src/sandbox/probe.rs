//! Finds out once what can isolate programs on this machine.

use std::path::PathBuf;

use crate::sandbox::python::Python;
#[cfg(target_os = "linux")]
use crate::sandbox::python::on_search_path;
use crate::sandbox::{Backend, Limits, Outcome, Program, SandboxError};

/// How to look for a sandbox. The default takes what the search path offers and never runs without one.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// The interpreter; by default `python3` of the search path.
    pub python: Option<PathBuf>,
    /// Only this backend. By default bubblewrap, then namespaces.
    pub backend: Option<Backend>,
    /// The `bwrap` program; by default that of the search path.
    pub bubblewrap: Option<PathBuf>,
    /// A program that calls `enter_if_asked` first; by default `razor-sandbox` beside the running program.
    pub helper: Option<PathBuf>,
    /// Where nothing isolates, run programs all the same. They can then do what this user can.
    pub unsafe_without_sandbox: bool,
}

/// A way to run programs that was seen to work here.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(crate) python: Python,
    pub(crate) holder: Holder,
}

/// The backend with the program that it needs.
#[derive(Debug, Clone)]
pub(crate) enum Holder {
    #[cfg(target_os = "linux")]
    Bubblewrap(PathBuf),
    #[cfg(target_os = "linux")]
    Namespaces(PathBuf),
    Unsandboxed,
}

/// Tries the doors that must be shut, and names those that open.
const DOORS: &str = r#"
def doors():
    import os, socket
    opened = []

    def attempt(name, action):
        try:
            action()
        except Exception:
            return
        opened.append(name)

    attempt("reading /etc", lambda: open("/etc/passwd").close())
    attempt("reading /proc", lambda: open("/proc/self/status").close())
    attempt("writing to /", lambda: open("/written", "w").close())
    attempt("writing to /usr/lib", lambda: open("/usr/lib/written", "w").close())
    attempt("a socket", lambda: socket.socket().close())
    attempt("a process", lambda: os.fork() or os._exit(0))
    if "PATH" in os.environ:
        opened.append("the environment")
    if os.getpid() > 100:
        opened.append("the processes of the host")
    with open("/tmp/written", "w") as file:
        file.write("the one place to write in")
    return opened
"#;

impl Sandbox {
    /// Looks for an interpreter and a backend, and runs a program in it that tries what must not work.
    ///
    /// # Errors
    /// [`SandboxError::NoPython`]; [`SandboxError::NoIsolation`] with the reason for each backend tried, unless the options
    /// allow to run without.
    pub fn probe(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let python = Python::find(options.python.as_deref())?;
        let mut tried = Vec::new();
        for (name, holder) in candidates(options) {
            let Some(holder) = holder else {
                tried.push(format!("{name}: not found"));
                continue;
            };
            let sandbox = Self { python: python.clone(), holder };
            match sandbox.try_doors() {
                Ok(()) => return Ok(sandbox),
                Err(reason) => tried.push(format!("{name}: {reason}")),
            }
        }
        let only_isolated = matches!(options.backend, Some(backend) if backend.isolates());
        if options.unsafe_without_sandbox && !only_isolated {
            return Ok(Self { python, holder: Holder::Unsandboxed });
        }
        Err(SandboxError::NoIsolation { tried: tried.join("; ") })
    }

    /// What keeps programs in.
    pub fn backend(&self) -> Backend {
        match self.holder {
            #[cfg(target_os = "linux")]
            Holder::Bubblewrap(_) => Backend::Bubblewrap,
            #[cfg(target_os = "linux")]
            Holder::Namespaces(_) => Backend::Namespaces,
            Holder::Unsandboxed => Backend::Unsandboxed,
        }
    }

    fn try_doors(&self) -> Result<(), String> {
        let program = Program {
            source: DOORS.into(),
            setup: String::new(),
            tests: "opened = doors()\nassert opened == [], 'these were open: ' + ', '.join(opened)".into(),
            entry_point: "doors".into(),
        };
        let limits = Limits { wall_seconds: 10.0, ..Limits::human_eval() };
        match self.run(&program, &limits) {
            Ok(verdict) if verdict.outcome == Outcome::Passed => Ok(()),
            Ok(verdict) => Err(verdict.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The backends to try in order, each with its holder where its program was found.
fn candidates(options: &SandboxOptions) -> Vec<(Backend, Option<Holder>)> {
    let mut found = Vec::new();
    #[cfg(target_os = "linux")]
    {
        let bubblewrap = options.bubblewrap.clone().or_else(|| on_search_path("bwrap"));
        found.push((Backend::Bubblewrap, bubblewrap.map(Holder::Bubblewrap)));
        let helper = options.helper.clone().or_else(helper_beside_us);
        found.push((Backend::Namespaces, helper.map(Holder::Namespaces)));
    }
    if let Some(only) = options.backend {
        found.retain(|(backend, _)| *backend == only);
    }
    found
}

#[cfg(target_os = "linux")]
fn helper_beside_us() -> Option<PathBuf> {
    let helper = std::env::current_exe().ok()?.with_file_name("razor-sandbox");
    helper.is_file().then_some(helper)
}
