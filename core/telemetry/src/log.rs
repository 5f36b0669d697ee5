//! The process log: `tracing` events as lines.

mod subscriber;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sidegate_api::{Counter, Metrics};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;

use self::subscriber::LogSubscriber;
use crate::sink::Pace;
use crate::{FlushOutcome, LogError, LogRotation, LogSink, LogSwitch, LogTarget};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Errors alone. Nothing that ends the process is less than an error, so
    /// this is the same as `Error`; MOSN files use it.
    Fatal,
    /// What failed and needs somebody's attention.
    Error,
    /// What may need attention.
    Warn,
    /// What happened to the process.
    #[default]
    Info,
    /// What happened to a connection or stream.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// All levels, as `parse` takes them and `Display` shows them.
    pub const ALL: [Self; 6] = [Self::Fatal, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level called `name`, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name))
    }

    /// `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Fatal => "FATAL",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Fatal | LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Settings of the process log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Where it goes.
    pub target: LogTarget,
    /// How much goes there.
    pub level: LogLevel,
    /// When a file is set aside; `None`: never.
    pub rotation: Option<LogRotation>,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { target: LogTarget::Stderr, level: LogLevel::default(), rotation: None }
    }
}

/// Where the process log goes next: open already.
#[derive(Debug)]
pub struct NextLog {
    /// `None`: where it goes now.
    sink: Option<LogSink>,
    rotation: Option<LogRotation>,
}

/// The running process log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logging(Arc<State>);

#[derive(Debug)]
struct State {
    /// Taken for the time of a clone.
    sink: RwLock<LogSink>,
    dropped: Option<Counter>,
    /// Index into [`LogLevel::ALL`].
    level: AtomicU8,
}

impl Logging {
    /// Opens the log and makes it the process's: from here on `tracing` events
    /// of all threads go there. Lines that are lost are counted in `metrics`, as
    /// `sidegate_process_log_dropped_total`.
    pub fn start(config: LogConfig, metrics: &Metrics) -> Result<Self, LogError> {
        let (logging, subscriber) = Self::build(config, metrics)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyInstalled)?;
        Ok(logging)
    }

    /// Opens the log without installing it, for
    /// [`tracing::subscriber::with_default`].
    pub fn build(
        config: LogConfig,
        metrics: &Metrics,
    ) -> Result<(Self, impl Subscriber + Send + Sync + use<>), LogError> {
        // Without room for another series the lines are still counted by the sink.
        let dropped = metrics.counter("sidegate_process_log_dropped_total", &[]).ok();
        let sink = LogSink::open(config.target, config.rotation, Pace::AtOnce, dropped.clone())?;
        let level = AtomicU8::new(config.level as u8);
        let logging = Logging(Arc::new(State { sink: RwLock::new(sink), dropped, level }));
        let subscriber = LogSubscriber::new(logging.clone());
        Ok((logging, subscriber))
    }

    /// Where it goes.
    pub fn target(&self) -> LogTarget {
        self.sink().target().clone()
    }

    /// Opens what `config` names, if the log goes elsewhere until now. Nothing
    /// goes there before [`Self::turn_to`].
    pub fn prepare(&self, config: &LogConfig) -> Result<NextLog, LogError> {
        let sink = match *self.sink().target() == config.target {
            true => None,
            false => {
                let dropped = self.0.dropped.clone();
                Some(LogSink::open(config.target.clone(), config.rotation, Pace::AtOnce, dropped)?)
            }
        };
        Ok(NextLog { sink, rotation: config.rotation })
    }

    /// The log goes there from now on, switched on or off as before. What was
    /// logged until now is still written to where it went.
    pub fn turn_to(&self, next: NextLog) {
        match next.sink {
            Some(sink) => {
                let former = self.sink();
                sink.switch(former.state());
                *self.0.sink.write().unwrap_or_else(PoisonError::into_inner) = sink;
            }
            None => self.sink().rotate_as(next.rotation),
        }
    }

    pub(crate) fn sink(&self) -> LogSink {
        self.0.sink.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The level.
    pub fn level(&self) -> LogLevel {
        let index = usize::from(self.0.level.load(Ordering::Relaxed));
        LogLevel::ALL.get(index).copied().unwrap_or_default()
    }

    /// Changes the level, for all threads from now on.
    pub fn set_level(&self, level: LogLevel) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        // Call sites remember whether anybody listens to them.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Switches the log on or off.
    pub fn switch(&self, to: LogSwitch) {
        self.sink().switch(to);
    }

    /// Whether it is on.
    pub fn state(&self) -> LogSwitch {
        self.sink().state()
    }

    /// Opens the file again by its name, after what was logged before is
    /// written to the old one.
    pub fn reopen(&self) {
        self.sink().reopen();
    }

    /// Lines lost because the target took them too slowly or refused them.
    pub fn dropped(&self) -> u64 {
        self.sink().dropped()
    }

    /// Waits until what was logged before is written, for no longer than
    /// `patience`.
    pub fn flush(&self, patience: Duration) -> FlushOutcome {
        self.sink().flush(patience)
    }

    /// The last flush before the process ends. Later lines are still written
    /// if the process lives long enough.
    pub fn shutdown(&self) -> FlushOutcome {
        self.flush(Duration::from_secs(2))
    }
}
