//! What is run, and what came of it.

use std::fmt;

/// A program under test and the checks it has to pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Python that nobody trusts; must define `entry_point`.
    pub source: String,
    /// Trusted Python that the checks stand on, run in the judge only. May be empty.
    pub setup: String,
    /// Trusted Python, run after `setup` with `entry_point` bound to the program's function. Passing is reaching its end.
    pub tests: String,
    /// Name of the function under test.
    pub entry_point: String,
}

/// What keeps a program in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The `bwrap` program and a seccomp filter.
    Bubblewrap,
    /// Linux namespaces and a seccomp filter, entered by a helper program of ours.
    Namespaces,
    /// Nothing but limits: the caller accepted that the program can do what this user can.
    Unsandboxed,
}

impl Backend {
    /// Whether the program was kept from the host.
    pub fn isolates(self) -> bool {
        self != Self::Unsandboxed
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Namespaces => "namespaces",
            Self::Unsandboxed => "no sandbox (unsafe)",
        })
    }
}

/// How a run ended. Everything but `Passed` is a failure of the program, except `Unsupported`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The checks ran to their end.
    Passed,
    /// A check failed, or the program raised; the reason quotes both.
    Failed {
        /// The exception and the check at which it came.
        reason: String,
    },
    /// The wall or processor time was used up.
    TimedOut,
    /// Python ran out of the memory allowed.
    OutOfMemory,
    /// More was printed than is read.
    OutputFlood,
    /// The program's process was gone before the checks were done.
    Ended {
        /// How it ended, as far as the kernel tells.
        reason: String,
    },
    /// The checks use what cannot be handed to another interpreter, such as a function as an argument.
    Unsupported {
        /// What could not be handed over.
        reason: String,
    },
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunVerdict {
    /// How it ended.
    pub outcome: Outcome,
    /// Wall seconds from both interpreters being ready to the verdict.
    pub seconds: f64,
    /// What kept the program in.
    pub backend: Backend,
    /// What the program printed and had flushed, at most `Limits::output_bytes`; bytes that are not UTF-8 are replaced.
    pub output: String,
}

impl RunVerdict {
    /// Whether the program passed.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }
}

impl fmt::Display for RunVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} after {:.3} s in {}", self.outcome, self.seconds, self.backend)
    }
}
