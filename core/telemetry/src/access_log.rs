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

use std::cell::Cell;
use std::sync::Arc;

use sidegate_api::{AccessLogSink, Completion, StreamState};

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
    target: Target,
}

#[derive(Debug)]
enum Target {
    Log(LogSink),
    Extension(Arc<dyn AccessLogSink>),
}

impl AccessLog {
    /// A log that writes `format` to `sink`.
    pub fn new(format: AccessLogFormat, sink: LogSink) -> Self {
        AccessLog(Arc::new(Parts { format, target: Target::Log(sink) }))
    }

    /// A log whose lines an extension takes.
    pub fn to_extension(format: AccessLogFormat, sink: Arc<dyn AccessLogSink>) -> Self {
        AccessLog(Arc::new(Parts { format, target: Target::Extension(sink) }))
    }

    /// Logs one finished stream. Never waits for the log's target; a line that
    /// finds no room is counted and lost. Lines stand in the order in which
    /// streams ended only roughly: each worker has a buffer of its own.
    pub fn log(&self, stream: &StreamState, completion: &Completion) {
        match &self.0.target {
            Target::Log(sink) => sink.push(|line| {
                self.0.format.write(line, stream, completion);
                line.push(b'\n');
            }),
            Target::Extension(sink) => self.log_to(&**sink, stream, completion),
        }
    }

    /// Out of the way of logs that are files.
    #[cold]
    fn log_to(&self, sink: &dyn AccessLogSink, stream: &StreamState, completion: &Completion) {
        thread_local! {
            static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        // Nothing else of the thread logs meanwhile.
        LINE.with(|kept| {
            let mut line = kept.take();
            line.clear();
            self.0.format.write(&mut line, stream, completion);
            sink.line(&line);
            kept.set(line);
        });
    }

    /// What the lines look like.
    pub fn format(&self) -> &AccessLogFormat {
        &self.0.format
    }
}
