//! Bounds of what a plugin may take of the machine, as configured and as they
//! are kept.

use std::path::PathBuf;

use sidegate_settings::{Object, Shape, Table, key};

pub(crate) static LIMITS: Table = Table::new(
    "What a plugin, with all that it starts, may take of the machine. Kept by a cgroup of its own where one is delegated \
     to the proxy, else by a watch and by the processors that it may run on; the plugin's status says how.",
    &[
        key(
            "memory",
            Shape::Integer(1 << 20, 1 << 50),
            "none",
            "Bytes of memory. A plugin that takes more is killed and started again.",
        ),
        key(
            "cpus",
            Shape::Number(0.01, 1024.0),
            "none",
            "Processors, in parts if need be: `0.5` is half of one's time. Without a cgroup whole ones, rounded up.",
        ),
        key(
            "tasks",
            Shape::Integer(1, 4_194_304),
            "none",
            "Processes and threads. In a cgroup no more can be started; else a plugin that has more is killed and \
             started again.",
        ),
        key(
            "cgroup",
            Shape::Name,
            "the one that is delegated to the proxy",
            "Folder of a cgroup (version 2) below which the plugin gets its own. A start fails where that cannot be.",
        ),
    ],
);

/// Bounds as configured.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) memory: Option<u64>,
    pub(crate) cpus: Option<Cpus>,
    /// Processes and threads.
    pub(crate) tasks: Option<u64>,
    pub(crate) cgroup: Option<PathBuf>,
}

impl Eq for Limits {}

/// A share of the machine's processors, in thousandths of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpus(pub(crate) u32);

impl Limits {
    pub(crate) fn read(object: &Object<'_>) -> Limits {
        let thousandths = |cpus: f64| Cpus((cpus * 1000.0).ceil() as u32);
        let cgroup = object.get("cgroup").and_then(|setting| {
            let path = setting.text()?;
            if !path.starts_with('/') || path.contains('\0') {
                setting.expected("an absolute path");
                return None;
            }
            Some(PathBuf::from(path))
        });
        Limits {
            memory: object.get("memory").and_then(|s| s.integer()),
            cpus: object.get("cpus").and_then(|s| s.number()).map(thousandths),
            tasks: object.get("tasks").and_then(|s| s.integer()),
            cgroup,
        }
    }
}

impl Cpus {
    /// Whole processors that are enough for it.
    pub(crate) fn whole(self) -> usize {
        self.0.div_ceil(1000).max(1) as usize
    }
}
