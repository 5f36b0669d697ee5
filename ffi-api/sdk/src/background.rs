//! A thread of the module's own, for what would block a hook.

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TrySendError};
use std::thread::{Builder, JoinHandle};

use crate::ConfigError;

/// A thread with a bounded queue of jobs. Start it in
/// [`FilterFactory::new`](crate::FilterFactory::new) and keep it in the
/// factory: when the factory is dropped, what is queued is still done and then
/// the thread is joined, as the ABI wants it. Handing over a job never blocks.
///
/// Factories are made on a thread of the host that blocks all signals, so this
/// one blocks them too.
///
/// A filter that waits for something:
///
/// ```
/// use sidegate_sdk::{prelude::*, testing::TestHost};
///
/// struct Slow { checks: Background<ResumeHandle> }
/// struct SlowFilter<'f>(&'f Slow);
///
/// impl FilterFactory for Slow {
///     type Config = NoConfig;
///     type Filter<'f> = SlowFilter<'f>;
///
///     fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
///         let checks = Background::start("slow-checks", 1000, |waiting: ResumeHandle| {
///             // ... something that takes its time, then:
///             let _ = waiting.resume();
///         })?;
///         Ok(Slow { checks })
///     }
///
///     fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> SlowFilter<'f> {
///         SlowFilter(self)
///     }
/// }
///
/// impl Filter for SlowFilter<'_> {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         match self.0.checks.submit(cx.resume_handle()?) {
///             Ok(()) => Ok(Status::Pending),
///             Err(_) => cx.reply(Reply::text(503, "too many checks are waiting\n")),
///         }
///     }
/// }
///
/// # fn main() {
/// let host = TestHost::new::<Slow>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[]).run();
/// assert_eq!(outcome.hooks(), ["on_request_headers", "on_resume", "destroy"]);
/// # }
/// ```
pub struct Background<J: Send + 'static> {
    /// `None` once the thread is asked to end.
    jobs: Option<SyncSender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Background<J> {
    /// Starts a thread that does `work` with each job, in order. At most
    /// `capacity` jobs wait. A panic in `work` is logged and ends that job only.
    pub fn start(name: &str, capacity: usize, mut work: impl FnMut(J) + Send + 'static) -> Result<Self, ConfigError> {
        Self::start_with(name, capacity, move |jobs| {
            for job in jobs {
                // The module's panic hook has logged it.
                let _ = catch_unwind(AssertUnwindSafe(|| work(job)));
            }
        })
    }

    /// Starts a thread that does `work`, which takes jobs from the receiver
    /// itself and ends when that is at its end: for work with time-outs, or
    /// that takes many jobs at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidegate_sdk::Background;
    ///
    /// let lines = Background::start_with("lines", 100, |lines| {
    ///     loop {
    ///         match lines.recv_timeout(Duration::from_secs(1)) {
    ///             Ok(line) => { let _: String = line; /* keep it */ }
    ///             Err(std::sync::mpsc::RecvTimeoutError::Timeout) => { /* write what was kept */ }
    ///             Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
    ///         }
    ///     }
    /// });
    /// assert_eq!(lines.unwrap().submit("a line".to_owned()), Ok(()));
    /// ```
    pub fn start_with(
        name: &str,
        capacity: usize,
        work: impl FnOnce(Receiver<J>) + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let (jobs, queue) = sync_channel(capacity);
        let thread = Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // As above; a thread that ends early makes `submit` refuse.
                let _ = catch_unwind(AssertUnwindSafe(|| work(queue)));
            })
            .map_err(|error| ConfigError::new("", format_args!("the thread `{name}` did not start: {error}")))?;
        Ok(Background { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over, from any thread. Gives it back if the queue is full
    /// or the thread has ended.
    pub fn submit(&self, job: J) -> Result<(), J> {
        match &self.jobs {
            Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            }),
            None => Err(job),
        }
    }
}

impl<J: Send + 'static> Drop for Background<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

impl<J: Send + 'static> fmt::Debug for Background<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn jobs_are_done_in_order_and_the_end_waits_for_them() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let seen = done.clone();
        let thread = Background::start("test", 10, move |job: u32| seen.lock().unwrap().push(job)).unwrap();
        for job in 0..10 {
            // The thread only takes away from the queue.
            assert_eq!(thread.submit(job), Ok(()));
        }
        drop(thread);
        assert_eq!(*done.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let (go, wait) = channel::<()>();
        let (started, has_started) = channel();
        let thread = Background::start("test", 1, move |_: u32| {
            let _ = started.send(());
            let _ = wait.recv();
        })
        .unwrap();
        assert_eq!(thread.submit(1), Ok(()));
        has_started.recv().unwrap();
        assert_eq!(thread.submit(2), Ok(()));
        assert_eq!(thread.submit(3), Err(3));
        drop(go);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let (told, tells) = channel();
        let thread = Background::start("test", 4, move |job: u32| {
            assert!(job != 1, "asked to panic");
            told.send(job).unwrap();
        })
        .unwrap();
        for job in [0, 1, 2] {
            assert_eq!(thread.submit(job), Ok(()));
        }
        drop(thread);
        assert_eq!(tells.iter().collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_thread_that_ended_takes_no_job() {
        let (ended, wait) = channel::<()>();
        let thread = Background::start_with("test", 4, move |jobs: Receiver<u32>| {
            drop(jobs);
            drop(ended);
        })
        .unwrap();
        assert!(wait.recv().is_err());
        assert_eq!(thread.submit(1), Err(1));
    }
}
