//! One run: starts both interpreters, listens, and ends everything.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::sandbox::bubblewrap;
use crate::sandbox::interpreter::{Role, command_line, environment};
#[cfg(target_os = "linux")]
use crate::sandbox::namespaces;
use crate::sandbox::probe::Holder;
use crate::sandbox::{Limits, Outcome, Program, RunVerdict, Sandbox, SandboxError};

/// What the reading threads tell.
enum Event {
    /// A line of the judge.
    Report(String),
    /// The judge has closed its report; with what it wrote that was none, such as an error of its sandbox.
    ReportClosed(String),
    /// The worker wrote more than the cap.
    Flood,
    /// The worker's output is closed; with what was read of it.
    OutputClosed(Vec<u8>),
}

/// Lines of the judge are short; more than this in all is noise of a broken sandbox.
const REPORT_BYTES: u64 = 64 << 10;
/// How long the last output and the exit status of a worker are waited for after its end.
const AFTERMATH: Duration = Duration::from_millis(1000);

impl Sandbox {
    /// Runs the program against its checks. Blocks the calling thread, which must be the one that outlives the run: the
    /// sandbox ends with the thread that started it.
    ///
    /// # Errors
    /// Only where the run could not be made; a program can cause none of them.
    pub fn run(&self, program: &Program, limits: &Limits) -> Result<RunVerdict, SandboxError> {
        let mut run = self.start(program, limits)?;
        let (outcome, seconds) = run.listen(limits)?;
        run.worker.end();
        run.judge.end();
        let (output, flooded) = run.rest_of_output();
        // The cap holds for what was printed before the end, whichever message came first.
        let outcome = if flooded { Outcome::OutputFlood } else { outcome };
        Ok(RunVerdict { outcome, seconds, backend: self.backend(), output })
    }

    fn start(&self, program: &Program, limits: &Limits) -> Result<Run, SandboxError> {
        let nonce = fresh_nonce()?;
        let prepare = |what| move |source| SandboxError::Prepare { what, source };
        let (judge_end, worker_end) = UnixStream::pair().map_err(prepare("a socket"))?;
        let (output, output_writer) = io::pipe().map_err(prepare("a pipe"))?;
        let output_again = output_writer.try_clone().map_err(prepare("a pipe"))?;

        let worker = self.spawn(
            Role::Worker,
            limits,
            [OwnedFd::from(worker_end).into(), output_again.into(), output_writer.into()],
        )?;
        let mut judge = self.spawn(
            Role::Judge,
            limits,
            [Stdio::piped(), OwnedFd::from(judge_end).into(), Stdio::piped()],
        )?;

        let (sender, events) = channel();
        if let Some(mut stdin) = judge.child.stdin.take() {
            let job = job_bytes(&nonce, program);
            // A judge that ends early closes the pipe; its report says so.
            thread::spawn(move || drop(stdin.write_all(&job)));
        }
        if let Some(report) = judge.child.stderr.take() {
            let (sender, nonce) = (sender.clone(), nonce.clone());
            thread::spawn(move || read_report(report, &nonce, &sender));
        }
        let cap = limits.output_bytes;
        thread::spawn(move || read_output(output, cap, &sender));
        Ok(Run { sandbox: self.clone(), worker, judge, events, output: None, flooded: false })
    }

    fn spawn(&self, role: Role, limits: &Limits, stdio: [Stdio; 3]) -> Result<Interpreter, SandboxError> {
        let (mut command, folder) = match &self.holder {
            #[cfg(target_os = "linux")]
            Holder::Bubblewrap(program) => (bubblewrap::command(program, &self.python, role, limits)?, None),
            #[cfg(target_os = "linux")]
            Holder::Namespaces(helper) => (namespaces::command(helper, &self.python, role, limits)?, None),
            Holder::Unsandboxed => {
                let folder = tempfile::Builder::new()
                    .prefix("razor-program-")
                    .tempdir()
                    .map_err(|source| SandboxError::Prepare { what: "a temporary folder", source })?;
                (self.unsandboxed_command(role, limits, folder.path()), Some(folder))
            }
        };
        let [stdin, stdout, stderr] = stdio;
        command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
        let child = command
            .spawn()
            .map_err(|source| SandboxError::Spawn { path: PathBuf::from(command.get_program()), source })?;
        Ok(Interpreter { child, status: None, _folder: folder })
    }

