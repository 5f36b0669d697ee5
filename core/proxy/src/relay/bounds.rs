//! Which deadline holds when.

use std::time::Duration;

use sidegate_stream::{At, Left};

use crate::outcome::Bound;
use crate::stream::{Stream, client, pace};

/// What is awaited of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coming {
    /// Nothing: no host was asked yet.
    Nothing,
    /// Its head.
    Head,
    /// As that, once the client has taken an informational response.
    Interim,
    /// Its body.
    Body(Left),
}

impl Coming {
    const INTERIM: u64 = u64::MAX;

    /// A number that is another one where something else is awaited.
    #[inline]
    fn mark(self) -> u64 {
        match self {
            Coming::Nothing => u64::MAX - 2,
            Coming::Head => u64::MAX - 1,
            Coming::Interim => Coming::INTERIM,
            Coming::Body(left) => left.mark(),
        }
    }
}

/// When deadlines were last set.
#[derive(Debug, Default)]
pub(super) struct Armed {
    /// How far the request had come, and the response, and what had moved.
    at: Option<[u64; 3]>,
    /// Which bound the upstream's deadline is.
    pub(super) bound: Bound,
}

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaited {
    client: Option<Client>,
    host: bool,
}

/// What the client is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// The next part of its request.
    Sends,
    /// That it takes what it is sent.
    Takes,
}

/// The table. A host is to blame while it does not take its request, and for
/// its response from there on; never while nobody listens to it.
fn awaited(request: At, response: Coming) -> Awaited {
    let reads = request == At::Sending(Left::Read);
    let client = match response {
        Coming::Interim | Coming::Body(Left::Lend(_) | Left::Drain(_) | Left::Flush) => Some(Client::Takes),
        Coming::Nothing | Coming::Head | Coming::Body(Left::Read) => reads.then_some(Client::Sends),
    };
    let host = match request {
        _ if response == Coming::Nothing => false,
        At::Sending(Left::Read) => false,
        At::Again { .. } | At::Sending(Left::Lend(_) | Left::Drain(_) | Left::Flush) => true,
        At::Done | At::Refused(_) => matches!(response, Coming::Head | Coming::Interim | Coming::Body(Left::Read)),
    };
    Awaited { client, host }
}

/// What the client is waited for.
pub(super) fn of_client(response: Coming) -> Client {
    match response {
        Coming::Head | Coming::Nothing | Coming::Body(Left::Read) => Client::Sends,
        _ => Client::Takes,
    }
}

/// Sets the deadlines of the sides that we wait for, if there was progress
/// since they were set.
pub(super) fn arm(s: &mut Stream<'_>, response: Coming, armed: &mut Armed) {
    let moved = s.state.info.bytes_received + s.state.info.bytes_sent;
    let request = s.request.flow.at();
    let now = [s.request.flow.mark(), response.mark(), moved];
    if armed.at == Some(now) {
        return;
    }
    let before = armed.at.replace(now);
    let (patience, bound) = patience(s, response);
    armed.bound = bound;
    let awaited = awaited(request, response);
    pace::body_came(s);
    let down = match awaited.client {
        Some(Client::Sends) => pace::await_body(s),
        Some(Client::Takes) => s.listener.config.timeouts.response_write_idle,
        None => None,
    };
    s.timers.down.set(down);
    // Informational responses give the upstream no more time.
    let interim_only = before.is_some_and(|before| {
        (before[0], before[2]) == (now[0], now[2]) && (before[1] == Coming::INTERIM || response == Coming::Interim)
    });
    if !interim_only {
        s.timers.up.set(patience.filter(|_| awaited.host));
    }
    client::still_reading(s);
}

/// How long the upstream may let us wait, now, and by which bound.
fn patience(s: &Stream<'_>, response: Coming) -> (Option<Duration>, Bound) {
    let whole = s.retry.response;
    if !matches!(response, Coming::Head | Coming::Interim) {
        return (whole, Bound::Request);
    }
    let whole = whole.map(|whole| whole.saturating_sub(s.retry.spent()));
    match s.retry.per_try {
        Some(per_try) if whole.is_none_or(|whole| per_try < whole) => (Some(per_try), Bound::Attempt),
        _ => (whole, Bound::Request),
    }
}

#[cfg(test)]
mod tests {
    use sidegate_api::EndOfStream;

    use super::*;

    #[test]
    fn who_is_waited_for() {
        const READ: At = At::Sending(Left::Read);
        const LEND: At = At::Sending(Left::Lend(1));
        let (sends, takes) = (Some(Client::Sends), Some(Client::Takes));
        let more = Left::Drain(EndOfStream::More);
        let rows = [
            (READ, Coming::Nothing, sends, false),
            (READ, Coming::Head, sends, false),
            (LEND, Coming::Head, None, true),
            (At::Again { sent: 0, then: Left::Read }, Coming::Head, None, true),
            (At::Done, Coming::Head, None, true),
            (At::Refused(Left::Read), Coming::Head, None, true),
            (At::Done, Coming::Interim, takes, true),
            (READ, Coming::Interim, takes, false),
            (At::Done, Coming::Body(Left::Read), None, true),
            (READ, Coming::Body(Left::Read), sends, false),
            (At::Done, Coming::Body(more), takes, false),
            (LEND, Coming::Body(Left::Lend(1)), takes, true),
            (At::Done, Coming::Body(Left::Flush), takes, false),
        ];
        for (request, response, client, host) in rows {
            assert_eq!(awaited(request, response), Awaited { client, host }, "{request:?} {response:?}");
        }
    }
}
