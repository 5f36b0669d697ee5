//! What is measured of a stream only because an access log shows it.

use std::time::Instant;

use sidegate_api::StreamState;
use sidegate_telemetry::LogNeeds;

use crate::stream::Stream;

/// The head is there and nothing has changed it yet.
pub(crate) fn begin(s: &mut Stream<'_>) {
    s.state.info.head_bytes = s.start.head_bytes;
    if s.listener.log_needs.original_target {
        s.state.info.original_target.push_str(s.state.request.target());
    }
    if !s.has_request_body() {
        received(s.state, &s.listener.log_needs);
    }
}

/// The request was read to its end.
#[inline]
pub(crate) fn received(state: &mut StreamState, needs: &LogNeeds) {
    if needs.received {
        state.info.received_us = state.info.micros_until(Instant::now());
    }
}

/// The filter at `index` answered, or failed and so ends the stream.
#[cold]
pub(crate) fn answered_by(s: &mut Stream<'_>, index: usize) {
    s.state.info.answered_by = s.chain.entry(index).map(|entry| entry.answers_as.clone());
}
