//! The interpreter inside `bwrap`.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};

use crate::sandbox::interpreter::{Role, command_line, environment};
use crate::sandbox::python::Python;
use crate::sandbox::system_calls::filter_bytes;
use crate::sandbox::{Limits, SandboxError};

/// Where bubblewrap finds the filter; it closes the descriptor before the interpreter starts.
const FILTER_DESCRIPTOR: i32 = 3;
/// Devices that Python programs expect; none gives access to anything.
pub(crate) const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// A command that starts the interpreter of `role` in a fresh sandbox.
///
/// # Errors
/// [`SandboxError::Filter`], or [`SandboxError::Prepare`] where no pipe can be made.
pub(crate) fn command(
    bubblewrap: &Path,
    python: &Python,
    role: Role,
    limits: &Limits,
) -> Result<Command, SandboxError> {
    let mut command = Command::new(bubblewrap);
    command.args(["--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"]);
    command.args(["--hostname", "sandbox", "--cap-drop", "ALL", "--new-session", "--die-with-parent"]);
    for path in &python.visible {
        command.arg("--ro-bind").args([path, path]);
    }
    for device in DEVICES {
        command.args(["--dev-bind-try", device, device]);
    }
    let temp_bytes = limits.temp_bytes.to_string();
    command.args(["--size", &temp_bytes, "--tmpfs", "/tmp", "--chdir", "/tmp"]);
    command.args(["--remount-ro", "/", "--clearenv"]);
    for (name, value) in environment(python) {
        command.args(["--setenv", name]).arg(value);
    }
    command.args(["--seccomp", &FILTER_DESCRIPTOR.to_string(), "--"]);
    command.args(command_line(python, role, limits)).env_clear();

    let prepare = |source: io::Error| SandboxError::Prepare { what: "a pipe for the filter", source };
    let (reader, mut writer) = io::pipe().map_err(prepare)?;
    // A pipe holds 64 KiB, more than the filter: nobody need read yet.
    writer.write_all(&filter_bytes()?).map_err(prepare)?;
    command
        .fd_mappings(vec![FdMapping { parent_fd: reader.into(), child_fd: FILTER_DESCRIPTOR }])
        .expect("one descriptor cannot collide");
    Ok(command)
}
