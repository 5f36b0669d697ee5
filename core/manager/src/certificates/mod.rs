//! Certificates that change while they are in use, and that end some day.
//!
//! Their files are followed whether or not the configuration is: whoever issues
//! certificates replaces them without a word. A context is made anew as a
//! whole, or stays as it is until its files fit together.

mod expiry;
mod remade;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidegate_api::{Counter, Gauge, MetricError, Metrics};
use sidegate_tls::{ContextId, Holdings, Provided};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use self::expiry::Expiries;
pub use self::remade::MakeContexts;
pub(crate) use self::remade::Remade;
use self::remade::{InUse, key};
use crate::FileWatch;
use crate::running::Running;

/// Between two times that somebody is told of what ends.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How files of TLS are followed.
#[derive(Clone)]
pub struct CertificateFiles {
    /// Makes contexts of them.
    pub maker: Arc<dyn MakeContexts>,
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateFiles").finish_non_exhaustive()
    }
}

/// Who has a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner<'a> {
    Listener(&'a str),
    Cluster(&'a str),
}

/// One context and who has it.
pub(crate) struct Held<'a> {
    pub owner: Owner<'a>,
    pub id: ContextId,
    pub holdings: &'a Holdings,
}

/// What is to be done about certificates.
pub(crate) enum News {
    /// They were read again.
    Remade(Remade),
    /// A day has passed.
    Day,
}

/// What the manager does about certificates.
pub(crate) struct Certificates {
    /// `None`: their files are read with the configuration alone.
    files: Option<CertificateFiles>,
    watch: Option<FileWatch>,
    /// Asks the manager to read them again.
    changed: Arc<dyn Fn() + Send + Sync>,
    reading: Option<oneshot::Receiver<Remade>>,
    /// They have changed while they were read.
    again: bool,
    /// Up to when certificates that were brought have been read.
    brought: Option<SystemTime>,
    expiries: Expiries,
    next_day: Instant,
    meters: Meters,
}

#[derive(Debug)]
struct Meters {
    success: Counter,
    unchanged: Counter,
    rejected: Counter,
    stale: Gauge,
}

impl Owner<'_> {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Owner::Listener(_) => "listener",
            Owner::Cluster(_) => "cluster",
        }
    }
}

impl<'a> Owner<'a> {
    pub(crate) fn name(self) -> &'a str {
        match self {
            Owner::Listener(name) | Owner::Cluster(name) => name,
        }
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

impl Meters {
    fn new(metrics: &Metrics) -> Result<Self, MetricError> {
        let counter = |result| metrics.counter("sidegate_tls_reload_total", &[("result", result)]);
        Ok(Meters {
            success: counter("success")?,
            unchanged: counter("unchanged")?,
            rejected: counter("rejected")?,
            stale: metrics.gauge("sidegate_tls_stale_contexts", &[])?,
        })
    }
}

impl Certificates {
    /// `changed` is called, on another thread, when files have changed.
    pub(crate) fn new(
        files: Option<CertificateFiles>,
        changed: impl Fn() + Send + Sync + 'static,
        metrics: &Metrics,
    ) -> Result<Self, MetricError> {
        Ok(Certificates {
            files,
            watch: None,
            changed: Arc::new(changed),
            reading: None,
            again: false,
            brought: None,
            expiries: Expiries::new(metrics),
            next_day: Instant::now() + DAY,
            meters: Meters::new(metrics)?,
        })
    }

    /// This runs from now on.
    pub(crate) fn look_at(&mut self, running: &Running) {
        with_held(running, |held| self.expiries.show(held, SystemTime::now()));
        if self.files.is_some() {
            self.follow(running);
        }
    }

    /// Says what has ended and what is about to.
    pub(crate) fn complain(&self, running: &Running) {
        with_held(running, |held| expiry::complain(held, SystemTime::now()));
    }

