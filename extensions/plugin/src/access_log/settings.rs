//! `plugin` of an entry of `access_logs`.

use std::sync::Arc;
use std::time::Duration;

use sidegate_settings::{Object, Shape, Table, key};

use super::queue::Amount;
use crate::settings::{Surroundings, of_plugin, plugin_spec};
use crate::spec::{BackoffSpec, PluginSpec, Purpose};

pub(super) static PLUGIN: Table = Table::new(
    "A plugin that takes the lines of an access log, in batches: a program that is started beside the proxy, or one that \
     listens at an address. It serves `sidegate.plugin.v1.AccessLog`. Who serves requests never waits for it: what it \
     does not take in time is counted and lost.",
    &[
        key("command", Shape::Name, "", "The program, as in the filter `plugin`."),
        of_plugin::ARGS,
        key("directory", Shape::Name, "the folder of the configuration file", "Its working directory."),
        of_plugin::ENV,
        key(
            "address",
            Shape::Name,
            "",
            "In place of `command`: where a plugin listens that somebody else starts, `unix:/path` or a loopback \
             address with a port.",
        ),
        key(
            "name",
            Shape::Name,
            "the program's file name, or the address",
            "For status, metrics and logs. One name is one process, which filters may ask too.",
        ),
        key(
            "log_name",
            Shape::Name,
            "the listener's name",
            "What the plugin and metrics have the log under. Entries that say the same here and otherwise share a queue.",
        ),
        key(
            "batch_lines",
            Shape::Integer(1, 100_000),
            "1000",
            "Lines that are sent together, at most; so many are sent at once.",
        ),
        key("batch_bytes", Shape::Integer(1, MAX_BATCH), "262144", "The same in bytes. A longer line goes alone."),
        key("batch_interval", Shape::Duration, "1s", "Time from a line until it is sent, if no more come."),
        key(
            "queue_lines",
            Shape::Integer(1, 10_000_000),
            "100000",
            "Lines that wait or are on their way, at most. More are lost (`queue_full`).",
        ),
        key("queue_bytes", Shape::Integer(64 << 10, 1 << 32), "16777216", "The same in bytes."),
        key(
            "timeout",
            Shape::Duration,
            "5s",
            "Bound of a call that brings a batch. One without an answer is made again: a plugin that is only slow may \
             see lines twice, under the same numbers.",
        ),
        key(
            "retention",
            Shape::Duration,
            "1m",
            "A batch is sent again for so long; what the plugin has not taken by then is lost (`expired`).",
        ),
        key("retry_backoff", Shape::Duration, "100ms", "Pause before a batch is sent again; doubles each time."),
        key("retry_backoff_max", Shape::Duration, "5s", "The longest such pause."),
        of_plugin::MAX_PROCS,
        of_plugin::LIMITS,
        key("max_timeouts", Shape::Integer(0, 1_000_000), "30", "Calls without an answer that make it one that hangs."),
        of_plugin::START_TIMEOUT,
        of_plugin::STOP_TIMEOUT,
        of_plugin::RESTART_BACKOFF,
        of_plugin::RESTART_BACKOFF_MAX,
        of_plugin::COOKIE,
    ],
)
.exactly_one(&["command", "address"]);

/// Bytes. Servers of gRPC take messages of 4 MiB unless told otherwise.
const MAX_BATCH: u64 = 3 << 20;

/// What an entry says. Two that are equal are one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(super) plugin: PluginSpec,
    /// The log's name.
    pub(super) log: Arc<str>,
    pub(super) batch: Amount,
    pub(super) interval: Duration,
    pub(super) queue: Amount,
    pub(super) timeout: Duration,
    pub(super) retention: Duration,
    pub(super) retry: BackoffSpec,
}

impl LogSettings {
    /// `None` after something was reported.
    pub(super) fn read(object: &Object<'_>, listener: &str, around: &Surroundings<'_>) -> Option<LogSettings> {
        let time = |name, default| object.get(name).and_then(|setting| setting.duration()).unwrap_or(default);
        let number = |name, default| {
            let given = object.get(name).and_then(|setting| setting.integer());
            given.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
        };
        let positive = |name, default| {
            let Some(setting) = object.get(name) else { return default };
            let value = setting.duration();
            if value.is_some_and(|value| value.is_zero()) {
                setting.expected("a duration above zero");
            }
            value.unwrap_or(default)
        };
        let log = match object.get("log_name") {
            Some(setting) => setting.text()?,
            None => listener,
        };
        let queue = Amount { lines: number("queue_lines", 100_000), bytes: number("queue_bytes", 16 << 20) };
        let batch = Amount {
            lines: number("batch_lines", queue.lines.min(1000)),
            bytes: number("batch_bytes", queue.bytes.min(256 << 10)),
        };
        for (name, batch, queue) in
            [("batch_lines", batch.lines, queue.lines), ("batch_bytes", batch.bytes, queue.bytes)]
        {
            if batch > queue {
                object.error(name, format!("expected {queue} or less, which is the bound of the queue, found {batch}"));
            }
        }
        Some(LogSettings {
            log: log.into(),
            batch,
            interval: time("batch_interval", Duration::from_secs(1)),
            queue,
            timeout: positive("timeout", Duration::from_secs(5)),
            retention: time("retention", Duration::from_secs(60)),
            retry: BackoffSpec {
                first: positive("retry_backoff", Duration::from_millis(100)),
                most: positive("retry_backoff_max", Duration::from_secs(5)),
            },
            plugin: plugin_spec(object, around, Purpose::Streams)?,
        })
    }
}
