//! What a plugin takes of the machine, by `/proc`: for where no cgroup counts.

use std::collections::HashMap;
use std::fs;

/// Of all processes of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident bytes; pages that processes share count in each.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) tasks: u64,
}

/// What one line of `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    group: u32,
    threads: u64,
    /// Pages.
    resident: u64,
}

/// What is taken by the process group of `leader`, and by those who come from
/// it and have left the group. Reads all of `/proc`.
pub(crate) fn of_group(leader: u32) -> Usage {
    let Ok(entries) = fs::read_dir("/proc") else { return Usage::default() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let all: HashMap<u32, Stat> =
        pids.filter_map(|pid| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect();
    sum(leader, &all, sidegate_spawn::page_size())
}

fn sum(leader: u32, all: &HashMap<u32, Stat>, page: u64) -> Usage {
    let is_of = |pid: u32, stat: &Stat| {
        // Up the parents; a table that was read while it changed may have a circle.
        let (mut pid, mut stat) = (pid, stat);
        for _ in 0..64 {
            if pid == leader || stat.group == leader {
                return true;
            }
            pid = stat.parent;
            match all.get(&pid) {
                Some(parent) => stat = parent,
                None => return false,
            }
        }
        false
    };
    let of_it = all.iter().filter(|(pid, stat)| is_of(**pid, stat)).map(|(_, stat)| stat);
    of_it.fold(Usage::default(), |sum, stat| Usage {
        memory: sum.memory + stat.resident * page,
        tasks: sum.tasks + stat.threads,
    })
}

/// The name of the program, in parentheses, may hold anything.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse().ok();
    let is_zombie = words.first() == Some(&"Z");
    Some(Stat {
        parent: words.get(1)?.parse().ok()?,
        group: words.get(2)?.parse().ok()?,
        threads: if is_zombie { 0 } else { number(17)? },
        resident: number(21)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_the_program_is_called() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 100 1000 250 18446744073709551615";
        assert_eq!(parse(line), Some(Stat { parent: 1, group: 7, threads: 3, resident: 250 }));
        for line in ["", "7 (a)", "7 (a) S 1", "7 (a) S x y z"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn all_that_come_from_the_leader_count() {
        let stat = |parent, group| Stat { parent, group, threads: 2, resident: 10 };
        let all: HashMap<u32, Stat> = [
            (5, stat(1, 5)),
            (6, stat(5, 5)),
            // Another group, and one whose parent is gone.
            (7, stat(6, 7)),
            (8, stat(1, 5)),
            // Others'.
            (9, stat(1, 9)),
            (10, stat(11, 10)),
            (11, stat(10, 10)),
        ]
        .into();
        assert_eq!(sum(5, &all, 4096), Usage { memory: 4 * 10 * 4096, tasks: 8 });
    }

    #[test]
    fn a_process_sees_itself() {
        let usage = of_group(std::process::id());
        assert!(usage.memory > 1 << 16 && usage.tasks >= 1, "{usage:?}");
    }
}
