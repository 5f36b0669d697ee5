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
    ended: oneshot::Receiver<ExitStatus>,
    status: Option<Ended>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended(Option<ExitStatus>);

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        thread::Builder::new().name("plugin-spawn".into()).spawn(move || {
            while let Ok(Order { program, done }) = received.recv() {
                let _ = done.send(start(&program));
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

fn start(program: &Program) -> io::Result<Started> {
    let mut command = Command::new(&program.path);
    command.args(&program.args).env_clear().envs(program.environment(std::env::vars_os()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = sidegate_spawn::spawn(&mut command)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let pid = child.id();
    let group = Arc::new(Mutex::new(Pid::from_raw(pid.cast_signed())));
    let (tell, ended) = oneshot::channel();
    let process = Process { pid, group: group.clone(), ended, status: None };
    let waits = thread::Builder::new().name("plugin-wait".into()).stack_size(64 * 1024);
    // Who cannot be waited for is killed by the drop of `process`.
    waits.spawn(move || {
        let _ = tell.send(await_end(child, &group));
    })?;
    Ok(Started { process, stdout: stdout.into(), stderr: stderr.into() })
}

/// Waits for the end of a process, and ends whoever else is in its group while
/// its number is not given to others yet.
fn await_end(mut child: Child, group: &Mutex<Option<Pid>>) -> ExitStatus {
    let pid = *lock(group);
    if let Some(pid) = pid {
        let ended = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        while ended().is_err_and(|error| error == Errno::INTR) {}
        let mut group = lock(group);
        // There may be nobody left.
        let _ = kill_process_group(pid, Signal::KILL);
        *group = None;
    }
    child.wait().unwrap_or_default()
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks all of its group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends all of its group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Waits for its end; may be called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        if let Some(ended) = self.status {
            return ended;
        }
        let ended = Ended((&mut self.ended).await.ok());
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
        match self.0 {
            None => f.write_str("ended"),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exited with code {code}"),
                (None, Some(signal)) => write!(f, "was ended by signal {signal}"),
                (None, None) => f.write_str("ended"),
            },
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
