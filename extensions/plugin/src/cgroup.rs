//! Cgroups of version 2 that plugins run in: who may make them where, what they
//! are told, and their end. Plain files; nothing here is needed where there are
//! none.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access, getxattr};
use rustix::process::{Pid, geteuid, getpid, getppid};

use crate::limits::{Cpus, Limits};

/// What the folders of plugins' cgroups begin with; the process id follows.
const PREFIX: &str = "sidegate-plugin.";
/// Where this process goes, as a cgroup that passes controllers on may hold no
/// process itself.
const OWN: &str = "sidegate";
/// Microseconds by which `cpu.max` counts.
const PERIOD: u64 = 100_000;
/// How long processes that were killed may take to be gone.
const EMPTIED: Duration = Duration::from_secs(2);

/// A folder below which plugins get cgroups.
#[derive(Debug, Clone)]
pub(crate) struct Delegation {
    folder: PathBuf,
}

/// The cgroup of one process of a plugin.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
    /// Which bounds the kernel keeps here.
    pub(crate) keeps: Keeps,
}

/// Bounds that are kept by a cgroup; the others are for somebody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Keeps {
    pub(crate) memory: bool,
    pub(crate) cpus: bool,
    pub(crate) tasks: bool,
}

impl Delegation {
    /// The cgroup that was delegated to this process; an error says why there
    /// is none. Moves this process to a cgroup below it where that is needed.
    pub(crate) fn find() -> Result<Self, String> {
        let own = own_folder()?;
        // With `DelegateSubgroup=` of systemd it is the one above.
        let above = own.parent().filter(|above| is_marked(above));
        let folder = Some(own.path()).filter(|own| is_delegated(own)).or(above);
        let folder = folder.ok_or("no cgroup is delegated to this process")?;
        writable(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let delegation = Delegation { folder };
        delegation.pass_controllers_on();
        delegation.sweep();
        Ok(delegation)
    }

    /// The one that a configuration names.
    pub(crate) fn at(folder: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the cgroup {} cannot be used: {error}", folder.display());
        if !folder.join("cgroup.procs").exists() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "it is no cgroup of version 2")));
        }
        writable(folder).map_err(failed)?;
        let delegation = Delegation { folder: folder.to_path_buf() };
        delegation.pass_controllers_on();
        delegation.sweep();
        Ok(delegation)
    }

    /// Makes the cgroup number `number` of this process, which keeps what it
    /// can of `limits`.
    pub(crate) fn make(&self, number: u64, limits: &Limits) -> io::Result<Cgroup> {
        let folder = self.folder.join(format!("{PREFIX}{}.{number}", getpid().as_raw_nonzero()));
        fs::create_dir(&folder)?;
        let mut cgroup = Cgroup { folder, keeps: Keeps::default() };
        let told = |file: &str, text: String| fs::write(cgroup.folder.join(file), text).is_ok();
        let keeps = Keeps {
            memory: limits.memory.is_some_and(|bytes| {
                // Else it would go on in swapped memory; where there is no
                // such file nothing is swapped.
                told("memory.swap.max", "0".to_owned());
                told("memory.oom.group", "1".to_owned());
                told("memory.max", bytes.to_string())
            }),
            cpus: limits.cpus.is_some_and(|cpus| told("cpu.max", format!("{} {PERIOD}", quota(cpus)))),
            tasks: limits.tasks.is_some_and(|tasks| told("pids.max", tasks.to_string())),
        };
        cgroup.keeps = keeps;
        Ok(cgroup)
    }

    /// Each by itself: what cannot be passed on is kept in another way.
    fn pass_controllers_on(&self) {
        let control = self.folder.join("cgroup.subtree_control");
        let known = fs::read_to_string(self.folder.join("cgroup.controllers")).unwrap_or_default();
        let passed = fs::read_to_string(&control).unwrap_or_default();
        let is_in = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
        let mut moved = false;
        for name in ["memory", "cpu", "pids"] {
            if !is_in(&known, name) || is_in(&passed, name) {
                continue;
            }
            let pass = || fs::write(&control, format!("+{name}"));
            if pass().is_err() && !moved {
                moved = true;
                if let Err(error) = self.step_aside() {
                    tracing::debug!(%error, "cannot leave the cgroup that is delegated");
                }
                let _ = pass();
            }
        }
    }

    /// Moves this process, and its init if that is ours, one cgroup below, if
    /// it is here.
    fn step_aside(&self) -> io::Result<()> {
        let own = getpid();
        let here = fs::read_to_string(self.folder.join("cgroup.procs"))?;
        let is_here = |pid: Pid| here.split_whitespace().any(|line| line == pid.as_raw_nonzero().to_string());
        if !is_here(own) {
            return Ok(());
        }
        let below = self.folder.join(OWN);
        match fs::create_dir(&below) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let init = getppid().filter(|parent| parent.is_init() && is_here(*parent));
        for pid in [Some(own), init].into_iter().flatten() {
            fs::write(below.join("cgroup.procs"), pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }

    /// Ends what plugins have left here of processes that are gone, and that
    /// could not end it themselves.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split_once('.'));
            let Some((owner, _)) = owner else { continue };
            if owner != getpid().as_raw_nonzero().to_string() && !Path::new("/proc").join(owner).exists() {
                tracing::warn!(cgroup = %entry.path().display(), "a plugin of a process that is gone is killed");
                Cgroup { folder: entry.path(), keeps: Keeps::default() }.remove();
            }
        }
    }
}

