//! All plugins of the process, and the thread that speaks with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use sidegate_api::{Metrics, PluginPhase, PluginStatus};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::access_log::{Ending, Log};
use crate::call::Call;
use crate::child::Spawner;
use crate::loader::Loader;
use crate::metrics::PluginMetrics;
use crate::plugin::{Plugin, Shared, Wish};
use crate::spec::{PluginSpec, Purpose, Source};
use crate::supervisor::supervise;

/// The plugins of a process. Cheap to clone; its threads are there from the
/// first plugin on.
#[derive(Debug, Clone, Default)]
pub struct PluginHost(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    threads: OnceLock<Threads>,
    known: Mutex<Known>,
    /// What brings certificates.
    loaders: Mutex<Vec<Weak<Loader>>>,
    /// What takes access logs.
    logs: Mutex<Vec<(Weak<Log>, Ending)>>,
    /// Whether plugins are started.
    open: watch::Sender<bool>,
}

#[derive(Debug)]
struct Threads {
    runtime: Handle,
    calls: mpsc::UnboundedSender<Call>,
    spawner: Spawner,
}

#[derive(Debug, Default)]
struct Known {
    plugins: Vec<Weak<Plugin>>,
    /// By name: what is not run, in this configuration and in the next.
    disabled: BTreeSet<String>,
    supervisors: Vec<(Arc<Shared>, JoinHandle<()>)>,
    ending: bool,
}

/// What came of an order for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// It is as ordered, or on its way there.
    Done,
    /// No plugin is called so.
    Unknown,
}

/// A plugin could not be taken into use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UseError {
    #[error("cannot start the threads of plugins: {0}")]
    Threads(io::Error),
    #[error(transparent)]
    Metrics(#[from] sidegate_api::MetricError),
    #[error("plugin {name:?} does not come up: {why}")]
    NotUp { name: String, why: String },
}

/// Where calls are sent to.
#[derive(Debug, Clone)]
pub(crate) struct Calls(mpsc::UnboundedSender<Call>);

impl Calls {
    /// Sends a call on its way. Never blocks; how many there can be is bounded
    /// by whoever sends.
    pub(crate) fn send(&self, call: Call) {
        // Whoever waits is told by the drop of what it waits for.
        let _ = self.0.send(call);
    }
}

impl PluginHost {
    /// No plugin, and no thread.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the plugins that are in use so far, and from now on each as it is
    /// taken into use.
    pub fn begin(&self) {
        self.0.open.send_replace(true);
    }

    /// Waits until all plugins were started, well or not, for `patience` at
    /// most.
    pub async fn settled(&self, patience: Duration) {
        let all: Vec<Arc<Shared>> = self.shared();
        let settled = async {
            for plugin in &all {
                let _ = plugin.links().wait_for(|link| link.is_settled()).await;
            }
        };
        if timeout(patience, settled).await.is_err() {
            for plugin in all.iter().filter(|plugin| plugin.status().phase == PluginPhase::Starting) {
                tracing::warn!(plugin = plugin.name(), ?patience, "plugin is not up yet");
            }
        }
    }

