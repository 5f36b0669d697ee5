//! From `tracing` events to lines.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::Logging;
use crate::escape::write_text;
use crate::timestamp::write_rfc3339;

/// Writes events as `time LEVEL target: message key=value…`. Spans are not
/// kept: what an event needs to tell stands in its fields.
pub(super) struct LogSubscriber {
    logging: Logging,
}

impl LogSubscriber {
    pub(super) fn new(logging: Logging) -> Self {
        LogSubscriber { logging }
    }
}

impl Subscriber for LogSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = *metadata.level();
        let level = if is_of_peers(metadata.target()) { level.max(Level::DEBUG) } else { level };
        level <= self.logging.level().filter()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.logging.level().filter())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // A `Debug` of a field may itself log; formatting before the sink's
        // buffer is taken keeps that from waiting for itself.
        let mut line = Vec::with_capacity(160);
        write_rfc3339(&mut line, SystemTime::now());
        let metadata = event.metadata();
        line.push(b' ');
        line.extend_from_slice(metadata.level().as_str().as_bytes());
        line.push(b' ');
        line.extend_from_slice(metadata.target().as_bytes());
        line.push(b':');
        let mut fields = Fields { message: String::new(), rest: String::new() };
        event.record(&mut fields);
        write_text(&mut line, shortened(&mut fields.message));
        write_text(&mut line, shortened(&mut fields.rest));
        line.push(b'\n');
        self.logging.sink().push(|buffer| buffer.extend_from_slice(&line));
    }
}

/// Whether events of `target` tell what a peer did, whatever level they claim:
/// the `h2` crate warns of single frames, so a peer would write as many lines
/// as it sends frames.
fn is_of_peers(target: &str) -> bool {
    target == "h2" || target.starts_with("h2::")
}

/// Texts of an event, each field preceded by a blank, message first.
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a `String` fails only if the value's own `Debug` does;
        // then the line has what came before.
        let _ = match field.name() {
            "message" => write!(self.message, " {value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

/// At most 8 KiB of `text`, so that one event cannot fill the buffer.
fn shortened(text: &mut String) -> &str {
    const MAX: usize = 8 * 1024;
    if text.len() > MAX {
        text.truncate(text.floor_char_boundary(MAX));
        text.push_str("...");
    }
    text
}
