//! `overload`.

use sidegate_overload::{Action, Bound, ConnectionLimits, OverloadConfig, Percent, Thresholds};

use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Less is less than the process takes by itself.
const LEAST_MEMORY: u64 = 32 << 20;

pub(super) fn overload(cursor: &Cursor<'_>) -> Option<OverloadConfig> {
    let mut object = cursor.object(&schema::OVERLOAD)?;
    let default = OverloadConfig::default();
    let memory = object.get("memory").and_then(|c| memory(&c)).unwrap_or(default.memory);
    let buffered_bytes = object.get("buffered_bytes").and_then(|c| amount(&c)).unwrap_or(default.buffered_bytes);
    let connections = object.get("connections").and_then(|c| c.object(&schema::OVERLOAD_CONNECTIONS));
    let connections = connections.map_or(default.connections, |object| connection_limits(object, default.connections));
    let descriptors = object.get("descriptors").and_then(|c| amount(&c)).unwrap_or(default.descriptors);
    let streams = number(&mut object, "streams", default.streams);
    let pending_filters = number(&mut object, "pending_filters", default.pending_filters);
    let actions = object.get("actions").and_then(|c| thresholds(&c)).unwrap_or(default.actions);
    object.finish();
    Some(OverloadConfig { memory, buffered_bytes, connections, descriptors, streams, pending_filters, actions })
}

fn memory(cursor: &Cursor<'_>) -> Option<Bound> {
    let bound = amount(cursor)?;
    if matches!(bound, Bound::Absolute(bytes) if bytes < LEAST_MEMORY) {
        cursor.mismatch(kind::BAD_VALUE, "at least 33554432 bytes (32 MiB): the process itself takes some 20 MiB");
        return None;
    }
    Some(bound)
}

/// A number, a share, or `off`.
fn amount(cursor: &Cursor<'_>) -> Option<Bound> {
    if cursor.is_number() {
        return cursor.integer().map(|count| if count == 0 { Bound::Off } else { Bound::Absolute(count) });
    }
    let text = cursor.string()?;
    let share = text.strip_suffix('%').and_then(|number| Percent::new(number.parse().ok()?));
    match share {
        Some(percent) => Some(Bound::Share(percent)),
        None if text == "off" => Some(Bound::Off),
        None => {
            cursor.mismatch(kind::BAD_VALUE, "a number, a share such as \"50%\", or \"off\"");
            None
        }
    }
}

/// A number where zero is no limit.
fn number(object: &mut ObjectReader<'_>, key: &'static str, default: Option<u64>) -> Option<u64> {
    match object.get(key).and_then(|c| c.integer()) {
        Some(count) => Some(count).filter(|count| *count > 0),
        None => default,
    }
}

fn connection_limits(mut object: ObjectReader<'_>, default: ConnectionLimits) -> ConnectionLimits {
    let limits = ConnectionLimits {
        total: number(&mut object, "total", default.total),
        per_listener: number(&mut object, "per_listener", default.per_listener),
        per_client: number(&mut object, "per_client", default.per_client),
    };
    object.finish();
    limits
}

fn thresholds(cursor: &Cursor<'_>) -> Option<Thresholds> {
    let mut object = cursor.object(&schema::OVERLOAD_ACTIONS)?;
    let default = Thresholds::default();
    let percents = Action::ALL.map(|action| {
        let given = object.get(action.name()).and_then(|c| c.integer()).and_then(|percent| u8::try_from(percent).ok());
        given.unwrap_or_else(|| default.begin(action).unwrap_or(0))
    });
    object.finish();
    let thresholds = Thresholds::new(percents);
    if let Some((early, late)) = thresholds.disorder() {
        let (early, late) = (early.name(), late.name());
        let message = format!("{early} may not begin before {late}, which stands in front of it");
        cursor.error(Finding::said(kind::BAD_VALUE, message));
        return None;
    }
    Some(thresholds)
}