    /// How all plugins are, by name.
    pub fn status(&self) -> Vec<PluginStatus> {
        let mut all: Vec<PluginStatus> = self.shared().iter().map(|plugin| plugin.status()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Starts the plugin called `name` again that was disabled.
    pub fn enable(&self, name: &str) -> Switched {
        self.switch(name, Wish::Run)
    }

    /// Stops the plugin called `name` until it is enabled, whatever
    /// configurations are taken meanwhile. Calls of it fail.
    pub fn disable(&self, name: &str) -> Switched {
        self.switch(name, Wish::Rest)
    }

    /// Has all access logs sent, and waits until they are. No more lines come.
    pub async fn flush_access_logs(&self) {
        let endings: Vec<Ending> = self.logs().iter().map(|(_, ending)| ending.clone()).collect();
        endings.iter().for_each(Ending::hurry);
        for ending in endings {
            ending.done().await;
        }
    }

    /// Stops all plugins and waits for their ends.
    pub async fn end(&self) {
        let supervisors = {
            let mut known = self.known();
            known.ending = true;
            std::mem::take(&mut known.supervisors)
        };
        for (plugin, _) in &supervisors {
            plugin.wish(Wish::End);
        }
        for (_, supervisor) in supervisors {
            let _ = supervisor.await;
        }
        // What is left of them is lost, and said to be.
        self.flush_access_logs().await;
    }

    /// The plugin `spec`, which runs already or is started now. Blocks until it
    /// was started if this process serves already: a configuration whose plugin
    /// does not come up is not taken.
    pub(crate) fn take(&self, spec: PluginSpec, metrics: &Metrics) -> Result<(Arc<Plugin>, Calls), UseError> {
        let threads = self.threads().map_err(UseError::Threads)?;
        let calls = Calls(threads.calls.clone());
        let plugin = {
            let mut known = self.known();
            known.plugins.retain(|plugin| plugin.strong_count() > 0);
            known.supervisors.retain(|(_, supervisor)| !supervisor.is_finished());
            let running = known.plugins.iter().filter_map(Weak::upgrade).find(|plugin| plugin.shared.spec == spec);
            match running {
                Some(running) => running,
                None => {
                    let series = PluginMetrics::new(metrics, &spec.name)?;
                    let wish = match () {
                        () if known.ending => Wish::End,
                        () if known.disabled.contains(&*spec.name) => Wish::Rest,
                        () => Wish::Run,
                    };
                    let shared = Arc::new(Shared::new(spec, series, wish));
                    let gate = match shared.spec.purpose {
                        Purpose::Streams => self.0.open.subscribe(),
                        Purpose::Keys(_) => watch::channel(true).1,
                    };
                    let life = supervise(shared.clone(), threads.spawner.clone(), gate);
                    known.supervisors.push((shared.clone(), threads.runtime.spawn(life)));
                    let plugin = Arc::new(Plugin { shared });
                    known.plugins.push(Arc::downgrade(&plugin));
                    plugin
                }
            }
        };
        // Who takes keys waits for itself.
        if *self.0.open.borrow() && plugin.shared.spec.purpose == Purpose::Streams {
            threads.runtime.block_on(settle_one(&plugin.shared))?;
        }
        Ok((plugin, calls))
    }

    /// Where plugins are spoken with.
    pub(crate) fn runtime(&self) -> Result<Handle, UseError> {
        self.threads().map(|threads| threads.runtime.clone()).map_err(UseError::Threads)
    }

    /// The one that runs and that `is_it`, or another.
    pub(crate) fn loader(&self, is_it: impl Fn(&Loader) -> bool, make: impl FnOnce() -> Loader) -> Arc<Loader> {
        let mut loaders = self.0.loaders.lock().unwrap_or_else(PoisonError::into_inner);
        loaders.retain(|loader| loader.strong_count() > 0);
        let known = loaders.iter().filter_map(Weak::upgrade).find(|loader| is_it(loader));
        known.unwrap_or_else(|| {
            let made = Arc::new(make());
            loaders.push(Arc::downgrade(&made));
            made
        })
    }

    /// The one that brought certificates and that `is_it`.
    pub(crate) fn known_loader(&self, is_it: impl Fn(&Loader) -> bool) -> Option<Arc<Loader>> {
        let loaders = self.0.loaders.lock().unwrap_or_else(PoisonError::into_inner);
        loaders.iter().filter_map(Weak::upgrade).find(|loader| loader.has_begun() && is_it(loader))
    }

    /// The one that is open and that `is_it`, or another.
    pub(crate) fn log(
        &self,
        is_it: impl Fn(&Log) -> bool,
        open: impl FnOnce() -> Result<(Log, Ending), UseError>,
    ) -> Result<Arc<Log>, UseError> {
        let known = self.logs().iter().filter_map(|(log, _)| log.upgrade()).find(|log| is_it(log));
        if let Some(known) = known {
            return Ok(known);
        }
        // Not under the lock: it waits for the plugin. One thread reads
        // configurations.
        let (log, ending) = open()?;
        let log = Arc::new(log);
        let mut logs = self.logs();
        logs.retain(|(_, ending)| !ending.is_done());
        logs.push((Arc::downgrade(&log), ending));
        Ok(log)
    }

    fn logs(&self) -> MutexGuard<'_, Vec<(Weak<Log>, Ending)>> {
        self.0.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, name: &str, wish: Wish) -> Switched {
        let all = self.shared();
        let of_name: Vec<_> = all.iter().filter(|plugin| plugin.name() == name).collect();
        if of_name.is_empty() {
            return Switched::Unknown;
        }
        let mut known = self.known();
        match wish {
            Wish::Rest => known.disabled.insert(name.to_owned()),
            _ => known.disabled.remove(name),
        };
        of_name.iter().for_each(|plugin| plugin.wish(wish));
        Switched::Done
    }

    fn shared(&self) -> Vec<Arc<Shared>> {
        self.known().plugins.iter().filter_map(|plugin| Some(plugin.upgrade()?.shared.clone())).collect()
    }

    fn threads(&self) -> io::Result<&Threads> {
        // One thread at a time makes factories.
        match self.0.threads.get() {
            Some(threads) => Ok(threads),
            None => {
                let started = Threads::start()?;
                Ok(self.0.threads.get_or_init(|| started))
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the plugin is up; what failed is not waited for again.
async fn settle_one(plugin: &Shared) -> Result<(), UseError> {
    let patience = match &plugin.spec.source {
        Source::Program(program) => program.start_timeout.saturating_add(Duration::from_secs(10)),
        Source::Address(_) => Duration::from_secs(10),
    };
    let mut links = plugin.links();
    let not_up = |why: &str| UseError::NotUp { name: plugin.name().to_owned(), why: why.to_owned() };
    let settled = timeout(patience, links.wait_for(|link| link.is_settled())).await;
    match settled {
        Ok(Ok(link)) if link.phase() == PluginPhase::Down => {
            Err(not_up(plugin.last_error().as_deref().unwrap_or("it failed")))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(not_up("it takes too long")),
    }
}

impl Threads {
    fn start() -> io::Result<Self> {
        let spawner = Spawner::start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (calls, mut received) = mpsc::unbounded_channel::<Call>();
        thread::Builder::new().name("plugins".into()).spawn(move || {
            runtime.block_on(async {
                // Ends with the host.
                while let Some(call) = received.recv().await {
                    tokio::spawn(call.run());
                }
            });
        })?;
        Ok(Threads { runtime: handle, calls, spawner })
    }
}

/// Names of plugins within one configuration: one name is one plugin.
pub(crate) type Names = Mutex<BTreeMap<Arc<str>, PluginSpec>>;
