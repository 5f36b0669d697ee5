//! From entries to logs.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sidegate_api::{AccessLogSink, AccessLogSinkBuilder, BuildEnv, FilterConfigError, Fingerprint, Metrics};
use sidegate_settings::{self as settings, json_schema};
use tokio::sync::watch;

use super::meters::Meters;
use super::queue::Queue;
use super::sender::{Sender, Wish};
use super::settings::{LogSettings, PLUGIN};
use crate::builder::secret_env;
use crate::host::{PluginHost, UseError};
use crate::settings::Surroundings;

/// A log whose lines a plugin takes. After the last hold of it what waits is
/// sent, for as long as a batch is kept; its plugin is there until then.
pub(crate) struct Log {
    settings: LogSettings,
    queue: Arc<Queue>,
    ending: Ending,
}

/// How a log is ended, whoever holds it.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    wish: Arc<watch::Sender<Wish>>,
    done: watch::Receiver<()>,
}

impl Ending {
    /// Has it send what it has, and no more than is needed for it: the process
    /// ends.
    pub(crate) fn hurry(&self) {
        self.wish.send_replace(Wish::Hurry);
    }

    /// Waits until it has sent or lost everything after it was told to end.
    pub(crate) async fn done(&self) {
        // The other half goes with the sender.
        let mut done = self.done.clone();
        while done.changed().await.is_ok() {}
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.has_changed().is_err()
    }
}

impl Log {
    /// Blocks until the plugin was started if this process serves already.
    fn open(settings: LogSettings, host: &PluginHost, metrics: &Metrics) -> Result<(Log, Ending), UseError> {
        let (plugin, _) = host.take(settings.plugin.clone(), metrics)?;
        let meters = Meters::new(metrics, &settings.plugin.name, &settings.log)?;
        let queue = Arc::new(Queue::new(settings.queue, settings.batch, meters));
        let (wish, wishes) = watch::channel(Wish::Go);
        let (done_here, done) = watch::channel(());
        // Of the system's randomness.
        let run = RandomState::new().build_hasher().finish();
        let sender = Sender::new(settings.clone(), queue.clone(), plugin, wishes, done_here, run);
        host.runtime()?.spawn(sender.run());
        let ending = Ending { wish: Arc::new(wish), done };
        Ok((Log { settings, queue, ending: ending.clone() }, ending))
    }

    pub(crate) fn is_of(&self, settings: &LogSettings) -> bool {
        self.settings == *settings
    }
}

impl AccessLogSink for Log {
    fn line(&self, line: &[u8]) {
        self.queue.push(line);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.ending.wish.send_if_modified(|wish| {
            let goes = *wish == Wish::Go;
            if goes {
                *wish = Wish::Finish;
            }
            goes
        });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("plugin", &self.settings.plugin.name)
            .field("log", &self.settings.log)
            .finish_non_exhaustive()
    }
}

/// Makes logs.
pub(crate) struct LogBuilder {
    pub(crate) host: Option<PluginHost>,
    pub(crate) log_base: String,
}

impl LogBuilder {
    fn read(
        &self,
        value: &Value,
        listener: &str,
        env: &BuildEnv,
    ) -> Result<Option<LogSettings>, Vec<FilterConfigError>> {
        let around = Surroundings { env, log_base: &self.log_base };
        settings::read(value, "", &PLUGIN, &env.regexes, |object| {
            let read = LogSettings::read(object, listener, &around)?;
            is_alone(&read, env, |message| object.error("", message)).then_some(read)
        })
    }
}

impl AccessLogSinkBuilder for LogBuilder {
    fn check(&self, value: &Value, listener: &str, env: &BuildEnv) -> Result<Fingerprint, Vec<FilterConfigError>> {
        let read = self.read(value, listener, env)?;
        Ok(read.map_or(Fingerprint::SPEC, |read| read.plugin.fingerprint()))
    }

    fn open(
        &self,
        value: &Value,
        listener: &str,
        env: &BuildEnv,
    ) -> Result<Option<Arc<dyn AccessLogSink>>, Vec<FilterConfigError>> {
        let read = self.read(value, listener, env)?;
        let (Some(host), Some(read)) = (&self.host, read) else { return Ok(None) };
        let opened = host.log(|known| known.is_of(&read), || Log::open(read.clone(), host, &env.metrics));
        match opened {
            Ok(log) => Ok(Some(log)),
            Err(error) => Err(vec![FilterConfigError::new("", error.to_string()).with_kind("plugin_not_up")]),
        }
    }

    fn schema(&self) -> Value {
        secret_env(json_schema(&PLUGIN))
    }
}

/// Logs of one configuration, by the names of plugin and log.
type Named = Mutex<BTreeMap<(Arc<str>, Arc<str>), LogSettings>>;

/// Whether no other entry has another log of the same plugin under the same
/// name.
fn is_alone(read: &LogSettings, env: &BuildEnv, report: impl FnOnce(String)) -> bool {
    let named: Arc<Named> = env.reads.once("access logs of plugins", Named::default);
    let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
    let names = (read.plugin.name.clone(), read.log.clone());
    if named.entry(names).or_insert_with(|| read.clone()) == read {
        return true;
    }
    report(format!(
        "another access log goes to the plugin {:?} as {:?} in another way; a `log_name` tells them apart",
        read.plugin.name, read.log
    ));
    false
}
