//! Peak memory of this process, where the system tells (Linux).

/// Peak resident memory since the last [`reset_peak`], in bytes.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Starts a new measurement of the peak; where the system does not allow it, the peak is that of the whole process.
pub(crate) fn reset_peak() {
    // Best effort: the number is information, not a result.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
