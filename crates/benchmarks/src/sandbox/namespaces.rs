//! The interpreter in Linux namespaces without bubblewrap: a helper program enters them and becomes the interpreter.
//!
//! A process may enter a user namespace only while it has one thread, and between `fork` and `exec` a program with
//! threads may do almost nothing. So a small program is started that has neither trouble. It runs twice: *outside* makes
//! the namespaces and waits; *inside*, process 1 of the new process namespace, builds the file system, gives up its
//! rights and becomes the interpreter. Both are this function's doing: [`enter_if_asked`].

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{close, getegid, geteuid, pivot_root, sethostname};
use serde::{Deserialize, Serialize};

use crate::sandbox::bubblewrap::DEVICES;
use crate::sandbox::interpreter::{Role, command_line, environment};
use crate::sandbox::python::Python;
use crate::sandbox::system_calls::filter;
use crate::sandbox::{Limits, SandboxError};

const OUTSIDE: &str = "--sandbox-outside";
const INSIDE: &str = "--sandbox-inside";
/// Nobody, inside.
const NOBODY: u32 = 65534;

/// What the helper is to do, as JSON in its second argument.
#[derive(Serialize, Deserialize)]
struct Request {
    visible: Vec<PathBuf>,
    temp_bytes: u64,
    command: Vec<OsString>,
    environment: Vec<(String, OsString)>,
}

/// A command that starts the interpreter of `role` through the helper.
///
/// # Errors
/// [`SandboxError::Prepare`] where the request cannot be written.
pub(crate) fn command(
    helper: &Path,
    python: &Python,
    role: Role,
    limits: &Limits,
) -> Result<Command, SandboxError> {
    let request = Request {
        visible: python.visible.clone(),
        temp_bytes: limits.temp_bytes,
        command: command_line(python, role, limits),
        environment: environment(python).into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
    };
    let request = serde_json::to_string(&request)
        .map_err(|error| SandboxError::Prepare { what: "the helper's request", source: error.into() })?;
    let mut command = Command::new(helper);
    command.arg(OUTSIDE).arg(request).env_clear();
    Ok(command)
}

/// Acts as the helper if this process was started as one; a program that is to serve as its own helper calls this first,
/// while it has one thread.
///
/// Returns `None` where it was not, else the code to exit with.
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let stage = arguments.next()?;
    let act = match stage.to_str() {
        Some(OUTSIDE) => outside,
        Some(INSIDE) => inside,
        _ => return None,
    };
    let request = arguments.next().unwrap_or_default();
    Some(act(&request.to_string_lossy()).unwrap_or_else(|error| {
        // Nothing is left to tell if this cannot be written.
        let _ = writeln!(io::stderr(), "razor-sandbox: {error}");
        ExitCode::FAILURE
    }))
}