    /// Waits for what comes next. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            let reading = async {
                match &mut self.reading {
                    Some(reading) => reading.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                remade = reading => {
                    self.reading = None;
                    match remade {
                        Ok(remade) => return News::Remade(remade),
                        Err(_) => tracing::error!("certificates stay as they were: reading them ended by a panic"),
                    }
                }
                () = sleep_until(self.next_day) => {
                    self.next_day = Instant::now() + DAY;
                    return News::Day;
                }
            }
        }
    }

    fn follow(&mut self, running: &Running) {
        let (mut paths, mut since) = (BTreeSet::<PathBuf>::new(), SystemTime::now());
        let (in_use, mut newer) = (in_use(running), None::<SystemTime>);
        let mut look_at = |made: SystemTime, files: Vec<PathBuf>, providers: Vec<&Provided>| {
            paths.extend(files);
            since = since.min(made);
            for provider in providers {
                provider.0.tell(self.changed.clone());
                newer = newer.max(provider.0.since().filter(|brought| *brought > made));
            }
        };
        for context in in_use.servers.values() {
            let settings = context.settings();
            look_at(context.made(), settings.files().map(PathBuf::from).collect(), settings.providers().collect());
        }
        for context in in_use.clients.values() {
            let settings = context.settings();
            look_at(context.made(), settings.files().map(PathBuf::from).collect(), settings.providers().collect());
        }
        // Brought after a context was made and before anybody was told; once for
        // each, as a context may refuse them.
        if newer > self.brought {
            self.brought = newer;
            (self.changed)();
        }
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        match &self.watch {
            Some(watch) => watch.follow(paths, since),
            // No thread for nothing.
            None if paths.is_empty() => {}
            None => {
                let changed = self.changed.clone();
                match FileWatch::start(paths, since, move || changed()) {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) => tracing::error!(%error, "certificates are not followed"),
                }
            }
        }
    }

    /// Reads the files of all contexts again, on a thread of its own.
    pub(crate) fn read(&mut self, running: &Running) {
        let Some(files) = self.files.clone() else { return };
        if self.reading.is_some() {
            self.again = true;
            return;
        }
        let (done, remade) = oneshot::channel();
        let in_use = in_use(running);
        let thread = std::thread::Builder::new().name("certificates".into());
        let spawned = thread.spawn(move || {
            // Who asked may be gone.
            let _ = done.send(Remade::of(in_use, &*files.maker));
        });
        match spawned {
            Ok(_) => self.reading = Some(remade),
            Err(error) => tracing::error!(%error, "certificates stay as they were: no thread to read them"),
        }
    }

    /// Counts what was read, and tells of what was no good.
    pub(crate) fn tell(&mut self, remade: &Remade, running: &Running) {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.meters.success.add(count(remade.changed()));
        self.meters.unchanged.add(count(remade.same));
        self.meters.rejected.add(count(remade.refused.len()));
        self.meters.stale.set(i64::try_from(remade.refused.len()).unwrap_or(i64::MAX));
        for (id, error) in &remade.refused {
            let owners = with_held(running, |held| owners(held, *id));
            let key = key(error.part);
            tracing::error!(of = owners, key, why = %error, "certificates are not taken; the ones before serve on");
        }
    }

    /// They are taken. Whether to read again what has changed meanwhile.
    pub(crate) fn taken(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }
}

/// Who has the context: the first, and how many others.
fn owners(held: &[Held<'_>], id: ContextId) -> String {
    let owners: Vec<Owner<'_>> = held.iter().filter(|held| held.id == id).map(|held| held.owner).collect();
    match owners.as_slice() {
        [] => "nobody any more".to_owned(),
        [one] => one.to_string(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}

fn in_use(running: &Running) -> InUse {
    let mut in_use = InUse::default();
    for tls in running.listeners.iter().filter_map(|listener| listener.spec.config.tls.as_ref()) {
        for context in tls.contexts.get().contexts() {
            in_use.servers.entry(context.id()).or_insert_with(|| context.clone());
        }
    }
    for context in running.clusters.all().iter().filter_map(|cluster| cluster.config().tls.as_ref()) {
        in_use.clients.entry(context.id()).or_insert_with(|| context.clone());
    }
    in_use
}

/// Looks at all contexts, in configured order.
fn with_held<R>(running: &Running, look: impl FnOnce(&[Held<'_>]) -> R) -> R {
    let of_listeners = running.listeners.iter().filter_map(|listener| {
        Some((Owner::Listener(&listener.socket.name), listener.spec.config.tls.as_ref()?.contexts.get()))
    });
    let of_listeners: Vec<_> = of_listeners.collect();
    let of_listeners = of_listeners.iter().flat_map(|(owner, contexts)| {
        contexts.contexts().iter().map(|context| Held { owner: *owner, id: context.id(), holdings: context.holdings() })
    });
    let of_clusters = running.clusters.all().iter().filter_map(|cluster| {
        let context = cluster.config().tls.as_ref()?;
        Some(Held { owner: Owner::Cluster(cluster.name()), id: context.id(), holdings: context.holdings() })
    });
    let held: Vec<Held<'_>> = of_listeners.chain(of_clusters).collect();
    look(&held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_day_passes_again_and_again() {
        let mut certificates = Certificates::new(None, || {}, &Metrics::new(1)).unwrap();
        let start = Instant::now();
        for day in 1..=3 {
            assert!(matches!(certificates.next().await, News::Day));
            assert!(start.elapsed() >= DAY * day, "day {day}");
        }
        assert!(start.elapsed() < DAY * 4);
    }

    #[tokio::test]
    async fn what_was_read_comes_once_and_a_panic_is_no_end() {
        let mut certificates = Certificates::new(None, || {}, &Metrics::new(1)).unwrap();
        let (done, reading) = oneshot::channel();
        certificates.reading = Some(reading);
        done.send(Remade { same: 3, ..Remade::default() }).unwrap();
        let News::Remade(remade) = certificates.next().await else { panic!("a day has passed") };
        assert_eq!((remade.same, remade.changed(), certificates.reading.is_none()), (3, 0, true));
        let (gone, reading) = oneshot::channel();
        certificates.reading = Some(reading);
        drop(gone);
        let more = tokio::time::timeout(Duration::from_millis(1), certificates.next()).await;
        assert!(more.is_err() && certificates.reading.is_none());
    }
}
