//! Runs Python that nobody has read, and says whether it passes checks that it cannot see.
//!
//! # How a verdict is reached
//! Two interpreters run, each in a sandbox of its own, joined by one socket. The *worker* holds the program under test
//! and nothing else. The *judge* holds the checks; its `entry_point` is a stand-in that sends the arguments to the worker
//! and waits for the value. Values cross as plain data (none, booleans, numbers, text, bytes, lists, tuples, sets,
//! dictionaries, ranges, iterators); the reader builds only built-in types and runs no code of the sender. When the
//! checks have run to their end, the judge writes `passed` after a nonce that it was given for this run, to a pipe that
//! only this process reads.
//!
//! So the program never shares an interpreter, a process or a process namespace with the checks, the expected values
//! or the nonce. Leaving early, raising `SystemExit`, printing the word, walking frames, replacing built-ins, objects
//! that equal everything, writing to every descriptor: all of it ends in the worker. What a worker can do at most is send
//! the judge values, which is what it is for.
//!
//! # What holds it
//! [`Backend::Bubblewrap`] and [`Backend::Namespaces`] give each interpreter its own user, mount, process, network,
//! IPC, host-name and control-group namespaces: no network, no `/proc`, no `/etc`, no home; read-only the interpreter,
//! its library and `/usr/lib`; writable only a small in-memory `/tmp`; no environment; no capabilities. A seccomp
//! allow-list refuses new processes, sockets, tracing, System V memory, mounts, namespaces, io_uring and whatever it does
//! not name. Limits on memory, processor time, file size, descriptors and threads are set before the first line of the
//! program; output is read up to a cap; at the end the whole process namespace is killed.
//!
//! # What remains
//! - The kernel: a hole in what the allow-list permits is a way out. A virtual machine would be stronger.
//! - Kernel memory of many empty files in the temporary folder is bounded only by the time limit under bubblewrap.
//! - Processor time is shared: a program can slow its neighbours until its limit ends it.
//! - The program sees the arguments of the checks. A program that recognizes them and holds their answers passes.
//! - Checks that are weak stay weak. They see copies: a change that the program makes to an argument does not reach
//!   them, an object of the program's own class equals nothing, and a generator arrives with its items computed.
//! - Only the standard library of Python can be imported.
//! - [`Backend::Unsandboxed`] keeps the limits, the time limit, the empty environment and a temporary folder. It
//!   does not stop a program from reading files, using the network, leaving a process behind or tracing the judge,
//!   and for root the number of processes has no limit.
//!
//! # Example
//! ```no_run
//! use razor_benchmarks::sandbox::{Limits, Outcome, Program, Sandbox, SandboxOptions};
//!
//! let sandbox = Sandbox::probe(&SandboxOptions::default())?;
//! let program = Program {
//!     source: "def double(x):\n    return 2 * x\n".into(),
//!     setup: String::new(),
//!     tests: "assert double(4) == 8\n".into(),
//!     entry_point: "double".into(),
//! };
//! assert_eq!(sandbox.run(&program, &Limits::human_eval())?.outcome, Outcome::Passed);
//! # Ok::<(), razor_benchmarks::sandbox::SandboxError>(())
//! ```

#[cfg(target_os = "linux")]
mod bubblewrap;
mod error;
mod interpreter;
mod limits;
#[cfg(target_os = "linux")]
mod namespaces;
mod probe;
mod python;
mod run;
#[cfg(target_os = "linux")]
mod system_calls;
mod verdict;

pub use error::SandboxError;
pub use limits::Limits;
#[cfg(target_os = "linux")]
pub use namespaces::enter_if_asked;
pub use probe::{Sandbox, SandboxOptions};
pub use verdict::{Backend, Outcome, Program, RunVerdict};
