//! What Linux says of the memory of this process; elsewhere nothing is known.

/// Memory that is resident now, bytes.
pub(super) fn resident_bytes() -> Option<usize> {
    status_bytes("VmRSS:")
}

/// Most memory that was resident so far, bytes.
pub(super) fn peak_bytes() -> Option<usize> {
    status_bytes("VmHWM:")
}

fn status_bytes(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}
