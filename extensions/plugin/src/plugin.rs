//! One plugin in use: what filters, its supervisor and the admin page share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidegate_api::{PluginLimits, PluginPhase, PluginStatus};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fault::Hang;
use crate::link::Link;
use crate::metrics::PluginMetrics;
use crate::spec::PluginSpec;

/// Calls without an answer are no sign of a plugin that hangs before they have
/// lasted for so long: many at once may all fall into one pause.
const SILENCE: Duration = Duration::from_secs(1);

/// What is wanted of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    /// Somebody switched it off.
    Rest,
    /// Nobody needs it any more.
    End,
}

/// A hold of a plugin: with the last one it ends.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.shared.wish(Wish::End);
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) spec: PluginSpec,
    pub(crate) metrics: PluginMetrics,
    link: watch::Sender<Link>,
    wish: watch::Sender<Wish>,
    restarts: AtomicU64,
    /// Calls one after the other that had no answer in time.
    unanswered: AtomicU32,
    /// How many that were when they were too many.
    hangs: watch::Sender<Option<Hang>>,
    facts: Mutex<Facts>,
}

/// What changes slowly.
#[derive(Debug)]
struct Facts {
    since: Instant,
    pid: Option<u32>,
    limits: Option<PluginLimits>,
    address: Option<String>,
    healthy: Option<bool>,
    silent_since: Option<Instant>,
    last_error: Option<Arc<str>>,
}

impl Shared {
    pub(crate) fn new(spec: PluginSpec, metrics: PluginMetrics, wish: Wish) -> Self {
        Shared {
            spec,
            metrics,
            link: watch::Sender::new(Link::Starting),
            wish: watch::Sender::new(wish),
            restarts: AtomicU64::new(0),
            unanswered: AtomicU32::new(0),
            hangs: watch::Sender::new(None),
            facts: Mutex::new(Facts {
                since: Instant::now(),
                pid: None,
                limits: None,
                silent_since: None,
                address: None,
                healthy: None,
                last_error: None,
            }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn links(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Waits until there is no connection.
    pub(crate) async fn unlinked(&self) {
        let mut links = self.links();
        let _ = links.wait_for(|link| !matches!(link, Link::Up(connection) if !connection.is_closed())).await;
    }

    pub(crate) fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    /// What ended stays so.
    pub(crate) fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|known| {
            let changes = *known != Wish::End && *known != wish;
            if changes {
                *known = wish;
            }
            changes
        });
    }

    pub(crate) fn set_link(&self, link: Link) {
        {
            let mut facts = self.facts();
            if let Link::Down { why, .. } = &link {
                facts.last_error = Some(why.clone());
            }
            if link.phase() != self.link.borrow().phase() {
                facts.since = Instant::now();
            }
            if link.phase() != PluginPhase::Up {
                (facts.healthy, facts.address) = (None, None);
            }
        }
        if link.phase() == PluginPhase::Up {
            self.unanswered.store(0, Ordering::Relaxed);
            self.hangs.send_replace(None);
        }
        self.metrics.up.set(i64::from(link.phase() == PluginPhase::Up));
        self.link.send_replace(link);
    }

    pub(crate) fn set_address(&self, address: String) {
        self.facts().address = Some(address);
    }

    /// A process was started.
    pub(crate) fn set_process(&self, pid: u32, limits: PluginLimits) {
        let mut facts = self.facts();
        (facts.pid, facts.limits) = (Some(pid), Some(limits));
    }

    /// There is no process.
    pub(crate) fn set_no_process(&self) {
        let mut facts = self.facts();
        (facts.pid, facts.limits) = (None, None);
    }

    /// A call was answered, well or not.
    pub(crate) fn answered(&self) {
        if self.unanswered.load(Ordering::Relaxed) != 0 {
            self.unanswered.store(0, Ordering::Relaxed);
        }
    }

    /// A call had no answer within `timeout`.
    #[cold]
    pub(crate) fn unanswered(&self, timeout: Duration) {
        let count = self.unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let silence = {
            let mut facts = self.facts();
            if count == 1 {
                facts.silent_since = Some(Instant::now());
            }
            facts.last_error = Some(format!("no answer in {timeout:?}, {count} times one after the other").into());
            facts.silent_since.map_or(Duration::ZERO, |since| since.elapsed())
        };
        let most = self.spec.max_timeouts;
        if most != 0 && count >= most && silence >= SILENCE {
            self.hang(Hang::Unanswered(count));
        }
    }

    /// It has not read what was sent for as long.
    #[cold]
    pub(crate) fn unread(&self, time: Duration) {
        self.hang(Hang::Unread(time));
    }

    fn hang(&self, hang: Hang) {
        self.hangs.send_if_modified(|hangs| hangs.replace(hang).is_none());
    }

    /// Waits until it is taken for one that hangs.
    pub(crate) async fn hung(&self) -> Hang {
        let mut hangs = self.hangs.subscribe();
        let hang = hangs.wait_for(Option::is_some).await.ok().and_then(|hang| *hang);
        match hang {
            Some(hang) => hang,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn set_healthy(&self, healthy: Option<bool>) {
        self.facts().healthy = healthy;
    }

    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.metrics.restarts.inc();
    }

    pub(crate) fn last_error(&self) -> Option<Arc<str>> {
        self.facts().last_error.clone()
    }

    pub(crate) fn status(&self) -> PluginStatus {
        let phase = self.link.borrow().phase();
        let enabled = *self.wish.borrow() != Wish::Rest;
        let facts = self.facts();
        PluginStatus {
            name: self.spec.name.to_string(),
            runs: self.spec.source.to_string(),
            enabled,
            phase,
            since: facts.since.elapsed(),
            pid: facts.pid,
            address: facts.address.clone(),
            healthy: facts.healthy,
            restarts: self.restarts.load(Ordering::Relaxed),
            calls: self.metrics.calls.get(),
            failures: self.metrics.failures(),
            in_flight: u64::try_from(self.metrics.in_flight.get()).unwrap_or(0),
            limits: facts.limits.clone(),
            last_error: facts.last_error.as_deref().map(str::to_owned),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
