//! Child processes that do not outlive the thread that started them.
//!
//! The only `unsafe` code of the extensions: what is done between `fork` and
//! `exec`, where other threads' locks may be held for ever, so that nothing may
//! be called that takes one or allocates; and [`become_init`], which forks.

mod init;

pub use init::{become_init, is_init};

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, getpid, getppid};
use rustix::thread::{CpuSet, sched_setaffinity};

/// First of the descriptors that a child must not have.
const FIRST_OWN: libc::c_uint = 3;

/// What holds a child, and whoever it starts, from its first instruction on.
#[derive(Debug, Default)]
pub struct Bounds {
    /// `cgroup.procs` of the cgroup that it enters, open for writing.
    pub cgroup: Option<OwnedFd>,
    /// The processors that it may use.
    pub processors: Option<CpuSet>,
}

/// Starts `command` as the leader of a process group of its own. The kernel
/// kills it as soon as the calling *thread* ends, however that comes about: the
/// thread has to live for as long as the child may. Beside its standard streams
/// the child has no descriptor of this process.
pub fn spawn(command: &mut Command, bounds: Bounds) -> io::Result<Child> {
    command.process_group(0);
    let parent = getpid();
    let highest = highest_descriptor();
    // SAFETY: `prepare` makes system calls only; it neither allocates nor takes
    // locks, and it owns what it reads.
    unsafe {
        command.pre_exec(move || prepare(parent, highest, &bounds));
    }
    sidegate_watch::starting_a_program(|| command.spawn())
}

/// Bytes of what `/proc` calls a page.
pub fn page_size() -> u64 {
    const USUAL: u64 = 4096;
    // SAFETY: the call takes a number and touches no memory of ours.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(USUAL)
}

/// In the child, right before `exec`.
fn prepare(parent: Pid, highest: libc::c_uint, bounds: &Bounds) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Whoever died before that sends no signal any more.
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    if let Some(cgroup) = &bounds.cgroup {
        // Whoever writes it.
        rustix::io::write(cgroup, b"0")?;
    }
    if let Some(processors) = &bounds.processors {
        sched_setaffinity(None, processors)?;
    }
    close_at_exec(highest)
}

/// Marks descriptors instead of closing them: one is the pipe by which a failed
/// `exec` is told.
fn close_at_exec(highest: libc::c_uint) -> io::Result<()> {
    // SAFETY: the system call takes three numbers, and touches no memory.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST_OWN, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    if done == 0 {
        return Ok(());
    }
    // Before Linux 5.11, or where a filter of system calls does not know it.
    for descriptor in FIRST_OWN..=highest {
        // SAFETY: as above; a number that is no descriptor is an error that
        // means nothing here.
        unsafe {
            libc::fcntl(descriptor as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
    Ok(())
}

/// The highest open descriptor by now; where that cannot be told, one that is
/// high enough.
fn highest_descriptor() -> libc::c_uint {
    const HIGH: libc::c_uint = 65_535;
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return HIGH };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.max().unwrap_or(HIGH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process::Stdio;

    use super::*;

    fn output(program: &str) -> String {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", program]).stdin(Stdio::null()).stdout(Stdio::piped());
        let output = spawn(&mut command, Bounds::default()).unwrap().wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_child_leads_a_group_of_its_own() {
        let text = output("echo $$ $(cut -d' ' -f5 /proc/$$/stat)");
        let (pid, group) = text.trim().split_once(' ').unwrap();
        assert_eq!(pid, group);
    }

    #[test]
    fn a_child_has_no_descriptor_of_ours() {
        // Not closed at exec, as a library might open it.
        let file = std::fs::File::open("/dev/null").unwrap();
        let low = rustix::io::fcntl_dupfd_cloexec(&file, 40).unwrap();
        rustix::io::fcntl_setfd(&low, rustix::io::FdFlags::empty()).unwrap();
        let text = output("ls /proc/$$/fd");
        assert!(!text.lines().any(|fd| fd == low.as_raw_fd().to_string()), "{text}");
        assert!(text.lines().filter_map(|fd| fd.parse::<i32>().ok()).filter(|fd| *fd < 3).count() == 3, "{text}");
    }

    #[test]
    fn a_child_may_be_bound_to_processors() {
        let own = rustix::thread::sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|at| own.is_set(*at)).unwrap();
        let mut one = CpuSet::new();
        one.set(first);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "grep Cpus_allowed_list /proc/$$/status"]).stdout(Stdio::piped());
        let child = spawn(&mut command, Bounds { processors: Some(one), ..Bounds::default() }).unwrap();
        let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(text.split_whitespace().last(), Some(&*first.to_string()), "{text}");
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let mut nowhere = Command::new("/nowhere/at/all");
        assert_eq!(spawn(&mut nowhere, Bounds::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let sleeps = || spawn(Command::new("/bin/sleep").arg("600"), Bounds::default()).unwrap();
        let child = std::thread::spawn(sleeps).join().unwrap();
        let mut child = child;
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    }
}
