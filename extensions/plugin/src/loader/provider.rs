//! One plugin that brings certificates, and those that it brought last.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use sidegate_api::{CertificateProvider, Counter, Credentials, Gauge, MetricError, Metrics, PluginPhase};
use sidegate_tls::{Validity, check_credentials};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::answer;
use super::settings::LoaderSettings;
use crate::call::{Failure, make};
use crate::host::PluginHost;
use crate::plugin::{Plugin, Shared};
use crate::spec::{Backoff, Source};
use crate::wire::RequestWriter;

/// `type` of a call that asks for certificates.
const KIND: &str = "certificate";
/// How long a plugin that somebody else starts is waited for.
const ATTACH: Duration = Duration::from_secs(10);
/// The clock may leap: it is looked at again after so long.
const LOOK: Duration = Duration::from_secs(60);

/// Brings certificates while anybody has it; its plugin ends with it.
pub(crate) struct Loader {
    settings: LoaderSettings,
    name: String,
    host: PluginHost,
    metrics: Metrics,
    /// What came of the first question.
    begun: OnceLock<Result<Running, String>>,
    /// Held by who asks first.
    beginning: Mutex<()>,
    held: Arc<Mutex<Held>>,
}

struct Running {
    _plugin: Arc<Plugin>,
    refreshing: JoinHandle<()>,
}

/// What there is.
#[derive(Default)]
struct Held {
    credentials: Option<(Arc<Credentials>, SystemTime)>,
    tell: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Asks the plugin, once and again.
struct Asker {
    settings: LoaderSettings,
    plugin: Arc<Shared>,
    held: Arc<Mutex<Held>>,
    meters: Meters,
}

struct Meters {
    changed: Counter,
    unchanged: Counter,
    failed: Counter,
    failing: Gauge,
}

impl Meters {
    fn new(metrics: &Metrics, plugin: &str) -> Result<Self, MetricError> {
        let counter =
            |result| metrics.counter("sidegate_tls_loader_refreshes_total", &[("plugin", plugin), ("result", result)]);
        Ok(Meters {
            changed: counter("changed")?,
            unchanged: counter("unchanged")?,
            failed: counter("failed")?,
            failing: metrics.gauge("sidegate_tls_loader_failing", &[("plugin", plugin)])?,
        })
    }
}

impl Loader {
    /// Starts nothing yet.
    pub(super) fn new(settings: LoaderSettings, host: PluginHost, metrics: Metrics) -> Loader {
        let name = format!("plugin {}", settings.plugin.name);
        let (begun, beginning, held) = (OnceLock::new(), Mutex::default(), Arc::default());
        Loader { settings, name, host, metrics, begun, beginning, held }
    }

    pub(super) fn is_of(&self, settings: &LoaderSettings) -> bool {
        self.settings == *settings
    }

    /// Whether its first question came to nothing.
    pub(super) fn has_failed(&self) -> bool {
        self.begun.get().is_some_and(Result::is_err)
    }

    /// Whether it has brought certificates.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get().is_some_and(Result::is_ok)
    }

    fn begin(&self) -> Result<Running, String> {
        let (plugin, _) =
            self.host.take(self.settings.plugin.clone(), &self.metrics).map_err(|error| error.to_string())?;
        let runtime = self.host.runtime().map_err(|error| error.to_string())?;
        let meters = Meters::new(&self.metrics, &self.settings.plugin.name).map_err(|error| error.to_string())?;
        let (shared, held) = (plugin.shared.clone(), self.held.clone());
        let asker = Asker { settings: self.settings.clone(), plugin: shared, held, meters };
        let (asker, validity) = runtime.block_on(async {
            asker.until_up().await?;
            let validity = asker.refresh().await?;
            Ok::<_, String>((asker, validity))
        })?;
        Ok(Running { _plugin: plugin, refreshing: runtime.spawn(asker.go_on(validity)) })
    }
}

impl CertificateProvider for Loader {
    fn name(&self) -> &str {
        &self.name
    }

    fn warning(&self) -> Option<&str> {
        self.settings.warning()
    }

    fn credentials(&self) -> Result<Arc<Credentials>, String> {
        let begun = match self.begun.get() {
            Some(begun) => begun,
            None => {
                let _first = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
                self.begun.get_or_init(|| self.begin())
            }
        };
        begun.as_ref().map_err(Clone::clone)?;
        let held = lock(&self.held);
        held.credentials.as_ref().map(|(credentials, _)| credentials.clone()).ok_or_else(|| "it has none".to_owned())
    }

    fn since(&self) -> Option<SystemTime> {
        lock(&self.held).credentials.as_ref().map(|(_, since)| *since)
    }

