//! The process's own figures, read from the system when asked for.

use std::fs;

use super::prometheus::{Kind, Writer};

/// Adds `process_*`. Figures that the system does not give are left out.
pub(super) fn write_process(page: &mut Writer) {
    let mut figure = |name: &str, kind: Kind, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            page.figure(name, kind, help, value);
        }
    };
    figure("process_cpu_seconds_total", Kind::Counter, "User and system CPU time in seconds.", Some(cpu_seconds()));
    figure("process_resident_memory_bytes", Kind::Gauge, "Resident memory in bytes.", resident_bytes());
    figure("process_open_fds", Kind::Gauge, "Open file descriptors.", open_fds());
    figure("process_start_time_seconds", Kind::Gauge, "Start of the process in seconds since 1970.", start_seconds());
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // Microseconds are more than the clock's users can tell apart.
    (time.tv_sec as f64 * 1e6 + (time.tv_nsec / 1000) as f64) / 1e6
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024) as f64)
}

fn open_fds() -> Option<f64> {
    // The folder that is being read is itself open.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    Some(count as f64)
}

fn start_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the command, may hold blanks and parentheses; what
    // follows its last parenthesis starts with the third.
    let (_, after_command) = stat.rsplit_once(')')?;
    let ticks: u64 = after_command.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot as f64 + ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
