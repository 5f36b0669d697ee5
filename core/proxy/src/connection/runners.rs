//! Tasks that run streams side by side, kept to run others.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;

use sidegate_net::WorkerContext;
use sidegate_stream::Handed;
use tokio::task::AbortHandle;

use crate::stream::Kit;

/// Idle runners that a worker keeps at most, of some 5 KiB each; above that, so
/// many streams at once are a rare event.
const KEEP: usize = 256;

/// What a runner does: one stream, from its head to its end.
pub(crate) trait Work: 'static {
    /// Does it, in a clean kit.
    fn run(self, kit: &mut Kit) -> impl Future<Output = ()>;
}

/// The idle runners of one worker. A stream that ends leaves its task and its
/// kit to the next: a task of its own would cost two allocations and the copy of
/// a future of 3 KiB.
pub(crate) struct Runners<W> {
    idle: RefCell<Vec<Rc<Runner<W>>>>,
    /// How many there were at least since the last [`Runners::sweep`]: nobody
    /// needed those.
    unneeded: Cell<usize>,
}

/// A task that runs one stream at a time.
pub(super) struct Runner<W> {
    work: Handed<W>,
    /// There once it runs.
    task: OnceCell<AbortHandle>,
}

impl<W: Work> Runners<W> {
    /// Has `work` done. A panic in it is its own.
    pub(super) fn run(self: &Rc<Self>, worker: &Rc<WorkerContext>, work: W) -> Rc<Runner<W>> {
        let mut idle = self.idle.borrow_mut();
        let known = idle.pop();
        self.unneeded.set(self.unneeded.get().min(idle.len()));
        drop(idle);
        let runner = known.unwrap_or_else(|| self.begin(worker));
        runner.work.hand(work);
        runner
    }

    #[cold]
    fn begin(self: &Rc<Self>, worker: &Rc<WorkerContext>) -> Rc<Runner<W>> {
        let runner = Rc::new(Runner { work: Handed::default(), task: OnceCell::new() });
        // What is not boxed is moved five times until it lies in the task.
        let task = tokio::task::spawn_local(Box::pin(go_on(self.clone(), worker.clone(), runner.clone())));
        let _ = runner.task.set(task.abort_handle());
        runner
    }

    /// Ends those that were not needed of late. Called about once a second.
    pub(crate) fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        let left = idle.len() - self.unneeded.get().min(idle.len());
        idle.drain(left..).for_each(|runner| runner.abort());
        idle.shrink_to(left);
        self.unneeded.set(left);
    }

    /// Ends all.
    pub(crate) fn clear(&self) {
        self.idle.take().iter().for_each(|runner| runner.abort());
        self.unneeded.set(0);
    }

    /// Keeps a runner for later; whether there is room.
    fn keep(&self, runner: &Rc<Runner<W>>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let room = idle.len() < KEEP;
        if room {
            idle.push(runner.clone());
        }
        room
    }
}

impl<W> Runner<W> {
    /// Ends it, with what it runs.
    pub(super) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn go_on<W: Work>(home: Rc<Runners<W>>, worker: Rc<WorkerContext>, runner: Rc<Runner<W>>) {
    let mut kit = Kit::new(&worker);
    loop {
        let work = poll_fn(|cx| runner.work.poll(cx)).await;
        work.run(&mut kit).await;
        kit.clean();
        if !home.keep(&runner) {
            return;
        }
    }
}

impl<W> Default for Runners<W> {
    fn default() -> Self {
        Runners { idle: RefCell::default(), unneeded: Cell::new(0) }
    }
}

impl<W> fmt::Debug for Runners<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runners").field("idle", &self.idle.borrow().len()).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Runner<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("task", &self.task).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sidegate_api::WorkerIndex;
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// Leaves something in its kit, says where that is, and waits.
    struct Visit {
        seen: Rc<RefCell<Vec<*const ()>>>,
        end: Rc<Notify>,
    }

    impl Work for Visit {
        async fn run(self, kit: &mut Kit) {
            assert!(kit.state.request.authority.is_empty() && kit.state.request.headers.is_empty());
            assert!(!kit.timers.down.is_set());
            kit.state.request.authority.push('a');
            kit.state.request.headers.add(b"x", b"1").unwrap();
            kit.timers.down.set(Some(Duration::ZERO));
            self.seen.borrow_mut().push((&raw const *kit.state).cast());
            self.end.notified().await;
        }
    }

    struct Place {
        worker: Rc<WorkerContext>,
        runners: Rc<Runners<Visit>>,
        seen: Rc<RefCell<Vec<*const ()>>>,
        end: Rc<Notify>,
    }

    impl Place {
        /// Runs so many visits side by side, to their ends.
        async fn visits(&self, count: usize) {
            let (before, seen) = (self.runners.idle.borrow().len(), self.seen.borrow().len());
            for _ in 0..count {
                self.runners.run(&self.worker, Visit { seen: self.seen.clone(), end: self.end.clone() });
            }
            await_that(|| self.seen.borrow().len() == seen + count).await;
            self.end.notify_waiters();
            await_that(|| self.runners.idle.borrow().len() == before.max(count).min(KEEP)).await;
        }
    }

    async fn await_that(is: impl Fn() -> bool) {
        for _ in 0..1000 {
            if is() {
                return;
            }
            yield_now().await;
        }
        panic!("it does not come");
    }

    fn run(test: impl AsyncFnOnce(Place)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let place = Place {
            worker: WorkerContext::detached(WorkerIndex(0)),
            runners: Rc::default(),
            seen: Rc::default(),
            end: Rc::default(),
        };
        LocalSet::new().block_on(&runtime, test(place));
    }

    #[test]
    fn a_runner_goes_on_in_the_same_kit_which_is_clean() {
        run(async |place| {
            place.visits(1).await;
            place.visits(1).await;
            let seen = place.seen.borrow();
            assert_eq!(seen.len(), 2);
            assert_eq!(seen[0], seen[1]);
        });
    }

    #[test]
    fn what_nobody_needed_ends() {
        run(async |place| {
            place.visits(KEEP + 10).await;
            let idle = || place.runners.idle.borrow().len();
            assert_eq!(idle(), KEEP);
            // All were needed since the last time.
            place.runners.sweep();
            assert_eq!(idle(), KEEP);
            place.visits(6).await;
            place.runners.sweep();
            assert_eq!(idle(), 6);
            place.runners.sweep();
            assert_eq!(idle(), 0);
        });
    }
}
