//! One line per finished stream.

mod fact;
mod field;
mod format;
mod json;
mod mosn;
mod needs;
mod of_mosn;
mod template;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use sidegate_api::{Completion, StreamState};

pub use self::format::{AccessLogFormat, LogStyle};
pub use self::needs::LogNeeds;
pub use self::template::FormatError;
use crate::LogSink;

/// An access log: a format and where its lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    format: AccessLogFormat,
    sink: LogSink,
}

impl AccessLog {
    /// A log that writes `format` to `sink`.
    pub fn new(format: AccessLogFormat, sink: LogSink) -> Self {
        AccessLog(Arc::new(Parts { format, sink }))
    }

    /// Logs one finished stream. Never waits for the log's target; a line that
    /// finds no room is counted and lost. Lines stand in the order in which
    /// streams ended only roughly: each worker has a buffer of its own.
    pub fn log(&self, stream: &StreamState, completion: &Completion) {
        self.0.sink.push(|line| {
            self.0.format.write(line, stream, completion);
            line.push(b'\n');
        });
    }

    /// What the lines look like.
    pub fn format(&self) -> &AccessLogFormat {
        &self.0.format
    }

    /// Where they go.
    pub fn sink(&self) -> &LogSink {
        &self.0.sink
    }
}
