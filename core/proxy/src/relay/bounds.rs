//! Which deadline holds when.

use std::time::Duration;

use crate::outcome::Bound;
use crate::relay::Attempt;
use crate::stream::{Download, Stream, Upload, client, pace};

/// Sets the deadlines of the sides that we wait for, if there was progress
/// since they were set.
pub(crate) fn arm(s: &mut Stream<'_>, attempt: &mut Attempt) {
    let moved = s.state.info.bytes_received + s.state.info.bytes_sent;
    let now = Some((attempt.upload, attempt.download, moved));
    if attempt.armed_at == now {
        return;
    }
    let before = std::mem::replace(&mut attempt.armed_at, now);
    let response = time_left(s, attempt);
    pace::body_came(s);
    let write_idle = s.listener.config.timeouts.response_write_idle;
    let down = match (attempt.upload, attempt.download) {
        (Upload::Reading, Download::Head) => pace::await_body(s),
        (_, Download::Interim | Download::Direct(_) | Download::Buffered(_) | Download::Flushing) => write_idle,
        (Upload::Reading, _) => pace::await_body(s),
        _ => None,
    };
    let up = match (attempt.upload, attempt.download) {
        (Upload::Again(_) | Upload::Direct(_) | Upload::Buffered(_) | Upload::Flushing, _) => response,
        (Upload::Done | Upload::Broken, Download::Head | Download::Interim | Download::Reading) => response,
        _ => None,
    };
    s.timers.down.set(down);
    // Informational responses give the upstream no more time.
    let interim_only = before.is_some_and(|(upload, download, before)| {
        (upload, before) == (attempt.upload, moved)
            && matches!((download, attempt.download), (Download::Interim, _) | (_, Download::Interim))
    });
    if !interim_only {
        s.timers.up.set(up);
    }
    client::still_reading(s);
}

/// How long the upstream may let us wait, now.
fn time_left(s: &Stream<'_>, attempt: &mut Attempt) -> Option<Duration> {
    attempt.bound = Bound::Request;
    let whole = s.retry.response;
    if !matches!(attempt.download, Download::Head | Download::Interim) {
        return whole;
    }
    let whole = whole.map(|whole| whole.saturating_sub(s.retry.spent()));
    match s.retry.per_try {
        Some(per_try) if whole.is_none_or(|whole| per_try < whole) => {
            attempt.bound = Bound::Attempt;
            Some(per_try)
        }
        _ => whole,
    }
}