    fn unsandboxed_command(&self, role: Role, limits: &Limits, folder: &Path) -> Command {
        let line = command_line(&self.python, role, limits);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().envs(environment(&self.python));
        command.env("HOME", folder).env("TMPDIR", folder).current_dir(folder);
        command
    }
}

/// A run under way. Dropped, it leaves no process.
struct Run {
    sandbox: Sandbox,
    worker: Interpreter,
    judge: Interpreter,
    events: Receiver<Event>,
    output: Option<Vec<u8>>,
    flooded: bool,
}

impl Run {
    /// Waits for a verdict or a limit. Returns the outcome and the seconds since both interpreters were ready.
    fn listen(&mut self, limits: &Limits) -> Result<(Outcome, f64), SandboxError> {
        let mut started: Option<Instant> = None;
        let mut deadline = Instant::now() + span(limits.start_seconds);
        let outcome = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Report(line)) if line == "started" => {
                    let now = Instant::now();
                    started = Some(now);
                    if self.flooded {
                        break Outcome::OutputFlood;
                    }
                    deadline = now + span(limits.wall_seconds);
                }
                Ok(Event::Report(line)) => {
                    let elapsed = started.map_or(Duration::ZERO, |start| start.elapsed());
                    break self.outcome_of(&line, elapsed, limits);
                }
                Ok(Event::ReportClosed(noise)) if started.is_none() => return Err(self.not_started(&noise)),
                Ok(Event::ReportClosed(_)) => {
                    break Outcome::Failed { reason: "the checks ended without a verdict".into() };
                }
                // Two threads tell: the flood of a program may be heard of before the start that came before it.
                Ok(Event::Flood) if started.is_none() => self.flooded = true,
                Ok(Event::Flood) => {
                    self.flooded = true;
                    break Outcome::OutputFlood;
                }
                Ok(Event::OutputClosed(output)) => self.output = Some(output),
                Err(RecvTimeoutError::Timeout) if started.is_none() => {
                    return Err(self.not_started("not ready in the time given"));
                }
                Err(_) => break Outcome::TimedOut,
            }
        };
        Ok((outcome, started.map_or(0.0, |start| start.elapsed().as_secs_f64())))
    }

    fn outcome_of(&self, line: &str, elapsed: Duration, limits: &Limits) -> Outcome {
        let (kind, reason) = line.split_once(' ').unwrap_or((line, ""));
        let reason = reason.to_string();
        match kind {
            "passed" => Outcome::Passed,
            "memory" => Outcome::OutOfMemory,
            "unsupported" => Outcome::Unsupported { reason },
            "ended" => self.worker.how_it_ended(elapsed, limits),
            _ => Outcome::Failed { reason },
        }
    }

    /// What kept the interpreters from being ready, with what the sandbox itself wrote.
    fn not_started(&mut self, reason: &str) -> SandboxError {
        self.worker.end();
        self.judge.end();
        let (output, _) = self.rest_of_output();
        let mut parts: Vec<&str> = [reason, &output].into_iter().map(str::trim).collect();
        // Both sandboxes fail for the same reason more often than not.
        parts.dedup();
        parts.retain(|part| !part.is_empty());
        SandboxError::Start { backend: self.sandbox.backend(), message: parts.join("; ") }
    }

    /// The worker's output after its end, and whether it was above the cap.
    fn rest_of_output(&mut self) -> (String, bool) {
        let deadline = Instant::now() + AFTERMATH;
        while self.output.is_none() {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::OutputClosed(output)) => self.output = Some(output),
                Ok(Event::Flood) => self.flooded = true,
                Ok(Event::Report(_) | Event::ReportClosed(_)) => {}
                Err(_) => break,
            }
        }
        let output = self.output.take().unwrap_or_default();
        (String::from_utf8_lossy(&output).into_owned(), self.flooded)
    }
}