/// Enters new namespaces, starts process 1 of them and waits for it.
fn outside(request: &str) -> io::Result<ExitCode> {
    close_inherited()?;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .map_err(|error| at("enter new namespaces", error))?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    // After the change of user, which clears it.
    set_pdeathsig(Signal::SIGKILL)?;
    let mut first = Command::new("/proc/self/exe").args([INSIDE, request]).env_clear().spawn()?;
    // With these open here, neither side of a channel would see that the interpreter has ended.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    let status = first.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Builds the file system, gives up every right and becomes the interpreter. Returns only on failure.
fn inside(request: &str) -> io::Result<ExitCode> {
    let request: Request = serde_json::from_str(request)?;
    let directory = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let processes = open("/proc", OFlag::O_RDONLY | directory, Mode::empty())?;
    enter_file_system(&request).map_err(|error| at("build the file system", error))?;
    sethostname("sandbox")?;

    // A second user namespace, which owns nothing: the rights over the mounts stay behind.
    unshare(CloneFlags::CLONE_NEWUSER)?;
    for (file, text) in [
        ("self/setgroups", "deny".to_string()),
        ("self/uid_map", format!("{NOBODY} 0 1")),
        ("self/gid_map", format!("{NOBODY} 0 1")),
    ] {
        let opened = openat(&processes, file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        File::from(opened).write_all(text.as_bytes())?;
    }
    drop(processes);
    set_pdeathsig(Signal::SIGKILL)?;

    let [program, arguments @ ..] = request.command.as_slice() else {
        return Err(io::Error::other("the request names no program"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(request.environment).current_dir("/tmp");
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let filter = filter().map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
    Err(command.exec())
}

/// Makes a file system of the visible paths, a few devices and a small `/tmp`, and leaves the host's behind.
fn enter_file_system(request: &Request) -> io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // Built over a folder that exists and from which nothing is shown; only this mount namespace sees it.
    let root = ["/sys", "/mnt", "/media", "/srv"]
        .iter()
        .map(Path::new)
        .find(|folder| folder.is_dir() && !request.visible.iter().any(|path| path.starts_with(folder)))
        .ok_or_else(|| io::Error::other("no folder to build in"))?;
    let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), root, Some("tmpfs"), guarded, Some("mode=0755,size=1m,nr_inodes=4096"))?;
    let within = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    for path in &request.visible {
        bind(path, &within(path))?;
    }
    for device in DEVICES.iter().map(Path::new).filter(|device| device.exists()) {
        bind(device, &within(device))?;
    }
    let temp = within(Path::new("/tmp"));
    fs::create_dir_all(&temp)?;
    let size = format!("mode=0700,size={},nr_inodes=1024", request.temp_bytes);
    mount(Some("tmpfs"), &temp, Some("tmpfs"), guarded, Some(size.as_str()))?;

    make_read_only(root, &[temp, within(Path::new("/dev"))])?;
    env::set_current_dir(root)?;
    // Both names are the new root: the old one then lies on top of it and is taken off.
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    env::set_current_dir("/tmp")
}

/// Shows `source` at `target`, with whatever is mounted below it.
fn bind(source: &Path, target: &Path) -> io::Result<()> {
    if source.is_dir() {
        fs::create_dir_all(target)?;
    } else {
        fs::create_dir_all(target.parent().unwrap_or(target))?;
        File::create(target)?;
    }
    let none = None::<&str>;
    mount(Some(source), target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
        .map_err(|error| at(&format!("show {}", source.display()), error))
}

/// Makes every mount at or below `root` read-only, except those at or below `writable`.
fn make_read_only(root: &Path, writable: &[PathBuf]) -> io::Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    for point in mounts_of(&table, root) {
        if writable.iter().any(|path| point.starts_with(path)) {
            continue;
        }
        // The kernel refuses to drop a restriction that the host's mount has, so each is named again.
        let present = statvfs(&point)?.flags();
        let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        flags |= MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        for (restriction, flag) in [
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
            (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
            (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
            (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        ] {
            if present.contains(restriction) {
                flags |= flag;
            }
        }
        let none = None::<&str>;
        mount(none, &point, none, flags, none)
            .map_err(|error| at(&format!("make {} read-only", point.display()), error))?;
    }
    Ok(())
}

/// The mount on top at `root` and those on it. What `root` covers has names below it too, but cannot be reached.
fn mounts_of(table: &str, root: &Path) -> Vec<PathBuf> {
    let mounts: Vec<Mount> = table.lines().filter_map(Mount::parse).collect();
    let Some(top) = mounts.iter().rev().find(|mount| mount.point == root) else { return Vec::new() };
    let (mut numbers, mut points) = (vec![top.number], vec![top.point.clone()]);
    // A mount is listed after the one that it is on.
    for mount in &mounts {
        if numbers.contains(&mount.parent) {
            numbers.push(mount.number);
            points.push(mount.point.clone());
        }
    }
    points
}

/// What is needed of a line of `mountinfo`.
#[derive(Debug, PartialEq)]
struct Mount {
    number: u64,
    parent: u64,
    point: PathBuf,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let point = fields.get(4)?.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
        Some(Self {
            number: fields[0].parse().ok()?,
            parent: fields[1].parse().ok()?,
            point: PathBuf::from(point.replace("\\134", "\\")),
        })
    }
}

/// Closes what the starting process left open beside the three standard descriptors.
fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // The one that listed the folder is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

/// The error with what was being done.
fn at(what: &str, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r"
20 1 0:20 / / rw - ext4 /dev/vda rw
30 20 0:30 / /sys rw - sysfs sysfs rw
31 30 0:31 / /sys/fs/cgroup rw - tmpfs tmpfs rw
40 30 0:40 / /sys rw - tmpfs tmpfs rw
41 40 0:20 /usr/lib /sys/usr/lib rw - ext4 /dev/vda rw
42 41 0:50 / /sys/usr/lib/a\040folder ro - ext4 /dev/vdb ro";

    #[test]
    fn only_what_is_on_the_new_root_is_found() {
        let expected = ["/sys", "/sys/usr/lib", "/sys/usr/lib/a folder"].map(PathBuf::from);
        assert_eq!(mounts_of(TABLE, Path::new("/sys")), expected);
        assert!(mounts_of(TABLE, Path::new("/mnt")).is_empty());
    }

    #[test]
    fn a_line_without_a_mount_point_is_passed_over() {
        assert_eq!(Mount::parse("36 35"), None);
    }
}
