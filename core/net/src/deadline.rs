//! Deadlines without a timer per request: one coarse clock per worker looks
//! over a flat table. Setting a deadline is one store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How often deadlines are looked at; they fire up to two ticks late, never
/// early.
const TICK: Duration = Duration::from_millis(20);
const NEVER: u64 = u64::MAX;

/// All deadlines of one worker.
#[derive(Debug)]
pub struct Deadlines {
    base: Instant,
    /// Milliseconds since `base` at the last tick.
    now: Cell<u64>,
    /// Scanned linearly: 8 bytes per connection, 10,000 take about 5 µs.
    due: RefCell<Vec<u64>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
    live: Cell<usize>,
    started: Notify,
}

/// One connection's place in the table. At most one deadline at a time; its
/// waker is woken when that is due and by [`Deadlines::wake_all`].
#[derive(Debug)]
pub struct Deadline {
    table: Rc<Deadlines>,
    slot: usize,
}

impl Deadlines {
    /// An empty table.
    pub fn new() -> Rc<Self> {
        Rc::new(Deadlines {
            base: Instant::now(),
            now: Cell::new(0),
            due: RefCell::default(),
            wakers: RefCell::default(),
            free: RefCell::default(),
            live: Cell::new(0),
            started: Notify::new(),
        })
    }

    /// A place in the table, without a deadline yet.
    pub fn register(self: &Rc<Self>) -> Deadline {
        if self.live.replace(self.live.get() + 1) == 0 {
            self.refresh();
            self.started.notify_one();
        }
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut due = self.due.borrow_mut();
            due.push(NEVER);
            self.wakers.borrow_mut().push(None);
            due.len() - 1
        });
        Deadline { table: self.clone(), slot }
    }

    /// Milliseconds on this worker's clock, as of the last tick: good to a few
    /// ticks while there is a place.
    pub fn now_ms(&self) -> u64 {
        self.now.get()
    }

    /// Ticks for as long as there are places; runs for the worker's life.
    pub async fn run(self: Rc<Self>) {
        loop {
            if self.live.get() == 0 {
                self.started.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    /// Wakes every registered task, as a drain does.
    pub fn wake_all(&self) {
        let wakers: Vec<Waker> = self.wakers.borrow().iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn refresh(&self) {
        self.now.set(u64::try_from(self.base.elapsed().as_millis()).unwrap_or(NEVER));
    }

    fn tick(&self) {
        self.refresh();
        let now = self.now.get();
        // Indexing again per entry keeps no borrow while a waker runs.
        let count = self.due.borrow().len();
        for slot in 0..count {
            if self.due.borrow()[slot] <= now {
                let waker = self.wakers.borrow_mut()[slot].take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }
}

impl Deadline {
    /// The table that it has its place in.
    pub fn table(&self) -> &Rc<Deadlines> {
        &self.table
    }

    /// Sets the deadline to `after` from now; `None` clears it.
    pub fn set(&self, after: Option<Duration>) {
        let due = match after {
            Some(after) => {
                let ticks = TICK.as_millis() as u64;
                let after = u64::try_from(after.as_millis()).unwrap_or(NEVER);
                self.table.now.get().saturating_add(after).saturating_add(ticks)
            }
            None => NEVER,
        };
        self.table.due.borrow_mut()[self.slot] = due;
    }

    /// Whether there is a deadline, passed or not.
    pub fn is_set(&self) -> bool {
        self.table.due.borrow()[self.slot] != NEVER
    }

    /// Whether the deadline has passed.
    pub fn is_due(&self) -> bool {
        self.table.due.borrow()[self.slot] <= self.table.now.get()
    }

    /// Ready when the deadline has passed; else `cx` is woken then, and when
    /// the worker starts to drain.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_due() {
            return Poll::Ready(());
        }
        let waker = &mut self.table.wakers.borrow_mut()[self.slot];
        match waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.table.due.borrow_mut()[self.slot] = NEVER;
        let waker = self.table.wakers.borrow_mut()[self.slot].take();
        drop(waker);
        self.table.free.borrow_mut().push(self.slot);
        self.table.live.set(self.table.live.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn fires_not_early_and_places_are_reused() {
        let table = Deadlines::new();
        let clock = tokio::spawn(std::future::ready(()));
        clock.await.unwrap();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                tokio::task::spawn_local(table.clone().run());
                let deadline = table.register();
                let start = Instant::now();
                deadline.set(Some(Duration::from_millis(60)));
                std::future::poll_fn(|cx| deadline.poll(cx)).await;
                assert!(start.elapsed() >= Duration::from_millis(60), "{:?}", start.elapsed());
                drop(deadline);
                let again = table.register();
                assert_eq!(again.slot, 0);
                assert!(!again.is_due());
            })
            .await;
    }
}
