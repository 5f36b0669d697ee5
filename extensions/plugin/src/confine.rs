//! How a plugin's bounds are kept on this machine: by a cgroup where there is
//! one for it, else by the processors that it may use and a watch.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity};
use sidegate_api::{LimitKeeper, PluginLimit, PluginLimits};
use sidegate_spawn::Bounds;

use crate::cgroup::{Cgroup, Delegation, Keeps};
use crate::fault::{Failed, Fault};
use crate::limits::Limits;
use crate::usage::{Usage, of_group};

/// Between looks at what a plugin takes.
pub(crate) const WATCH_EACH: Duration = Duration::from_millis(250);

/// Where plugins are put; of the thread that starts them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// What is delegated, once somebody has looked.
    delegated: Option<Option<Delegation>>,
    named: Vec<(std::path::PathBuf, Delegation)>,
    number: u64,
}

/// What holds one process of a plugin.
#[derive(Debug, Default)]
pub(crate) struct Confinement {
    pub(crate) cgroup: Option<Cgroup>,
    limits: Limits,
    processors: Option<CpuSet>,
}

impl Places {
    /// A place for a program with these bounds.
    pub(crate) fn take(&mut self, limits: &Limits) -> io::Result<Confinement> {
        self.number += 1;
        let cgroup = self.cgroup(limits)?;
        let keeps = cgroup.as_ref().map_or_else(Keeps::default, |cgroup| cgroup.keeps);
        let processors = match limits.cpus {
            Some(cpus) if !keeps.cpus => choose(&sched_getaffinity(None)?, cpus.whole(), self.number as usize),
            _ => None,
        };
        Ok(Confinement { cgroup, limits: limits.clone(), processors })
    }

    fn cgroup(&mut self, limits: &Limits) -> io::Result<Option<Cgroup>> {
        if let Some(folder) = &limits.cgroup {
            let number = self.number;
            return self.named(folder)?.make(number, limits).map(Some);
        }
        let number = self.number;
        let delegated = self.delegated.get_or_insert_with(|| match Delegation::find() {
            Ok(delegation) => Some(delegation),
            Err(why) => {
                tracing::info!("plugins have no cgroups of their own: {why}");
                None
            }
        });
        let Some(delegation) = delegated else { return Ok(None) };
        match delegation.make(number, limits) {
            Ok(cgroup) => Ok(Some(cgroup)),
            Err(error) => {
                tracing::warn!(%error, "a plugin gets no cgroup of its own");
                Ok(None)
            }
        }
    }

    fn named(&mut self, folder: &Path) -> io::Result<&Delegation> {
        let at = match self.named.iter().position(|(known, _)| known == folder) {
            Some(at) => at,
            None => {
                let delegation = Delegation::at(folder).map_err(io::Error::other)?;
                self.named.push((folder.to_path_buf(), delegation));
                self.named.len() - 1
            }
        };
        self.named.get(at).map(|(_, delegation)| delegation).ok_or_else(|| io::Error::other("no such cgroup"))
    }
}

impl Confinement {
    /// What the child is told before its first instruction.
    pub(crate) fn bounds(&self) -> io::Result<Bounds> {
        let cgroup = self.cgroup.as_ref().map(Cgroup::door).transpose()?;
        Ok(Bounds { cgroup, processors: self.processors })
    }

    fn keeps(&self) -> Keeps {
        self.cgroup.as_ref().map_or_else(Keeps::default, |cgroup| cgroup.keeps)
    }

