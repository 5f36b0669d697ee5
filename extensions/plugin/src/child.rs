//! Programs as child processes, from their start to the end of their group.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::oneshot;

use crate::cgroup::Cgroup;
use crate::confine::{Confinement, Places};
use crate::fault::{Failed, Fault};
use crate::spec::Program;

/// The thread that starts programs. The kernel kills them when it ends, so it
/// lives for as long as anything may be started.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    program: Box<Program>,
    done: oneshot::Sender<io::Result<Started>>,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// A process and its group. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// `None` once the process was reaped, so that no signal goes to whoever
    /// has its number by then.
    group: Arc<Mutex<Option<Pid>>>,
    confinement: Arc<Confinement>,
    ended: oneshot::Receiver<Ended>,
    status: Option<Ended>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    status: Option<ExitStatus>,
    /// The kernel killed it, or others with it, for want of memory that it may
    /// have.
    pub(crate) for_memory: bool,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        thread::Builder::new().name("plugin-spawn".into()).spawn(move || {
            let mut places = Places::default();
            while let Ok(Order { program, done }) = received.recv() {
                let _ = done.send(start(&program, &mut places));
            }
        })?;
        Ok(Spawner { orders })
    }

    /// Starts `program`.
    pub(crate) async fn spawn(&self, program: &Program) -> io::Result<Started> {
        let gone = || io::Error::other("the thread that starts programs is gone");
        let (done, started) = oneshot::channel();
        self.orders.send(Order { program: Box::new(program.clone()), done }).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

fn start(program: &Program, places: &mut Places) -> io::Result<Started> {
    let mut command = Command::new(&program.path);
    command.args(&program.args).env_clear().envs(program.environment(std::env::vars_os()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    let confinement = Arc::new(places.take(&program.limits)?);
    let started = confinement.bounds().and_then(|bounds| sidegate_spawn::spawn(&mut command, bounds));
    let mut child = started.inspect_err(|_| {
        if let Some(cgroup) = &confinement.cgroup {
            cgroup.remove();
        }
    })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let pid = child.id();
    let group = Arc::new(Mutex::new(Pid::from_raw(pid.cast_signed())));
    let (tell, ended) = oneshot::channel();
    let process = Process { pid, group: group.clone(), confinement: confinement.clone(), ended, status: None };
    let waits = thread::Builder::new().name("plugin-wait".into()).stack_size(64 * 1024);
    // Who cannot be waited for is killed by the drop of `process`.
    waits.spawn(move || {
        let _ = tell.send(await_end(child, &group, confinement.cgroup.as_ref()));
    })?;
    Ok(Started { process, stdout: stdout.into(), stderr: stderr.into() })
}

/// Waits for the end of a process, and ends whoever else is in its group while
/// its number is not given to others yet.
fn await_end(mut child: Child, group: &Mutex<Option<Pid>>, cgroup: Option<&Cgroup>) -> Ended {
    let pid = *lock(group);
    if let Some(pid) = pid {
        let ended = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        while ended().is_err_and(|error| error == Errno::INTR) {}
        let mut group = lock(group);
        // There may be nobody left.
        let _ = kill_process_group(pid, Signal::KILL);
        *group = None;
    }
    let for_memory = cgroup.is_some_and(|cgroup| cgroup.killed_for_memory() > 0);
    if let Some(cgroup) = cgroup {
        cgroup.remove();
    }
    Ended { status: child.wait().ok(), for_memory }
}

impl Ended {
    /// It ended although it should not.
    pub(crate) fn failed(self) -> Failed {
        let fault = if self.for_memory { Fault::Memory } else { Fault::Exit };
        fault.because(format_args!("it {self}"))
    }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks all of its group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends all of its group, and of its cgroup if it has one.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        if let Some(cgroup) = &self.confinement.cgroup {
            cgroup.kill();
        }
    }

    /// What holds it.
    pub(crate) fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    /// Waits for its end; may be called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        if let Some(ended) = self.status {
            return ended;
        }
        let ended = (&mut self.ended).await.unwrap_or_default();
        self.status = Some(ended);
        ended
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = *lock(&self.group) {
            // It may be gone and not reaped yet.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => write!(f, "exited with code {code}")?,
            Some((None, Some(signal))) => write!(f, "was ended by signal {signal}")?,
            Some((None, None)) | None => f.write_str("ended")?,
        }
        if self.for_memory {
            f.write_str(", as it took more memory than it may have")?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
