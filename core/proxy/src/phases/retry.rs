//! Whether a request may be sent again, and how long everything may take.

use std::time::Duration;

use sidegate_api::{BodyDirection, HeadState};
use sidegate_stream::{Expect, Left, Replay};
use sidegate_upstream::Cluster;

use crate::mirror::fan;
use crate::outcome::Again;
use crate::relay::Attempt;
use crate::stream::{Stream, held};

/// Takes over what the route, and the client, say of attempts and copies.
/// What was sent before the route was matched again stays: it is not on
/// the client's connection any more.
pub(crate) fn begin(s: &mut Stream<'_>) {
    let matched = s.matched();
    let of_route = matched.and_then(|matched| matched.timeout());
    s.retry.begin_anew(of_route.or(s.listener.config.timeouts.response));
    if let Some(policy) = matched.and_then(|matched| matched.retry()) {
        s.retry.per_try = policy.per_try_timeout;
        if s.state.request.method.is_idempotent() {
            s.retry.left = policy.retries;
            let has_body = s.has_request_body() || s.edits(BodyDirection::Request);
            if has_body && matches!(s.request.replay, Replay::Off) {
                held::begin_replay(s);
            }
        }
    }
    // A client may be less patient than the route, not more: whoever
    // bounded the route meant it.
    let headers = &s.state.request.headers;
    if let Some(asked) = headers.get(b"x-mosn-global-timeout").and_then(milliseconds) {
        s.retry.response = Some(s.retry.response.map_or(asked, |configured| configured.min(asked)));
    }
    if let Some(asked) = headers.get(b"x-mosn-try-timeout").and_then(milliseconds) {
        s.retry.per_try = Some(s.retry.per_try.map_or(asked, |configured| configured.min(asked)));
    }
    s.request.copies_to = None;
    if let Some(policy) = matched.and_then(|matched| matched.mirror()) {
        fan::begin(s, policy);
    }
}

/// Whether this status is one that the route wants tried again.
pub(crate) fn is_failure(s: &Stream<'_>, status: u16) -> bool {
    let matched = s.matched();
    matched.and_then(|matched| matched.retry()).is_some_and(|policy| policy.wants(status))
}

/// Whether another attempt may follow, which is then counted: the policy
/// has one left, everything sent is still there, the client has seen
/// nothing, there is time, and the cluster has room for a retry.
#[cold]
pub(crate) fn may_try_again(s: &mut Stream<'_>, cluster: &Cluster, attempt: &Attempt) -> Again {
    let lost = matches!(s.request.replay, Replay::Lost);
    let spent = s.retry.spent() + attempt.started().elapsed();
    let late = s.retry.response.is_some_and(|timeout| spent >= timeout);
    if s.retry.left == 0 || lost || late || s.answer.is_sent() {
        return Again::No;
    }
    let former = s.retry.former.get_or_insert_default();
    former.permit = None;
    match cluster.retry() {
        Ok(permit) => {
            former.permit = Some(permit);
            former.spent = spent;
            s.retry.left -= 1;
            Again::Allowed
        }
        Err(overflow) => {
            tracing::debug!(cluster = &**cluster.name(), %overflow, "no retry");
            Again::No
        }
    }
}

/// Makes the stream as it was before an attempt, but for the body, which
/// goes on where it stands once what was sent is sent again.
#[cold]
pub(crate) fn rewind(s: &mut Stream<'_>) {
    if s.request.flow.left() != Left::Read || !s.request.replay.bytes().is_empty() {
        // The client does not wait for a go-ahead any more.
        s.start.expect = Expect::None;
    }
    s.request.flow.rewind();
    s.state.request.state = HeadState::Open;
    s.state.response.status = 0;
    s.state.response.headers.clear();
    s.state.response_trailers.clear();
    s.state.info.upstream_us = None;
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
}
