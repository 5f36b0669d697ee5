//! Imports with which a module can make, replace or end a process. They are no
//! reason to refuse it, and somebody who puts it into a proxy wants to know.

use crate::elf::{Binding, Symbol};

/// Functions of libc that make a process, put another program in its place, or
/// end it. Not `abort`, which every Rust and C++ library imports.
const CALLS: [&str; 34] = [
    "fork",
    "vfork",
    "_Fork",
    "__fork",
    "__libc_fork",
    "__vfork",
    "forkpty",
    "daemon",
    "clone",
    "__clone",
    "__clone2",
    "clone3",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "posix_spawn",
    "posix_spawnp",
    "pidfd_spawn",
    "pidfd_spawnp",
    "system",
    "__libc_system",
    "popen",
    "_IO_popen",
    "wordexp",
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
];

/// Which of them are imported, sorted.
pub(super) fn process_calls(symbols: &[Symbol<'_>]) -> Vec<String> {
    let imported = symbols.iter().filter(|s| !s.defined && s.binding != Binding::Local);
    let mut names: Vec<String> = imported
        .filter_map(|s| std::str::from_utf8(s.name).ok())
        .filter(|name| CALLS.contains(name))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