impl Cgroup {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// By which a process enters it.
    pub(crate) fn door(&self) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))?.into())
    }

    /// Kills everybody in it, whatever group or session they made.
    pub(crate) fn kill(&self) {
        if fs::write(self.folder.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Before Linux 5.14.
        for pid in fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default().split_whitespace() {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// How many processes the kernel has killed here for want of memory.
    pub(crate) fn killed_for_memory(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Kills everybody in it and takes it away. Blocks until that is done, or
    /// for two seconds.
    pub(crate) fn remove(&self) {
        let begun = Instant::now();
        loop {
            self.kill();
            match fs::remove_dir(&self.folder) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) if begun.elapsed() < EMPTIED => thread::sleep(Duration::from_millis(5)),
                Err(error) => {
                    tracing::warn!(cgroup = %self.folder.display(), %error, "a cgroup stays behind");
                    return;
                }
            }
        }
    }
}

fn quota(cpus: Cpus) -> u64 {
    // The kernel takes no less than a millisecond.
    (u64::from(cpus.0) * PERIOD / 1000).max(1000)
}

/// Where a process is among cgroups.
#[derive(Debug, PartialEq, Eq)]
struct Own {
    mount: PathBuf,
    /// Below `mount`.
    below: PathBuf,
}

impl Own {
    fn path(&self) -> PathBuf {
        self.mount.join(&self.below)
    }

    /// The cgroup above, if it can be seen.
    fn parent(&self) -> Option<PathBuf> {
        self.below.parent().map(|above| self.mount.join(above))
    }
}

fn own_folder() -> Result<Own, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    own_among(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
}

fn own_among(cgroups: &str, mounts: &str) -> Result<Own, String> {
    let name = cgroups.lines().find_map(|line| line.strip_prefix("0::")).ok_or("there are no cgroups of version 2")?;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        if !after.starts_with("cgroup2 ") {
            continue;
        }
        // Number, parent, device, root, place.
        let mut words = before.split(' ').skip(3);
        let (Some(root), Some(place)) = (words.next(), words.next()) else { continue };
        if let Ok(below) = Path::new(name).strip_prefix(root)
            && !name.starts_with("/..")
        {
            return Ok(Own { mount: place.into(), below: below.to_path_buf() });
        }
    }
    Err("no cgroup of version 2 is mounted that holds this process".to_owned())
}

/// Whether the cgroup was given to this process: by systemd's mark, by its
/// owner, or because it is all that is seen of cgroups in a container.
fn is_delegated(folder: &Path) -> bool {
    let own = geteuid();
    let is_ours = fs::metadata(folder).is_ok_and(|data| !own.is_root() && data.uid() == own.as_raw());
    is_marked(folder) || is_ours || is_root_of_namespace(folder)
}

fn is_marked(folder: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        getxattr(folder, *name, &mut value[..]).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// The root of a namespace is a cgroup like others, with a type; the machine's
/// has none.
fn is_root_of_namespace(folder: &Path) -> bool {
    let is_root = fs::read_to_string("/proc/self/cgroup").is_ok_and(|text| text.lines().any(|line| line == "0::/"));
    is_root && folder.join("cgroup.type").exists()
}

fn writable(folder: &Path) -> io::Result<()> {
    for name in ["", "cgroup.procs", "cgroup.subtree_control"] {
        access(folder.join(name).as_path(), Access::WRITE_OK)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 0:5 / /proc rw - proc proc rw\n\
                          30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sidegate-cgroup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_process_finds_where_it_is() {
        let own = own_among("4:memory:/x\n0::/system.slice/sidegate.service\n", MOUNTS).unwrap();
        assert_eq!(own.path(), Path::new("/sys/fs/cgroup/system.slice/sidegate.service"));
        assert_eq!(own.parent().unwrap(), Path::new("/sys/fs/cgroup/system.slice"));
        let root = own_among("0::/\n", MOUNTS).unwrap();
        assert_eq!(root.parent(), None);
        // As a container without a namespace of its own sees it.
        let part = MOUNTS.replace("0:26 / /sys", "0:26 /docker/7 /sys");
        assert_eq!(own_among("0::/docker/7/a\n", &part).unwrap().path(), Path::new("/sys/fs/cgroup/a"));
        for (cgroups, mounts) in
            [("4:memory:/\n", MOUNTS), ("0::/\n", ""), ("0::/../x\n", MOUNTS), ("0::/other\n", &part)]
        {
            assert!(own_among(cgroups, mounts).is_err(), "{cgroups} {mounts}");
        }
    }

    #[test]
    fn bounds_are_written_as_the_kernel_reads_them() {
        let folder = scratch("bounds");
        let limits = Limits { memory: Some(64 << 20), cpus: Some(Cpus(1500)), tasks: Some(9), cgroup: None };
        let cgroup = Delegation { folder: folder.clone() }.make(1, &limits).unwrap();
        assert_eq!(cgroup.keeps, Keeps { memory: true, cpus: true, tasks: true });
        let text = |file: &str| fs::read_to_string(cgroup.folder().join(file)).unwrap();
        assert_eq!(text("memory.max"), "67108864");
        assert_eq!(text("memory.swap.max"), "0");
        assert_eq!(text("memory.oom.group"), "1");
        assert_eq!(text("cpu.max"), "150000 100000");
        assert_eq!(text("pids.max"), "9");
        fs::write(cgroup.folder().join("memory.events"), "low 0\noom 2\noom_kill 3\n").unwrap();
        assert_eq!(cgroup.killed_for_memory(), 3);
        let free = Delegation { folder: folder.clone() }.make(2, &Limits::default()).unwrap();
        assert_eq!((free.keeps, free.killed_for_memory()), (Keeps::default(), 0));
        assert_eq!(fs::read_dir(free.folder()).unwrap().count(), 0);
        assert_eq!(quota(Cpus(1)), 1000);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_cgroup_is_refused() {
        let folder = scratch("none");
        assert!(Delegation::at(&folder).unwrap_err().contains("no cgroup"));
        assert!(Delegation::at(Path::new("/nowhere")).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
