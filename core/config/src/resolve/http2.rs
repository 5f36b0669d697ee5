//! `http2_protocol_options`, of listeners and clusters.

use sidegate_api::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};

use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Reads those of a listener over what counts without them.
pub(super) fn of_clients(cursor: &Cursor<'_>, default: Http2Settings) -> Http2Settings {
    let Some(mut object) = cursor.object(&schema::HTTP2_DOWNSTREAM) else { return default };
    let grace = object.get("max_connection_duration_grace").and_then(|c| c.duration());
    Http2Settings { age_grace: grace.unwrap_or(default.age_grace), ..settings(object, default) }
}

/// Reads those of a cluster over what counts without them.
pub(super) fn of_hosts(cursor: &Cursor<'_>, default: Http2Settings) -> Http2Settings {
    cursor.object(&schema::HTTP2_UPSTREAM).map_or(default, |object| settings(object, default))
}

fn settings(mut object: ObjectReader<'_>, default: Http2Settings) -> Http2Settings {
    let stream_window = object.get("initial_stream_window_size");
    let mut settings = Http2Settings {
        max_concurrent_streams: number(&mut object, "max_concurrent_streams", default.max_concurrent_streams),
        stream_window: number(&mut object, "initial_stream_window_size", default.stream_window),
        connection_window: number(&mut object, "initial_connection_window_size", default.connection_window),
        max_frame_size: number(&mut object, "max_frame_size", default.max_frame_size),
        max_header_list_bytes: number(&mut object, "max_header_list_size", default.max_header_list_bytes),
        ..default
    };
    if let Some(cursor) = stream_window.filter(|_| settings.stream_window > settings.connection_window) {
        cursor.inert(format!(
            "no stream gets more than its connection has; `initial_connection_window_size` is {}, found {}",
            settings.connection_window,
            cursor.shown()
        ));
    }
    settings.keepalive = object.get("connection_keepalive").and_then(|c| keepalive(&c));
    if let Some(age) = object.get("max_connection_duration").and_then(|c| c.bound()) {
        settings.max_age = age;
    }
    settings.frames.continuations =
        FrameLimits::continuations_for(settings.max_header_list_bytes, settings.max_frame_size);
    if let Some(frames) = object.get("frame_limits").and_then(|c| frame_limits(&c, settings.frames)) {
        settings.frames = frames;
    }
    object.finish();
    settings
}

fn keepalive(cursor: &Cursor<'_>) -> Option<KeepAlive> {
    let mut object = cursor.object(&schema::HTTP2_KEEPALIVE)?;
    let interval = object.required("interval").and_then(|c| c.duration());
    let timeout = object.get("timeout").map_or(Some(KeepAlive::DEFAULT_TIMEOUT), |c| c.duration());
    object.finish();
    Some(KeepAlive { interval: interval?, timeout: timeout? })
}

fn frame_limits(cursor: &Cursor<'_>, default: FrameLimits) -> Option<FrameLimits> {
    let mut object = cursor.object(&schema::HTTP2_FRAME_LIMITS)?;
    let limits = FrameLimits {
        resets: frame_limit(&mut object, "resets", default.resets),
        provoked_resets: frame_limit(&mut object, "provoked_resets", default.provoked_resets),
        pings: frame_limit(&mut object, "pings", default.pings),
        settings: frame_limit(&mut object, "settings", default.settings),
        other: frame_limit(&mut object, "other", default.other),
        window_updates: frame_limit(&mut object, "window_updates", default.window_updates),
        empty_data: frame_limit(&mut object, "empty_data", default.empty_data),
        headers: frame_limit(&mut object, "headers", default.headers),
        continuations: number(&mut object, "continuations", default.continuations),
    };
    object.finish();
    Some(limits)
}

fn frame_limit(object: &mut ObjectReader<'_>, name: &'static str, default: FrameLimit) -> FrameLimit {
    let Some(mut object) = object.get(name).and_then(|c| c.object(&schema::HTTP2_FRAME_LIMIT)) else { return default };
    let limit = FrameLimit {
        burst: number(&mut object, "burst", default.burst),
        per_second: number(&mut object, "per_second", default.per_second),
    };
    object.finish();
    limit
}

fn number(object: &mut ObjectReader<'_>, name: &'static str, default: u32) -> u32 {
    let number = object.get(name).and_then(|c| c.integer());
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
}