/// A sandbox with an interpreter in it.
struct Interpreter {
    child: Child,
    status: Option<ExitStatus>,
    /// Removed after the process is gone.
    _folder: Option<TempDir>,
}

impl Interpreter {
    /// Kills whatever is in it. In namespaces all processes end with the first one, and that with this child.
    fn end(&mut self) {
        if self.status.is_some() {
            return;
        }
        if let Ok(group) = i32::try_from(self.child.id()) {
            // Without a sandbox the group is what there is; a process that left it stays. The number is still ours:
            // nobody has waited for the child yet.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        self.status = self.child.wait().ok();
    }

    /// What ended the interpreter, `elapsed` after the start. Leaves the process to be waited for by [`Self::end`].
    fn how_it_ended(&self, elapsed: Duration, limits: &Limits) -> Outcome {
        let process = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0));
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let deadline = Instant::now() + AFTERMATH;
        let status = loop {
            match waitid(Id::Pid(process), look) {
                Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(2));
                }
                Ok(status) => break status,
                Err(_) => break WaitStatus::StillAlive,
            }
        };
        // The sandboxes exit with 128 and the signal that ended the interpreter.
        let signal = match status {
            WaitStatus::Signaled(_, signal, _) => Some(signal),
            WaitStatus::Exited(_, code) => Signal::try_from(code - 128).ok(),
            _ => None,
        };
        match (signal, status) {
            (Some(Signal::SIGXCPU), _) => Outcome::TimedOut,
            // What the kernel does to a program that goes on after that signal, or is process 1 and does not get it.
            (Some(Signal::SIGKILL), _) if elapsed.as_secs() >= limits.cpu_seconds => Outcome::TimedOut,
            (Some(signal), _) => Outcome::Ended { reason: format!("the program was ended by {signal}") },
            (None, WaitStatus::Exited(_, code)) => {
                Outcome::Ended { reason: format!("the program left with code {code}") }
            }
            _ => Outcome::Ended { reason: "the program closed its channel".into() },
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.end();
    }
}

/// Seconds as a time to wait: at most a day, none where they are no number.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.min(86_400.0)).unwrap_or_default()
}

/// 128 bits that no program can guess, in hexadecimal.
fn fresh_nonce() -> Result<String, SandboxError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|source| SandboxError::Prepare { what: "a nonce", source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the judge reads first, in the form of `wire.py`: a tuple of five texts.
fn job_bytes(nonce: &str, program: &Program) -> Vec<u8> {
    let texts = [nonce, &program.setup, &program.tests, &program.source, &program.entry_point];
    let mut bytes = format!("t{}\n", texts.len()).into_bytes();
    for text in texts {
        bytes.extend(format!("s{}\n{text}", text.len()).into_bytes());
    }
    bytes
}

/// Passes on the lines that carry the nonce, without it; collects the others.
fn read_report(report: impl Read, nonce: &str, events: &Sender<Event>) {
    let mut noise = String::new();
    let lines = BufReader::new(report.take(REPORT_BYTES)).split(b'\n');
    for line in lines.map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.strip_prefix(nonce).and_then(|rest| rest.strip_prefix(' ')) {
            Some(message) => drop(events.send(Event::Report(message.trim().into()))),
            None => noise = format!("{noise}{line}\n"),
        }
    }
    // Nobody listens any more once the run has ended.
    let _ = events.send(Event::ReportClosed(noise));
}

/// Reads up to `cap` bytes, says so if there are more, and stops there.
fn read_output(output: impl Read, cap: usize, events: &Sender<Event>) {
    let mut read = Vec::new();
    let mut limited = output.take((cap as u64).saturating_add(1));
    let _ = limited.read_to_end(&mut read);
    if read.len() > cap {
        read.truncate(cap);
        let _ = events.send(Event::Flood);
    }
    let _ = events.send(Event::OutputClosed(read));
}
