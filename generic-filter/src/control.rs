//! The one thread on which modules are loaded and unloaded and their factories
//! and route objects are made and destroyed, so that no module code ever runs
//! on a thread that the ABI does not name.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use sidegate_watch::{Role, Watched};

use crate::refusal::Reason;

const NAME: &str = "module-control";

/// A job that has not ended after this time is taken to hang: nobody waits for
/// the thread any longer. Reading keys over a network fits in, somebody who
/// waits for the answer to a reload does not wait for ever.
const HANGS_AFTER: Duration = Duration::from_secs(10);
/// How often somebody who waits looks whether that has happened.
const LOOK: Duration = Duration::from_millis(50);

type Job = Box<dyn FnOnce() + Send>;

/// Handle of the module-control thread; it ends when the handle is dropped and
/// everything that was posted is done.
#[derive(Debug)]
pub(crate) struct ModuleControl {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
    progress: Arc<Progress>,
}

/// Where jobs are put. It keeps neither the thread nor its handle: what is put
/// there after the thread has ended is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Mutex<Option<Sender<Job>>>>);

impl Queue {
    /// Runs `job` on the thread, later.
    pub(crate) fn post(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not sent is dropped after the lock: it may post its own end.
        let unsent = match &*jobs {
            Some(jobs) => jobs.send(Box::new(job)).err().map(|error| error.0),
            None => Some(Box::new(job) as Job),
        };
        drop(jobs);
        drop(unsent);
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Why a job has no result.
#[derive(Debug)]
pub(crate) enum NoResult {
    /// The thread does not come to it, or does not come back from it.
    Hangs(Hang),
    /// It panicked.
    Panicked,
}

/// What the thread hangs in.
#[derive(Debug)]
pub(crate) struct Hang {
    /// Module, filter and function, if it is in one.
    pub(crate) place: Option<String>,
    pub(crate) busy: Duration,
}

impl From<NoResult> for Reason {
    fn from(none: NoResult) -> Self {
        match none {
            NoResult::Hangs(Hang { place, busy }) => {
                Reason::ModuleControlHung { place: place.unwrap_or_default(), seconds: busy.as_secs() }
            }
            NoResult::Panicked => Reason::LoadFailed { error: "the module-control thread failed".to_owned() },
        }
    }
}

/// How the thread gets on, for those who wait.
#[derive(Debug)]
struct Progress {
    start: Instant,
    /// Milliseconds after `start`, plus one, at which the job of now began; 0
    /// between jobs.
    began: AtomicU64,
    watched: Watched,
    /// Before traffic is served, a start may take as long as its modules want.
    serving: AtomicBool,
}

impl Progress {
    /// How long the thread has been in its job.
    fn busy(&self) -> Duration {
        match self.began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => self.start.elapsed().saturating_sub(Duration::from_millis(began - 1)),
        }
    }

    fn hang(&self) -> Option<Hang> {
        let busy = self.busy();
        let at = self.watched.report().at;
        let place = at.map(|at| format!("{}, {}", at.place.text(), at.hook.name()));
        (busy >= HANGS_AFTER).then_some(Hang { place, busy })
    }
}

/// Where a job is whose asker waits.
const WAITING: u8 = 0;
const STARTED: u8 = 1;
/// The asker has gone before it was started, so it is not.
const ABANDONED: u8 = 2;

impl ModuleControl {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, posted) = channel();
        let progress = Arc::new(Progress {
            start: Instant::now(),
            began: AtomicU64::new(0),
            watched: Watched::new(NAME, Role::Jobs),
            serving: AtomicBool::new(false),
        });
        let shared = progress.clone();
        let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || serve(&posted, &shared))?;
        let id = thread.thread().id();
        Ok(ModuleControl { queue: Queue(Arc::new(Mutex::new(Some(jobs)))), thread: Some(thread), id, progress })
    }

    /// From now on nobody waits without a bound for a job that runs.
    pub(crate) fn set_serving(&self) {
        self.progress.serving.store(true, Ordering::Relaxed);
    }

    /// Whether the calling thread is this one.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.id
    }

    /// Runs `job` on the thread and waits for its result, but not for a thread
    /// that hangs. What a job returns late is dropped on the thread.
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, NoResult> {
        if self.is_here() {
            return catch_unwind(AssertUnwindSafe(job)).map_err(|_| NoResult::Panicked);
        }
        if let Some(hang) = self.progress.hang().filter(|_| self.serving()) {
            return Err(NoResult::Hangs(hang));
        }
        let (answer, wait) = channel();
        let state = Arc::new(AtomicU8::new(WAITING));
        let of_job = state.clone();
        self.post(move || {
            if of_job.compare_exchange(WAITING, STARTED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                // The asker may be gone; nobody else wants the result.
                let _ = answer.send(job());
            }
        });
        loop {
            match wait.recv_timeout(LOOK) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => return Err(NoResult::Panicked),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let Some(hang) = self.progress.hang().filter(|_| self.serving()) else { continue };
            let _ = state.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
            return Err(NoResult::Hangs(hang));
        }
    }

    /// Waits until what was posted so far is done, and what that posted,
    /// however long that takes.
    pub(crate) fn settle(&self) {
        // A route's object posts its end, that may post its factory's, and
        // that its module's.
        for _ in 0..4 {
            let (done, wait) = channel();
            self.post(move || {
                let _ = done.send(());
            });
            let _ = wait.recv();
        }
    }

    /// Runs `job` on the thread, later.
    pub(crate) fn post(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.post(job);
    }

    /// For threads that must not hold the thread itself.
    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    fn serving(&self) -> bool {
        self.progress.serving.load(Ordering::Relaxed)
    }
}

impl Drop for ModuleControl {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take().filter(|_| !self.is_here()) {
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Job>, progress: &Progress) {
    block_signals();
    let _on = progress.watched.on_this_thread();
    for job in queue {
        progress.watched.beat();
        let now = u64::try_from(progress.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        progress.began.store(now + 1, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(target: "module", "a job of the module-control thread panicked");
        }
        progress.began.store(0, Ordering::Relaxed);
    }
}

/// Threads inherit the mask of their maker, so that threads a factory starts
/// never take a signal away from the proxy's own handling. Signals of a crash
/// belong to the thread that crashes: blocked, they would end the process
/// without a word.
fn block_signals() {
    // SAFETY: the set is filled before it is read, and the call changes this
    // thread's mask only.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        for crash in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT] {
            libc::sigdelset(&mut all, crash);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
