//! What there is, and what limits come to on it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Bound, ConnectionLimits, OverloadConfig, Thresholds};

/// Below this a process of this size does not run.
const LEAST_MEMORY: u64 = 32 << 20;

/// What the process could use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Bytes of memory: the least limit of its control groups, or what the
    /// machine has.
    pub memory: Option<u64>,
    /// Descriptors that it may open.
    pub descriptors: Option<u64>,
}

/// Limits as numbers; `None`: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedLimits {
    /// Resident bytes.
    pub memory: Option<u64>,
    /// Held bytes.
    pub buffered_bytes: Option<u64>,
    /// Connections of clients.
    pub connections: ConnectionLimits,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Streams in progress.
    pub streams: Option<u64>,
    /// Streams that wait for a filter.
    pub pending_filters: Option<u64>,
}

/// What counts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) limits: ResolvedLimits,
    pub(crate) actions: Thresholds,
}

impl InForce {
    /// What `config` comes to on `machine`.
    pub(crate) fn new(config: &OverloadConfig, machine: &Machine) -> Self {
        InForce { limits: ResolvedLimits::new(config, machine), actions: config.actions }
    }
}

impl ResolvedLimits {
    /// The limits of `config` on `machine`.
    pub fn new(config: &OverloadConfig, machine: &Machine) -> Self {
        let memory = resolve(config.memory, machine.memory).map(|bytes| match config.memory {
            // A share of little memory may be less than anything runs in.
            Bound::Share(_) => bytes.max(LEAST_MEMORY),
            _ => bytes,
        });
        ResolvedLimits {
            memory,
            buffered_bytes: resolve(config.buffered_bytes, memory.or(machine.memory)),
            connections: config.connections,
            descriptors: resolve(config.descriptors, machine.descriptors),
            streams: config.streams,
            pending_filters: config.pending_filters,
        }
    }
}

fn resolve(bound: Bound, whole: Option<u64>) -> Option<u64> {
    match bound {
        Bound::Off => None,
        Bound::Absolute(limit) => Some(limit),
        Bound::Share(percent) => whole.map(|whole| percent.of(whole)),
    }
}

impl Machine {
    /// As the system says now.
    pub fn detect() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Machine { memory: memory(Path::new("/")), descriptors }
    }
}

/// Memory under `root`, where `/proc` and `/sys` are.
fn memory(root: &Path) -> Option<u64> {
    let total = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| mem_total(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    control_group_limits(root, &groups).into_iter().chain(total).min()
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Limits of the process's group and of all above it. In a container the
/// group's path may be one of the host that is not mounted here; what is
/// mounted then is the container's own.
fn control_group_limits(root: &Path, groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, files): (&str, &[&str]) = match controllers {
            "" => ("sys/fs/cgroup", &["memory.max", "memory.high"]),
            names if names.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
            }
            _ => continue,
        };
        let mount = root.join(mount);
        let inside: PathBuf =
            Path::new(path).components().filter(|c| matches!(c, std::path::Component::Normal(_))).collect();
        for group in inside.ancestors() {
            for file in files {
                let text = fs::read_to_string(mount.join(group).join(file)).unwrap_or_default();
                // `max` is no number: no limit.
                limits.extend(text.trim().parse::<u64>().ok());
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Percent;

    const GIB: u64 = 1 << 30;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("sidegate-limits-{}-{name}", std::process::id()));
            for (file, text) in files.iter().chain(&[("proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\n")]) {
                let file = root.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_least_limit_of_the_groups_above_counts() {
        for (name, files, wanted) in [
            ("machine", &[][..], 8 * GIB),
            ("none", &[("proc/self/cgroup", "0::/a/b\n"), ("sys/fs/cgroup/a/b/memory.max", "max\n")][..], 8 * GIB),
            (
                "parent",
                &[
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
                ][..],
                GIB,
            ),
            (
                "host path",
                &[("proc/self/cgroup", "0::/../../kubepods/x\n"), ("sys/fs/cgroup/memory.high", "2147483648\n")][..],
                2 * GIB,
            ),
            (
                "version 1",
                &[
                    ("proc/self/cgroup", "3:cpu,cpuacct:/c\n2:memory:/c\n0::/\n"),
                    ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "3221225472\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ][..],
                3 * GIB,
            ),
        ] {
            let tree = Tree::new(&name.replace(' ', "-"), files);
            assert_eq!(memory(&tree.0), Some(wanted), "{name}");
        }
    }

    #[test]
    fn shares_are_of_what_there_is() {
        let machine = Machine { memory: Some(10 * GIB), descriptors: Some(1000) };
        let limits = ResolvedLimits::new(&OverloadConfig::default(), &machine);
        assert_eq!((limits.memory, limits.buffered_bytes), (Some(8 * GIB), Some(8 * GIB * 2 / 5)));
        assert_eq!(limits.descriptors, Some(900));
        let small = Machine { memory: Some(16 << 20), ..machine };
        assert_eq!(ResolvedLimits::new(&OverloadConfig::default(), &small).memory, Some(LEAST_MEMORY));
        let off = OverloadConfig { memory: Bound::Off, ..OverloadConfig::default() };
        assert_eq!(ResolvedLimits::new(&off, &machine).buffered_bytes, Some(4 * GIB));
        let half = Percent::new(50).unwrap();
        let of_given = OverloadConfig {
            memory: Bound::Absolute(GIB),
            buffered_bytes: Bound::Share(half),
            ..OverloadConfig::default()
        };
        assert_eq!(ResolvedLimits::new(&of_given, &machine).buffered_bytes, Some(GIB / 2));
        assert_eq!(ResolvedLimits::new(&OverloadConfig::default(), &Machine::default()).memory, None);
    }
}
