//! The thread that looks at the others.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fork::{self, Forks};
use crate::sample::{Change, Look, Sampler};
use crate::thread::{At, Role, Watched, living};

/// How often it looks. With the looks that are needed, whoever hangs is named
/// well within two seconds.
const LOOK: Duration = Duration::from_millis(250);

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A thread stands still.
    Stuck {
        /// Its name.
        thread: String,
        /// What it does.
        role: Role,
        /// Where it is; `None`: in the proxy's own code.
        at: Option<At>,
    },
    /// It goes on.
    Free {
        /// Its name.
        thread: String,
        /// What it does.
        role: Role,
        /// How long it stood still, to a look.
        after: Duration,
    },
    /// The process was forked.
    Forked {
        /// So many times since the last notice.
        times: u64,
        /// Thread of the last fork; `None`: one that nobody watches.
        thread: Option<String>,
        /// Where it was.
        at: Option<At>,
    },
}

/// Looks at all watched threads until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: Mutex<bool>,
    wake: Condvar,
    relieve: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts to look. `tell` is called on the watchdog's thread: once when a
    /// thread comes to stand still, and once when that ends.
    pub fn start(tell: impl FnMut(&Notice) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("watchdog".into());
        let thread = thread.spawn(move || look_until_stopped(&of_thread, tell))?;
        Ok(Watchdog { shared, thread: Some(thread) })
    }

    /// What to do at each look while a worker stands still, until the answer
    /// is dropped: take its waiting work away.
    #[must_use]
    pub fn relieve_by(&self, relieve: impl FnMut() + Send + 'static) -> Relieving {
        self.shared.set_relief(Some(Box::new(relieve)));
        Relieving(self.shared.clone())
    }
}

/// Workers are relieved until this is dropped.
#[derive(Debug)]
pub struct Relieving(Arc<Shared>);

impl Drop for Relieving {
    fn drop(&mut self) {
        self.0.set_relief(None);
    }
}

impl Shared {
    fn set_relief(&self, relief: Option<Box<dyn FnMut() + Send>>) {
        *self.relieve.lock().unwrap_or_else(PoisonError::into_inner) = relief;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // It catches nothing, so it has nothing to tell of a panic.
            let _ = thread.join();
        }
    }
}

fn look_until_stopped(shared: &Shared, mut tell: impl FnMut(&Notice)) {
    let mut samplers = HashMap::new();
    let mut forks = 0;
    loop {
        let stopped = shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = shared.wake.wait_timeout_while(stopped, LOOK, |stopped| !*stopped);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        if let Some(Forks { times, thread, at }) = fork::since(&mut forks) {
            tell(&Notice::Forked { times, thread: thread.map(str::to_owned), at });
        }
        let threads = living();
        samplers.retain(|key, _| threads.iter().any(|thread| thread.key() == *key));
        for thread in &threads {
            look(*thread, samplers.entry(thread.key()).or_default(), &mut tell);
        }
        let stuck = |thread: &Watched| matches!(thread.role(), Role::Worker(_)) && thread.is_stuck();
        if threads.iter().any(stuck)
            && let Some(relieve) = &mut *shared.relieve.lock().unwrap_or_else(PoisonError::into_inner)
        {
            relieve();
        }
    }
}

fn look(thread: Watched, sampler: &mut Sampler, tell: &mut impl FnMut(&Notice)) {
    let report = thread.report();
    let (name, role) = (report.name.to_owned(), report.role);
    match sampler.look(role, Look { beats: thread.beats(), at: report.at, now: Instant::now() }) {
        Change::None => {}
        Change::Stuck { at } => {
            thread.set_stuck(true);
            tell(&Notice::Stuck { thread: name, role, at });
        }
        Change::Free { after } => {
            thread.set_stuck(false);
            tell(&Notice::Free { thread: name, role, after });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::{Hook, Place, enter};

    #[test]
    fn who_hangs_is_named_and_relieved_and_who_beats_is_not() {
        let (told, tell) = channel();
        let watchdog = Watchdog::start(move |notice: &Notice| {
            let _ = told.send(notice.clone());
        })
        .unwrap();
        let (relieved, relief) = channel();
        let _relieving = watchdog.relieve_by(move || {
            let _ = relieved.send(());
        });
        let (hanging, let_go) = channel::<()>();
        let (lazy, worker) = (Watched::new("lazy", Role::Jobs), Watched::new("hanging", Role::Worker(7)));
        let _lazy = lazy.on_this_thread();
        let thread = std::thread::spawn(move || {
            let _on = worker.on_this_thread();
            let _mark = enter(Place::of_module("m", "f", "00"), Hook::ResponseBody);
            let _ = let_go.recv();
            worker.beat();
            while worker.is_stuck() {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        let patience = Duration::from_secs(20);
        let next = || loop {
            // Other tests of this process have threads too.
            let notice = tell.recv_timeout(patience).unwrap();
            if let Notice::Stuck { role: Role::Worker(7), .. } | Notice::Free { role: Role::Worker(7), .. } = notice {
                return notice;
            }
        };
        let at = Some(At { place: Place::of_module("m", "f", "00"), hook: Hook::ResponseBody });
        assert_eq!(next(), Notice::Stuck { thread: "hanging".into(), role: Role::Worker(7), at });
        relief.recv_timeout(patience).unwrap();
        assert!(worker.is_stuck() && !lazy.is_stuck());
        drop(hanging);
        assert!(matches!(next(), Notice::Free { after, .. } if after >= LOOK));
        thread.join().unwrap();
        assert!(!worker.is_stuck());
    }
}
