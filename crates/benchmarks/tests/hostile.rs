//! Programs that attack the host or forge a verdict: each fails, and the host is as it was.

#![expect(clippy::unwrap_used, reason = "a run or file that cannot be had should fail the test here")]

mod isolation;

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use isolation::sandboxes;
use razor_benchmarks::sandbox::{
    Backend, Limits, Outcome, Program, RunVerdict, Sandbox, SandboxError, SandboxOptions,
};
use tempfile::TempDir;

/// Known to the checks only (and to the controls): a program that returns it has read them.
const EXPECTED: u64 = 7_340_119_226;
const SECRET: &str = "secret-of-the-host-91c5";

/// Something to harm, and the eyes to see it.
struct Host {
    folder: TempDir,
    limits: Limits,
}

impl Host {
    fn new() -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("marker"), SECRET).unwrap();
        // The limit stands on the command line of every process of a run: an odd one finds them again.
        let odd = (u64::from(process::id()) % 10_000) * 100 + RUNS.fetch_add(1, Ordering::Relaxed);
        let limits = Limits {
            wall_seconds: 2.0,
            cpu_seconds: 2,
            memory_bytes: 256 << 20,
            temp_bytes: (4 << 20) + odd,
            ..Limits::human_eval()
        };
        Self { folder, limits }
    }

    fn processes(&self) -> Vec<String> {
        let mark = format!("RLIMIT_FSIZE={}", self.limits.temp_bytes);
        let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.ok()?.path();
            Some(String::from_utf8_lossy(&fs::read(path.join("cmdline")).ok()?).into_owned())
        });
        lines.filter(|line| line.contains(&mark)).collect()
    }

    /// Panics where a run left anything behind.
    fn assert_unharmed(&self, name: &str) {
        let deadline = Instant::now() + Duration::from_secs(3);
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "{name} left {:?}", self.processes());
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_to_string(self.folder.path().join("marker")).unwrap(), SECRET, "{name}");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1, "{name} wrote beside the marker");
        for folder in ["/tmp", "/dev/shm", "/var/tmp", "/"] {
            assert!(!PathBuf::from(folder).join("razor-hostile").exists(), "{name} wrote to {folder}");
        }
    }

    fn run(&self, sandbox: &Sandbox, name: &str, body: &str) -> RunVerdict {
        let source = body
            .replace("@MARKER@", self.folder.path().join("marker").to_str().unwrap())
            .replace("@FOLDER@", self.folder.path().to_str().unwrap())
            .replace("@HOME@", env::home_dir().unwrap_or_default().to_str().unwrap());
        let program = Program {
            source,
            setup: String::new(),
            tests: format!("assert attack(3) == {EXPECTED}"),
            entry_point: "attack".into(),
        };
        let start = Instant::now();
        let verdict = sandbox.run(&program, &self.limits).unwrap();
        println!("{}: {name}: {verdict}", sandbox.backend());
        // The limit, and what starting and ending take on a loaded machine.
        assert!(start.elapsed().as_secs_f64() < 12.0, "{name} took {:?}", start.elapsed());
        self.assert_unharmed(name);
        verdict
    }
}

/// How an attack is to end.
#[derive(Clone, Copy)]
enum End {
    Failed,
    Ended,
    TimedOut,
    Memory,
    Flood,
    /// Which limit meets it first is a matter of timing.
    AnyFailure,
}

fn ends_as(outcome: &Outcome, end: End) -> bool {
    match end {
        End::Failed => matches!(outcome, Outcome::Failed { .. }),
        End::Ended => matches!(outcome, Outcome::Ended { .. }),
        End::TimedOut => *outcome == Outcome::TimedOut,
        End::Memory => *outcome == Outcome::OutOfMemory,
        End::Flood => *outcome == Outcome::OutputFlood,
        End::AnyFailure => *outcome != Outcome::Passed,
    }
}

fn all_end(attacks: &[(&str, End, &str)]) {
    for sandbox in sandboxes() {
        for (name, end, body) in attacks {
            let verdict = Host::new().run(&sandbox, name, body);
            assert!(ends_as(&verdict.outcome, *end), "{name}: {verdict}\n{}", verdict.output);
            assert!(!verdict.output.contains(SECRET), "{name} got through");
        }
    }
}

#[test]
fn a_program_that_is_right_passes_where_the_hostile_ones_fail() {
    for sandbox in sandboxes() {
        let body = format!("print('hello')\ndef attack(x):\n    return {EXPECTED} + x - 3\n");
        let verdict = Host::new().run(&sandbox, "control", &body);
        assert_eq!(verdict.outcome, Outcome::Passed, "{verdict}");
        assert!(sandbox.backend().isolates());
    }
}