    /// What is kept, and how.
    pub(crate) fn status(&self) -> PluginLimits {
        let keeps = self.keeps();
        let by = |kept, otherwise| if kept { LimitKeeper::Cgroup } else { otherwise };
        let (limits, watch) = (&self.limits, LimitKeeper::Watch);
        PluginLimits {
            cgroup: self.cgroup.as_ref().map(|cgroup| cgroup.folder().display().to_string()),
            memory: limits.memory.map(|value| PluginLimit { value: value as f64, by: by(keeps.memory, watch) }),
            cpus: limits.cpus.map(|cpus| match self.processors {
                Some(set) => PluginLimit { value: f64::from(set.count()), by: LimitKeeper::Affinity },
                // As many as there are, or more.
                None => PluginLimit { value: f64::from(cpus.0) / 1000.0, by: by(keeps.cpus, LimitKeeper::Affinity) },
            }),
            tasks: limits.tasks.map(|value| PluginLimit { value: value as f64, by: by(keeps.tasks, watch) }),
        }
    }

    /// Ends once the group of `leader` takes more than it may, where only a
    /// watch keeps that; says what it took.
    pub(crate) async fn watch(watched: Watched, leader: u32) -> Failed {
        if watched == Watched::default() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(WATCH_EACH).await;
            // Reads many files.
            let Ok(usage) = tokio::task::spawn_blocking(move || of_group(leader)).await else { continue };
            if let Some(why) = watched.exceeded_by(usage) {
                return why;
            }
        }
    }

    /// What nobody else keeps.
    pub(crate) fn watched(&self) -> Watched {
        let keeps = self.keeps();
        Watched {
            memory: self.limits.memory.filter(|_| !keeps.memory),
            tasks: self.limits.tasks.filter(|_| !keeps.tasks),
        }
    }
}

/// Bounds that are kept by looking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    memory: Option<u64>,
    tasks: Option<u64>,
}

impl Watched {
    fn exceeded_by(self, usage: Usage) -> Option<Failed> {
        if let Some(most) = self.memory.filter(|most| usage.memory > *most) {
            let has = usage.memory;
            return Some(Fault::Memory.because(format_args!("it has {has} bytes of memory, and may have {most}")));
        }
        let most = self.tasks.filter(|most| usage.tasks > *most)?;
        let has = usage.tasks;
        Some(Fault::Tasks.because(format_args!("it has {has} processes and threads, and may have {most}")))
    }
}

/// So many of the processors that this process may use, others for each
/// plugin; `None`: all of them.
fn choose(own: &CpuSet, count: usize, number: usize) -> Option<CpuSet> {
    let known: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| own.is_set(*at)).collect();
    if count >= known.len() {
        return None;
    }
    let mut chosen = CpuSet::new();
    let from = number.wrapping_mul(count);
    known.iter().cycle().skip(from % known.len()).take(count).for_each(|at| chosen.set(*at));
    Some(chosen)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_shared_out_in_turn() {
        let mut own = CpuSet::new();
        [1, 3, 5, 7].iter().for_each(|at| own.set(*at));
        let chosen = |count, number| {
            let set = choose(&own, count, number)?;
            Some((0..CpuSet::MAX_CPU).filter(|at| set.is_set(*at)).collect::<Vec<_>>())
        };
        assert_eq!(chosen(1, 0), Some(vec![1]));
        assert_eq!(chosen(1, 1), Some(vec![3]));
        assert_eq!(chosen(2, 1), Some(vec![5, 7]));
        assert_eq!(chosen(3, 1), Some(vec![1, 3, 7]));
        assert_eq!(chosen(4, 1), None);
        assert_eq!(chosen(9, 1), None);
    }

    #[test]
    fn what_is_too_much_is_said() {
        let watched = Watched { memory: Some(100), tasks: Some(2) };
        assert_eq!(watched.exceeded_by(Usage { memory: 100, tasks: 2 }), None);
        let why = watched.exceeded_by(Usage { memory: 101, tasks: 2 }).unwrap().why;
        assert_eq!(why, "it has 101 bytes of memory, and may have 100");
        let why = watched.exceeded_by(Usage { memory: 1, tasks: 3 }).unwrap().why;
        assert_eq!(why, "it has 3 processes and threads, and may have 2");
        assert_eq!(Watched::default().exceeded_by(Usage { memory: 101, tasks: 3 }), None);
    }
}