    fn tell(&self, changed: Arc<dyn Fn() + Send + Sync>) {
        lock(&self.held).tell = Some(changed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.refreshing.abort();
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Asker {
    /// Waits for the plugin's first start. A program that fails is not waited
    /// for again; one that somebody else starts may be late.
    async fn until_up(&self) -> Result<(), String> {
        let (patience, may_fail) = match &self.plugin.spec.source {
            Source::Program(program) => (program.start_timeout.saturating_add(ATTACH), false),
            Source::Address(_) => (ATTACH, true),
        };
        let mut links = self.plugin.links();
        let settled = links.wait_for(|link| match link.phase() {
            PluginPhase::Starting => false,
            PluginPhase::Down => !may_fail,
            _ => true,
        });
        let deadline = Instant::now().checked_add(patience);
        let phase = match deadline {
            Some(deadline) => timeout_at(deadline, settled).await,
            None => Ok(settled.await),
        };
        match phase {
            Ok(Ok(link)) if link.phase() == PluginPhase::Up => Ok(()),
            Ok(Ok(link)) if link.phase() == PluginPhase::Disabled => Err("it is disabled".to_owned()),
            _ => match self.plugin.last_error() {
                Some(why) => Err(format!("it does not come up: {why}")),
                None => Err(format!("it is not up in {patience:?}")),
            },
        }
    }

    /// Asks, and takes what is good.
    async fn refresh(&self) -> Result<Validity, String> {
        let answer = match self.ask().await {
            Ok((credentials, validity)) => {
                let changed = self.take(credentials);
                if changed {
                    self.meters.changed.inc()
                } else {
                    self.meters.unchanged.inc()
                }
                Ok(validity)
            }
            Err(why) => {
                self.meters.failed.inc();
                Err(why)
            }
        };
        self.meters.failing.set(i64::from(answer.is_err()));
        answer
    }

    async fn ask(&self) -> Result<(Credentials, Validity), String> {
        let (begun, within) = (Instant::now(), self.settings.timeout);
        let mut request = RequestWriter::with_capacity(KIND.len() + 2);
        request.kind(KIND);
        let metrics = &self.plugin.metrics;
        metrics.in_flight.add(1);
        let deadline = begun.checked_add(within).unwrap_or_else(|| begun + Duration::from_secs(3600));
        let made = make(&self.plugin, request.finish(), deadline, within).await;
        metrics.in_flight.add(-1);
        let response = match made {
            Ok(response) => {
                metrics.succeeded(begun.elapsed());
                response
            }
            Err(failure) => {
                metrics.failed(&failure);
                return Err(said(failure));
            }
        };
        let credentials = answer::read(response)?;
        let validity = check_credentials(&credentials, SystemTime::now()).map_err(|error| error.message)?;
        Ok((credentials, validity))
    }

    /// Whether they are others than before. Who has contexts of them is told.
    fn take(&self, credentials: Credentials) -> bool {
        let mut held = lock(&self.held);
        if held.credentials.as_ref().is_some_and(|(known, _)| **known == credentials) {
            return false;
        }
        held.credentials = Some((Arc::new(credentials), SystemTime::now()));
        let tell = held.tell.clone();
        drop(held);
        if let Some(tell) = tell {
            tell();
        }
        true
    }

    /// Asks again and again.
    async fn go_on(self, mut validity: Validity) {
        let mut backoff = Backoff::new(self.settings.retry);
        loop {
            match self.settings.refresh.due(validity, SystemTime::now()) {
                Some(due) => sleep_until(due).await,
                // It has brought nothing newer in time.
                None => sleep(backoff.pause()).await,
            }
            validity = loop {
                match self.refresh().await {
                    Ok(next) => {
                        if self.settings.refresh.due(next, SystemTime::now()).is_some() {
                            backoff.reset();
                        }
                        break next;
                    }
                    Err(why) => {
                        let (plugin, pause) = (self.plugin.name(), backoff.pause());
                        tracing::warn!(
                            plugin, next_try = ?pause,
                            "certificates of a plugin are not renewed, the ones before stay in use: {why}"
                        );
                        sleep(pause).await;
                    }
                }
            };
        }
    }
}

async fn sleep_until(due: SystemTime) {
    while let Ok(left) = due.duration_since(SystemTime::now()) {
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

/// Of what a plugin says only the code: the rest may be anything.
fn said(failure: Failure) -> String {
    match failure {
        Failure::Error(text) => {
            let code = text.split(':').next().unwrap_or_default();
            format!("it answered with the error {code}; its own log says more")
        }
        other => other.to_string(),
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