#[test]
fn bombs_and_floods_end_at_their_limits() {
    all_end(&[
        ("fork bomb", End::Failed, "import os\ndef attack(x):\n    while True:\n        os.fork()\n"),
        (
            "fork bomb that tries again",
            End::TimedOut,
            "import os\ndef attack(x):\n    while True:\n        try: os.fork()\n        except OSError: pass\n",
        ),
        (
            "thread bomb",
            End::AnyFailure,
            "import threading, time\ndef attack(x):\n    while True:\n        threading.Thread(target=time.sleep, args=(99,)).start()\n",
        ),
        (
            "subprocess",
            End::Failed,
            "import subprocess\ndef attack(x):\n    return subprocess.run(['/bin/sh', '-c', 'echo'])\n",
        ),
        ("memory bomb", End::Memory, "def attack(x):\n    return bytearray(1 << 40)\n"),
        (
            "slow memory bomb",
            End::Memory,
            "def attack(x):\n    hoard = []\n    while True:\n        hoard.append(bytearray(1 << 20))\n",
        ),
        (
            "memory in anonymous files",
            End::Failed,
            &format!(
                "import os\ndef attack(x):\n    hoard = [os.memfd_create(str(i)) for i in range(3)]\n    print('{SECRET}', flush=True)\n"
            ),
        ),
        (
            "disk filler",
            End::Failed,
            "
import os
def attack(x):
    written = 0
    for folder in ['/tmp', '/dev/shm', '/', '/dev', '/usr/lib', '/var/tmp', '@FOLDER@']:
        for i in range(40):
            try:
                with open(os.path.join(folder, 'razor-hostile' + str(i)), 'wb', buffering=0) as file:
                    while True:
                        written += file.write(bytes(1 << 16))
            except OSError:
                pass
    return 'wrote %d' % written if written < 6 << 20 else os._exit(3)
",
        ),
        (
            "output flood",
            End::Flood,
            "import sys\ndef attack(x):\n    while True:\n        sys.stdout.write('flood ' * 1000)\n",
        ),
        (
            "error flood",
            End::Flood,
            "import os\ndef attack(x):\n    while True:\n        os.write(2, b'flood ' * 1000)\n",
        ),
        ("huge exception text", End::Failed, "def attack(x):\n    raise ValueError('x' * (50 << 20))\n"),
        ("huge answer", End::Failed, "def attack(x):\n    return 'x' * (50 << 20)\n"),
        (
            "answer without end",
            End::Failed,
            "import itertools\ndef attack(x):\n    return itertools.count()\n",
        ),
        ("answer within itself", End::Failed, "def attack(x):\n    a = []\n    a.append(a)\n    return a\n"),
        (
            "deep recursion",
            End::Ended,
            "import sys\nsys.setrecursionlimit(1 << 30)\ndef attack(x):\n    return sorted([x], key=attack)\n",
        ),
        ("recursion without end", End::Failed, "def attack(x):\n    return attack(x)\n"),
        ("deep source", End::Failed, &format!("{}{}", "(".repeat(50_000), ")".repeat(50_000))),
        ("many descriptors", End::Failed, "import os\ndef attack(x):\n    while True:\n        os.dup(1)\n"),
    ]);
}

#[test]
fn waiting_and_stopping_end_at_the_time_limit() {
    all_end(&[
        ("sleep", End::TimedOut, "import time\ndef attack(x):\n    time.sleep(9999)\n"),
        ("busy loop", End::TimedOut, "def attack(x):\n    while True: pass\n"),
        ("busy loop at import", End::TimedOut, "while True: pass\n"),
        (
            "busy loop that minds no signal",
            End::TimedOut,
            "
import signal
def attack(x):
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: pass
",
        ),
        ("one long call", End::TimedOut, "def attack(x):\n    return 9 ** (9 ** 9)\n"),
        (
            "stops itself",
            End::AnyFailure,
            "import os, signal\ndef attack(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return 'went on'\n",
        ),
        (
            "raises its own limits",
            End::Failed,
            "
import resource
def attack(x):
    raised = []
    for name in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_NOFILE'):
        number = getattr(resource, name)
        try: resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError): continue
        raised.append(name)
    return 'held' if not raised else __import__('time').sleep(99)
",
        ),
    ]);
}

