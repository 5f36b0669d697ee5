//! Writes a line of JSON for each request. Workers hand lines over and never
//! wait: a thread of the module's own writes them, and what comes faster than
//! the disk takes it is dropped and counted.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sidegate_sdk::config::HeaderName;
use sidegate_sdk::prelude::*;

/// `{"file": "./access.jsonl", "queue": 10000, "request_headers": ["user-agent"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogConfig {
    file: PathBuf,
    /// Lines that may wait for the disk.
    #[serde(default = "ten_thousand")]
    queue: usize,
    #[serde(default)]
    request_headers: Vec<HeaderName>,
}

fn ten_thousand() -> usize {
    10_000
}

const LINES: &str = "access_log_lines_total";

sidegate_sdk::labels! {
    /// What became of a line.
    enum Fate: "result" { Written = "written", Dropped = "dropped", Failed = "failed" }
}

/// One request. What is not known is `null`.
#[derive(Serialize)]
struct Line<'a> {
    /// When it ended, in seconds since 1970.
    time: f64,
    client: Option<Cow<'a, str>>,
    method: Option<Cow<'a, str>>,
    authority: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    status: Option<u16>,
    /// Who ended it early.
    reset_by: Option<&'static str>,
    bytes_received: u64,
    bytes_sent: u64,
    duration_ms: f64,
    upstream: Option<Cow<'a, str>>,
    upstream_ms: Option<f64>,
    request_headers: BTreeMap<&'a str, Cow<'a, str>>,
}

struct AccessLog {
    request_headers: Vec<HeaderName>,
    writer: Background<Vec<u8>>,
    lines: Family<Counter, Fate>,
}

impl FilterFactory for AccessLog {
    type Config = LogConfig;
    type Filter<'f> = LogFilter<'f>;

    fn new(config: LogConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        // Other programs may cut or move the file: lines are only appended.
        let file = OpenOptions::new().append(true).create(true).open(&config.file).at("file")?;
        // The same series twice: the thread's and the workers'.
        let [lines, fates] = [env.family(LINES, &[])?, env.family(LINES, &[])?];
        let logger = env.logger();
        let writer =
            Background::start_with("access-log", config.queue, move |queue| write_lines(&queue, file, &fates, logger))?;
        Ok(AccessLog { request_headers: config.request_headers, writer, lines })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> LogFilter<'f> {
        LogFilter(self)
    }
}

struct LogFilter<'f>(&'f AccessLog);

impl LogFilter<'_> {
    fn line<'c>(&'c self, cx: &'c Complete<'_>) -> Line<'c> {
        let text = |variable| cx.variable(variable).map(String::from_utf8_lossy);
        let headers = self.0.request_headers.iter();
        Line {
            time: cx.logger().wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            client: text(Variable::DownstreamRemoteAddress),
            method: text(Variable::Method),
            authority: text(Variable::Authority),
            target: text(Variable::Target),
            status: cx.status(),
            reset_by: match cx.reset_by() {
                ResetBy::Nobody => None,
                ResetBy::Downstream => Some("client"),
                ResetBy::Upstream => Some("upstream"),
                ResetBy::Filter => Some("filter"),
                ResetBy::Proxy => Some("proxy"),
                _ => Some("other"),
            },
            bytes_received: cx.bytes_received(),
            bytes_sent: cx.bytes_sent(),
            duration_ms: cx.duration().as_secs_f64() * 1e3,
            upstream: text(Variable::UpstreamHost),
            upstream_ms: cx.upstream_duration().map(|time| time.as_secs_f64() * 1e3),
            request_headers: headers
                .filter_map(|name| Some((&**name, String::from_utf8_lossy(cx.request().get(name)?))))
                .collect(),
        }
    }
}

impl Filter for LogFilter<'_> {
    const HOOKS: Hooks = Hooks::new().complete();

    fn on_complete(&mut self, cx: &mut Complete<'_>) {
        match serde_json::to_vec(&self.line(cx)) {
            Ok(mut line) => {
                line.push(b'\n');
                if self.0.writer.submit(line).is_err() {
                    self.0.lines[Fate::Dropped].inc();
                }
            }
            Err(error) => {
                self.0.lines[Fate::Failed].inc();
                sidegate_sdk::error!(cx, "no line for a request: {error}");
            }
        }
    }
}

/// Writes what is queued in one go, then waits for more; until the factory
/// goes.
fn write_lines(queue: &Receiver<Vec<u8>>, mut file: File, lines: &Family<Counter, Fate>, logger: Logger) {
    let mut failing = false;
    while let Ok(mut bytes) = queue.recv() {
        let mut count = 1;
        for line in queue.try_iter().take(1000) {
            bytes.extend(line);
            count += 1;
        }
        match file.write_all(&bytes) {
            Ok(()) => {
                failing = false;
                lines[Fate::Written].add(count);
            }
            Err(error) => {
                lines[Fate::Failed].add(count);
                // Once, and not again and again while the disk is full.
                if !std::mem::replace(&mut failing, true) {
                    sidegate_sdk::error!(logger, "{count} lines are lost: {error}");
                }
            }
        }
    }
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(AccessLog);

#[cfg(test)]
mod tests;
