//! The end of the process: what is waited for, and for how long.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sidegate_generic_filter::GenericFilter;
use sidegate_watch::ThreadReport;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::hangs::{error, whereabouts};
use crate::signals::{Order, Signals};

/// What is cut, and modules after that, may take this long to be gone.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// A second signal counts as one only after this: a signal to a process and
/// to its group is one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// The time that is left.
#[derive(Debug)]
pub(crate) struct Ending {
    last_signal: Instant,
    until: Instant,
    hurried: bool,
}

impl Ending {
    /// The process was told to end just now; what comes next may take
    /// `patience`.
    pub(crate) fn begin(patience: Duration) -> Self {
        Ending { last_signal: Instant::now(), until: after(patience), hurried: false }
    }

    /// What comes next may take `patience` from now on, unless somebody is in
    /// a hurry.
    pub(crate) fn extend_to(&mut self, patience: Duration) {
        if !self.hurried {
            self.until = after(patience);
        }
    }

    /// The end was ordered once more.
    pub(crate) fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// Works for as long as there is time and nobody orders the end once more;
    /// `None`: then work is given up, and what comes next has a last moment.
    pub(crate) async fn within<T>(
        &mut self,
        signals: &mut Signals,
        mut obey: impl FnMut(Order),
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                order = signals.next() => match order {
                    Order::End if self.last_signal.elapsed() < ONE_SIGNAL => {}
                    Order::End => {
                        self.hurried = true;
                        self.last_signal = Instant::now();
                        break;
                    }
                    other => obey(other),
                },
                () = sleep_until(self.until) => break,
            }
        }
        self.until = after(LAST_PATIENCE);
        None
    }
}

fn after(patience: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    Instant::now() + patience.min(FOR_EVER)
}

/// Destroys what modules made and nothing uses any more. Their destructors
/// may hang, so another thread waits for them.
pub(crate) async fn modules_settled(modules: Arc<GenericFilter>) {
    let (done, wait) = oneshot::channel();
    let waits = std::thread::Builder::new().name("settle".into()).spawn(move || {
        modules.end();
        let _ = done.send(());
    });
    if waits.is_ok() {
        let _ = wait.await;
    }
}

/// Says who keeps the process from ending.
pub(crate) fn name_who_is_left(left: &[ThreadReport]) {
    for thread in left {
        error(&format_args!("{} does not end", whereabouts(thread)));
    }
}

/// Threads that are in a module now.
pub(crate) fn in_modules() -> Vec<ThreadReport> {
    sidegate_watch::threads().into_iter().filter(|thread| thread.at.is_some()).collect()
}