#[test]
fn the_host_cannot_be_read_or_reached() {
    // A server of the host: none of its addresses answers inside.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let network = format!(
        "import socket\ndef attack(x):\n    socket.create_connection(('127.0.0.1', {port}), timeout=1)\n    print('{SECRET}')\n"
    );
    let environment = format!(
        "import os\ndef attack(x):\n    if set(os.environ) - {{'HOME', 'PYTHONHASHSEED', 'PYTHONSAFEPATH', 'LD_LIBRARY_PATH', 'PWD', 'LC_CTYPE'}}:\n        print('{SECRET}', os.environ)\n    return 0\n"
    );
    let processes = format!(
        "
import os
def attack(x):
    seen = [pid for pid in range(1, 5000) if alive(pid)]
    if len(seen) > 3: print('{SECRET}', seen)
    return seen
def alive(pid):
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    except PermissionError: return True
    return True
"
    );
    all_end(&[
        ("network", End::Failed, &network),
        (
            "name look-up",
            End::Failed,
            "import socket\ndef attack(x):\n    return socket.getaddrinfo('example.com', 80)\n",
        ),
        ("environment", End::Failed, &environment),
        ("processes", End::Failed, &processes),
        ("a secret of the host", End::Failed, "def attack(x):\n    print(open('@MARKER@').read(), flush=True)\n"),
        (
            "secrets where they usually lie",
            End::Failed,
            &format!(
                "
import os
def attack(x):
    names = ['etc/passwd', 'etc/shadow', 'proc/self/environ', 'proc/1/environ', 'proc/1/cwd', 'home', 'sys/kernel', 'var', 'run', 'old',
        'dev/vda', 'dev/mem']
    paths = ['/' + name for name in names]
    paths += ['@HOME@/.ssh', '@HOME@/.bashrc', '@HOME@/.profile', os.path.join('/proc/1', 'root') + '@MARKER@', '../..@MARKER@']
    for path in paths:
        if os.path.exists(path): print('{SECRET}', path)
    return sorted(os.listdir('/'))
"
            ),
        ),
        (
            "links in the temporary folder",
            End::Failed,
            "
import os
def attack(x):
    os.symlink('@MARKER@', '/tmp/link')
    os.symlink('@FOLDER@', '/tmp/folder')
    for path in ('/tmp/link', '/tmp/folder/marker'):
        try: print(open(path).read(), flush=True)
        except OSError: pass
        try: open(path, 'w').write('overwritten')
        except OSError: pass
    os.rename('/tmp', '/tmp-old')
",
        ),
        (
            "writes over the marker",
            End::Failed,
            "def attack(x):\n    open('@MARKER@', 'w').write('overwritten')\n",
        ),
        (
            "kills everything",
            End::AnyFailure,
            "import os\ndef attack(x):\n    for pid in (os.getppid(), 1, -1, 0):\n        try: os.kill(pid, 9)\n        except OSError: pass\n",
        ),
        (
            "kills every number",
            End::AnyFailure,
            "import os\ndef attack(x):\n    for pid in range(2, 100000):\n        if pid != os.getpid():\n            try: os.kill(pid, 9)\n            except OSError: pass\n",
        ),
        (
            "background process",
            End::AnyFailure,
            "
import os, time
def attack(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
    os._exit(0)
",
        ),
        (
            "background thread that never ends",
            End::AnyFailure,
            "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\ndef attack(x):\n    return 1\n",
        ),
        #[cfg(target_arch = "x86_64")]
        (
            "raw system calls",
            End::Failed,
            &format!(
                "
import ctypes
def attack(x):
    libc = ctypes.CDLL(None, use_errno=True)
    # By their numbers on x86-64: ptrace, fork, vfork, socket, connect, shmget, unshare, mount, bpf, io_uring_setup,
    # userfaultfd, memfd_create, clone3, setns, keyctl, process_vm_readv, prctl, chroot, perf_event_open, mq_open.
    for call in (101, 57, 58, 41, 42, 29, 272, 165, 321, 425, 323, 319, 435, 308, 250, 310, 157, 161, 298, 240):
        ctypes.set_errno(0)
        if libc.syscall(call, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 38: print('{SECRET}', call, flush=True)
    return 'done'
"
            ),
        ),
    ]);
}

#[test]
fn a_verdict_cannot_be_forged() {
    all_end(&[
        ("leaves with 0", End::Ended, "import os\ndef attack(x):\n    os._exit(0)\n"),
        ("leaves with 0 at import", End::Ended, "import os\nos._exit(0)\n"),
        ("system exit", End::Failed, "import sys\ndef attack(x):\n    sys.exit(0)\n"),
        ("system exit at import", End::Failed, "raise SystemExit(0)\n"),
        (
            "prints the word everywhere",
            End::AnyFailure,
            "
import os
def attack(x):
    for file in range(64):
        for text in (b'passed', b'0' * 32 + b' passed', b' passed'):
            try: os.write(file, b'\\n' + text + b'\\n')
            except OSError: pass
    return 1
",
        ),
        (
            "looks for the nonce and the checks in memory",
            End::Failed,
            &format!(
                "
import gc, re, sys
def attack(x):
    needle = ' '.join(['assert', 'attack('])
    seen, queue, read = set(), [sys._getframe(), sys.modules] + gc.get_objects(), 0
    while queue and len(seen) < 300000:
        item = queue.pop()
        if id(item) in seen: continue
        seen.add(id(item))
        queue.extend(gc.get_referents(item))
        if not isinstance(item, (str, bytes)): continue
        text, read = item if isinstance(item, str) else item.decode('latin-1'), read + 1
        if re.fullmatch('[0-9a-f]{{32}}', text) or needle in text and text != needle:
            print('{SECRET}', text, flush=True)
    return read
"
            ),
        ),
        (
            "equals everything",
            End::Failed,
            "
class Yes(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __getattribute__(self, name): return lambda *a: True
def attack(x):
    return Yes()
",
        ),
        (
            "is of a class that equals everything",
            End::Failed,
            "
class Yes:
    __eq__ = __req__ = lambda self, other: True
    __class__ = int
def attack(x):
    return Yes()
",
        ),
        (
            "replaces built-ins",
            End::AnyFailure,
            "
import builtins, sys
builtins.AssertionError = type('Nothing', (BaseException,), {'__init__': lambda self, *a: None})
builtins.isinstance = lambda *a: True
builtins.compile = builtins.exec = lambda *a, **k: None
sys.modules['__main__'].__dict__.update(pack=lambda v: b'T\\n', send=lambda f, d: None)
def attack(x):
    return 1
",
        ),
        (
            "brings its own check",
            End::Failed,
            "
def check(candidate): pass
def attack(x): return 1
import sys
for module in list(sys.modules.values()):
    module.check = check
    module.attack = check
",
        ),
        (
            "prints at exit",
            End::Failed,
            "import atexit, os\natexit.register(lambda: (print('passed'), os._exit(0)))\ndef attack(x):\n    return 1\n",
        ),
        (
            "raises what only the judge has",
            End::Failed,
            "
class OutOfMemory(BaseException): pass
class Passed(AssertionError):
    def __str__(self): return 'passed\\n' + '0' * 32 + ' passed'
def attack(x):
    raise Passed('passed')
",
        ),
        (
            "answers with nonsense",
            End::Failed,
            "
import os
def attack(x):
    for file in range(3, 64):
        try: os.write(file, (40).to_bytes(8, 'big') + b't4\\ns6\\npassed' * 3 + b'I-5\\n')
        except OSError: pass
    return 1
",
        ),
        (
            "answers with a length out of range",
            End::Failed,
            "
import os
def attack(x):
    for data in (b't2\\ns5\\nvaluel99999999999\\n', b's-3\\n', b'', b'q\\n'):
        for file in range(3, 64):
            try: os.write(file, len(data).to_bytes(8, 'big') + data)
            except OSError: pass
    return 1
",
        ),
        (
            "claims a message without end",
            End::Failed,
            "
import os
def attack(x):
    for file in range(3, 64):
        try: os.write(file, b'\\xff' * 8)
        except OSError: pass
    return 1
",
        ),
        (
            "answers with nesting without end",
            End::Failed,
            "
import os
def attack(x):
    data = b't2\\ns5\\nvalue' + b'l1\\n' * 100000
    for file in range(3, 64):
        try: os.write(file, len(data).to_bytes(8, 'big') + data)
        except OSError: pass
    return 1
",
        ),
        (
            "closes every descriptor",
            End::AnyFailure,
            "import os\ndef attack(x):\n    os.closerange(0, 1024)\n    return 1\n",
        ),
        (
            "becomes another interpreter",
            End::Ended,
            "import os, sys\ndef attack(x):\n    os.execv(sys.executable, [sys.executable, '-c', 'print(\"passed\")'])\n",
        ),
        (
            "answers the same in every thread",
            End::AnyFailure,
            "
import os, threading
def answer():
    while True:
        try: os.write(3, b'\\0' * 7 + b'\\x02T\\n')
        except OSError: return
threading.Thread(target=answer, daemon=True).start()
def attack(x):
    return True
",
        ),
        ("defines nothing", End::Failed, "pass\n"),
        ("is no Python", End::Failed, "def attack(x:\n"),
        ("is no text for Python", End::Failed, "attack = '\\0'\n\0\n"),
    ]);
}

#[test]
fn an_exception_that_ends_loops_does_not_end_the_checks() {
    for sandbox in sandboxes() {
        for error in ["StopIteration", "StopAsyncIteration", "GeneratorExit", "KeyboardInterrupt"] {
            let program = Program {
                source: format!("def attack(x):\n    raise {error}\n"),
                setup: String::new(),
                tests: "assert all(map(attack, [1, 2, 3]))".into(),
                entry_point: "attack".into(),
            };
            let verdict = sandbox.run(&program, &Limits::human_eval()).unwrap();
            assert!(matches!(verdict.outcome, Outcome::Failed { .. }), "{error}: {verdict}");
        }
    }
}

#[test]
fn processor_time_ends_a_program_before_the_wall_time_does() {
    for sandbox in sandboxes() {
        for body in ["", "    import signal\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"] {
            let program = Program {
                source: format!("def attack(x):\n{body}    while True: pass\n"),
                setup: String::new(),
                tests: "attack(1)".into(),
                entry_point: "attack".into(),
            };
            let limits = Limits { cpu_seconds: 1, wall_seconds: 60.0, ..Limits::human_eval() };
            let verdict = sandbox.run(&program, &limits).unwrap();
            assert_eq!(verdict.outcome, Outcome::TimedOut, "{verdict}");
            assert!(verdict.seconds < 50.0, "{verdict}");
        }
    }
}

#[test]
fn where_nothing_isolates_the_sandbox_refuses_and_says_what_to_install() {
    let nowhere = Some(PathBuf::from("/no/such/program"));
    let options =
        SandboxOptions { bubblewrap: nowhere.clone(), helper: nowhere, ..SandboxOptions::default() };
    let error = Sandbox::probe(&options).unwrap_err();
    assert!(matches!(error, SandboxError::NoIsolation { .. }));
    let text = error.to_string();
    assert!(text.contains("apt-get install bubblewrap") && text.contains("unsafe_without_sandbox"), "{text}");

    // Asking for a backend is not undone by accepting the risk.
    let options =
        SandboxOptions { backend: Some(Backend::Bubblewrap), unsafe_without_sandbox: true, ..options };
    assert!(Sandbox::probe(&options).is_err());
}

#[test]
fn without_a_sandbox_the_limits_hold_and_the_verdict_says_so() {
    let nowhere = Some(PathBuf::from("/no/such/program"));
    let options = SandboxOptions {
        bubblewrap: nowhere.clone(),
        helper: nowhere,
        unsafe_without_sandbox: true,
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::probe(&options).unwrap();
    let cases = [
        (
            "environment and folder",
            End::Failed,
            format!(
                "import os\ndef attack(x):\n    if 'PATH' in os.environ or 'razor-program-' not in os.getcwd(): print('{SECRET}', flush=True)\n    return 1\n"
            ),
        ),
        ("busy loop", End::TimedOut, "def attack(x):\n    while True: pass\n".into()),
        ("sleep", End::TimedOut, "import time\ndef attack(x):\n    time.sleep(9999)\n".into()),
        ("memory bomb", End::Memory, "def attack(x):\n    return bytearray(1 << 40)\n".into()),
        ("output flood", End::Flood, "def attack(x):\n    while True: print('flood ' * 1000)\n".into()),
        ("big file", End::AnyFailure, "def attack(x):\n    open('f', 'wb').write(bytes(64 << 20))\n".into()),
        ("leaves", End::Ended, "import os\ndef attack(x):\n    os._exit(0)\n".into()),
    ];
    for (name, end, body) in cases {
        let verdict = Host::new().run(&sandbox, name, &body);
        assert!(ends_as(&verdict.outcome, end), "{name}: {verdict}");
        assert!(!verdict.output.contains(SECRET), "{name}: {}", verdict.output);
        assert_eq!(verdict.backend, Backend::Unsandboxed);
        assert!(verdict.to_string().contains("no sandbox (unsafe)"));
    }
    let body = format!(
        "import os\nprint(os.getcwd(), flush=True)\nopen('left', 'w').close()\ndef attack(x):\n    return {EXPECTED}\n"
    );
    let verdict = Host::new().run(&sandbox, "control", &body);
    assert!(verdict.passed(), "{verdict}");
    let folder = PathBuf::from(verdict.output.trim());
    assert!(folder.to_string_lossy().contains("razor-program-") && !folder.exists(), "{folder:?}");
}
