//! What the proxy tells about itself: logs, access logs, statistics of
//! downstream connections and requests, and how metrics are rendered.
//!
//! All text leaves the worker through a [`LogSink`]: a bounded buffer that a
//! thread of its own writes out. A slow disk or a reader that stopped reading
//! costs lines, which are counted, and never a request.

#![forbid(unsafe_code)]

mod access_log;
mod downstream;
mod downstream_http2;
mod escape;
mod filter_replies;
mod log;
mod render;
mod rotation;
mod routes;
mod sink;
mod target;
#[cfg(test)]
mod test_dir;
mod timestamp;

pub use access_log::{AccessLog, AccessLogFormat, FormatError, LogNeeds, LogStyle};
pub use downstream::DownstreamStats;
pub use downstream_http2::DownstreamHttp2Stats;
pub use filter_replies::FilterReplies;
pub use log::{LogConfig, LogLevel, Logging, NextLog};
pub use render::{
    Page, PageFormat, PageOptions, Percentile, ProcessFigures, Stats, StatsJson, StatsLines, StatsMatcher, collect,
    page, stats_json, stats_lines,
};
pub use rotation::{LogCompression, LogRotation, RotationError};
pub use routes::{MAX_ROUTES, RouteBudget, RouteStats};
pub use sink::{FlushOutcome, LogSink, LogSinks, LogSwitch};
pub use target::{LogError, LogTarget};
pub use timestamp::write_rfc3339;
