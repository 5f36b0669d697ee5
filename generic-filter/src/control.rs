//! The one thread on which modules are loaded and their factories and route
//! objects are made and destroyed, so that no module code ever runs on a
//! thread that the ABI does not name.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, ThreadId};

use sidegate_watch::{Role, Watched};

const NAME: &str = "module-control";

type Job = Box<dyn FnOnce() + Send>;

/// Handle of the module-control thread; it ends when the handle is dropped and
/// everything that was posted is done.
#[derive(Debug)]
pub(crate) struct ModuleControl {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
}

impl ModuleControl {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = channel();
        let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || serve(&queue))?;
        let id = thread.thread().id();
        Ok(ModuleControl { jobs: Some(jobs), thread: Some(thread), id })
    }

    /// Runs `job` on the thread and waits for its result; `None` if the job
    /// panicked.
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        if thread::current().id() == self.id {
            return catch_unwind(AssertUnwindSafe(job)).ok();
        }
        let (answer, wait) = channel();
        self.post(move || {
            // The asker may be gone; nobody else wants the result.
            let _ = answer.send(job());
        });
        wait.recv().ok()
    }

    /// Waits until what was posted so far is done, and what that posted.
    pub(crate) fn settle(&self) {
        // A route's object posts its end, and that may post its factory's.
        for _ in 0..2 {
            self.run(|| ());
        }
    }

    /// Runs `job` on the thread, later.
    pub(crate) fn post(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // Fails only after the thread ended, and that is after this handle.
            let _ = jobs.send(Box::new(job));
        }
    }
}

impl Drop for ModuleControl {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take().filter(|_| thread::current().id() != self.id) {
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Job>) {
    block_signals();
    let watched = Watched::new(NAME, Role::Jobs);
    let _on = watched.on_this_thread();
    for job in queue {
        watched.beat();
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(target: "module", "a job of the module-control thread panicked");
        }
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
