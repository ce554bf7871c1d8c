//! How much of the machine one program may use.

/// Limits of one run. All hold for the worker; the judge has the same ones to itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Seconds of wall time from the moment both interpreters are ready, loading the program included.
    pub wall_seconds: f64,
    /// Seconds that the two interpreters may take to be ready; longer is an error of the host, not of the program.
    pub start_seconds: f64,
    /// Whole seconds of processor time over all threads.
    pub cpu_seconds: u64,
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// Bytes in the temporary folder, and the size of any one file.
    pub temp_bytes: u64,
    /// Bytes read from standard output and standard error together; one more ends the run.
    pub output_bytes: usize,
    /// Threads (in a sandbox; the number of processes is always one).
    pub threads: u64,
    /// Open file descriptors.
    pub open_files: u64,
}

impl Limits {
    /// 3 s a program as in OpenAI's human-eval, with room that every reference solution stays far below.
    pub fn human_eval() -> Self {
        Self {
            wall_seconds: 3.0,
            start_seconds: 20.0,
            cpu_seconds: 4,
            memory_bytes: 1 << 30,
            temp_bytes: 16 << 20,
            output_bytes: 64 << 10,
            threads: 16,
            open_files: 64,
        }
    }

    /// Names and values as Python's `resource` module takes them.
    pub(crate) fn resource_limits(&self) -> Vec<String> {
        [
            ("RLIMIT_AS", self.memory_bytes),
            ("RLIMIT_CPU", self.cpu_seconds),
            ("RLIMIT_FSIZE", self.temp_bytes),
            ("RLIMIT_NOFILE", self.open_files),
            ("RLIMIT_NPROC", self.threads),
            ("RLIMIT_STACK", 8 << 20),
            ("RLIMIT_CORE", 0),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
    }
}
