//! Several threads of the module's own behind one queue.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::ConfigError;

/// As [`Background`](crate::Background), with several threads: for jobs that
/// wait for somebody, so that one slow answer does not hold up the rest. Jobs
/// begin in the order in which they were handed over and end in any. Keep it in
/// the factory: when that is dropped, what is queued is still done and then all
/// threads are joined.
///
/// ```
/// use sidegate_sdk::{prelude::*, testing::TestHost};
///
/// #[derive(serde::Deserialize)]
/// struct CheckConfig {
///     threads: std::num::NonZeroUsize,
/// }
///
/// struct Check { checks: BackgroundPool<ResumeHandle> }
/// struct CheckFilter<'f>(&'f Check);
///
/// impl FilterFactory for Check {
///     type Config = CheckConfig;
///     type Filter<'f> = CheckFilter<'f>;
///
///     fn new(config: CheckConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
///         let checks = BackgroundPool::start("checks", config.threads, 1000, |waiting: ResumeHandle| {
///             // ... ask somebody and wait for the answer, then:
///             let _ = waiting.resume();
///         })?;
///         Ok(Check { checks })
///     }
///
///     fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> CheckFilter<'f> {
///         CheckFilter(self)
///     }
/// }
///
/// impl Filter for CheckFilter<'_> {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         match self.0.checks.submit(cx.resume_handle()?) {
///             Ok(()) => Ok(Status::Pending),
///             Err(refused) => {
///                 sidegate_sdk::warn!(cx, "not checked: {refused}");
///                 cx.reply(Reply::text(503, "too many checks are waiting\n"))
///             }
///         }
///     }
/// }
///
/// # fn main() {
/// let host = TestHost::new::<Check>(serde_json::json!({"threads": 4})).unwrap();
/// assert_eq!(host.request("GET", "/", &[]).run().status(), Some(200));
/// # }
/// ```
pub struct BackgroundPool<J: Send + 'static> {
    /// `None` once the threads are asked to end.
    jobs: Option<SyncSender<J>>,
    capacity: usize,
    threads: Vec<JoinHandle<()>>,
}

/// Why a [`BackgroundPool`] did not take a job; the job comes back.
///
/// ```
/// # use sidegate_sdk::NotQueued;
/// let refused: NotQueued<&str> = NotQueued::Full { job: "a job", capacity: 2 };
/// assert_eq!(refused.to_string(), "the queue is full: 2 jobs wait already");
/// assert_eq!(refused.into_job(), "a job");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotQueued<J> {
    /// As many jobs wait as may.
    Full {
        /// The job.
        job: J,
        /// How many may wait.
        capacity: usize,
    },
    /// The threads have ended.
    Ended {
        /// The job.
        job: J,
    },
}

impl<J> NotQueued<J> {
    /// The job that was not taken.
    pub fn into_job(self) -> J {
        match self {
            NotQueued::Full { job, .. } | NotQueued::Ended { job } => job,
        }
    }
}

impl<J> fmt::Display for NotQueued<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotQueued::Full { capacity, .. } => write!(f, "the queue is full: {capacity} jobs wait already"),
            NotQueued::Ended { .. } => f.write_str("the threads behind the queue have ended"),
        }
    }
}

impl<J: fmt::Debug> std::error::Error for NotQueued<J> {}

impl<J: Send + 'static> BackgroundPool<J> {
    /// Starts `threads` threads that do `work` with each job. At most
    /// `capacity` jobs wait, at least one. A panic in `work` is logged and ends
    /// that job only. Refused if the system gives fewer threads.
    pub fn start(
        name: &str,
        threads: NonZeroUsize,
        capacity: usize,
        work: impl Fn(J) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let capacity = capacity.max(1);
        let (jobs, queue) = sync_channel(capacity);
        let shared = Arc::new((Mutex::new(queue), work));
        let mut pool = BackgroundPool { jobs: Some(jobs), capacity, threads: Vec::new() };
        for number in 0..threads.get() {
            let shared = shared.clone();
            let started = Builder::new().name(format!("{name}-{number}")).spawn(move || {
                let (queue, work) = &*shared;
                while let Some(job) = next(queue) {
                    // The module's panic hook has logged it.
                    let _ = catch_unwind(AssertUnwindSafe(|| work(job)));
                }
            });
            // Those that did start end with `pool`.
            let thread = started.map_err(|error| {
                ConfigError::new("", format_args!("thread {number} of `{name}` did not start: {error}"))
            })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Hands a job over, from any thread, without waiting.
    pub fn submit(&self, job: J) -> Result<(), NotQueued<J>> {
        let Some(jobs) = &self.jobs else { return Err(NotQueued::Ended { job }) };
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) => NotQueued::Full { job, capacity: self.capacity },
            TrySendError::Disconnected(job) => NotQueued::Ended { job },
        })
    }
}

/// The next job; `None` once there will be none. One thread waits for it, the
/// others for their turn.
fn next<J>(queue: &Mutex<Receiver<J>>) -> Option<J> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl<J: Send + 'static> Drop for BackgroundPool<J> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

impl<J: Send + 'static> fmt::Debug for BackgroundPool<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundPool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::Barrier;

    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn jobs_run_at_the_same_time_and_the_end_waits_for_all() {
        let together = Arc::new(Barrier::new(3));
        let (done, seen) = channel();
        // Ends only if three jobs are in work at once.
        let pool = BackgroundPool::start("test", threads(3), 30, move |job: u32| {
            together.wait();
            done.send(job).unwrap();
        })
        .unwrap();
        for job in 0..30 {
            assert_eq!(pool.submit(job), Ok(()));
        }
        drop(pool);
        let mut seen: Vec<u32> = seen.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_is_said_and_gives_the_job_back() {
        let (go, wait) = channel::<()>();
        let (started, has_started) = channel();
        let wait = Mutex::new(wait);
        let pool = BackgroundPool::start("test", threads(1), 2, move |_: u32| {
            started.send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
        })
        .unwrap();
        assert_eq!(pool.submit(1), Ok(()));
        has_started.recv().unwrap();
        assert_eq!((pool.submit(2), pool.submit(3)), (Ok(()), Ok(())));
        assert_eq!(pool.submit(4), Err(NotQueued::Full { job: 4, capacity: 2 }));
        drop(go);
        drop(pool);
        assert_eq!(has_started.iter().count(), 2, "what was queued is still done");
    }

    #[test]
    fn panics_end_their_job_and_no_thread() {
        let (told, tells) = channel();
        let pool = BackgroundPool::start("test", threads(2), 100, move |job: u32| {
            assert!(job % 2 == 0, "asked to panic");
            told.send(job).unwrap();
        })
        .unwrap();
        for job in 0..100 {
            assert_eq!(pool.submit(job), Ok(()));
        }
        drop(pool);
        assert_eq!(tells.iter().count(), 50);
    }
}
