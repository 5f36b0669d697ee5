//! The client's side of a stream: what it waits for, and whether it is still
//! there.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sidegate_net::PeerEnd;
use sidegate_stream::{Expect, Watch};

use crate::outcome::Stop;
use crate::stream::Stream;

/// How long a client that ended its side is worked for without progress.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// How often a client with unread bytes is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The client's half of the connection, as far as that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientSide {
    Open,
    /// It sends nothing more; so much had moved when that, or that it still
    /// reads, was last seen.
    Ended {
        at: u64,
    },
}

/// A filter wants the body before an upstream could ask for it: a client
/// that waits for `100 Continue` gets it from us.
pub(crate) async fn ask_for_body(s: &mut Stream<'_>) -> Result<(), Stop> {
    if s.start.expect == Expect::None {
        return Ok(());
    }
    s.start.expect = Expect::None;
    s.client.invite_body();
    flush(s).await
}

/// Writes out what waits for the client.
pub(crate) async fn flush(s: &mut Stream<'_>) -> Result<(), Stop> {
    s.timers.down.set(s.listener.config.timeouts.response_write_idle);
    let result = poll_fn(|cx| {
        if let Poll::Ready(result) = s.client.poll_flush(cx) {
            return Poll::Ready(result.map_err(|_| Stop::client_gone()));
        }
        s.timers.down.poll(cx).map(|()| Err(Stop::client_gone()))
    })
    .await;
    s.timers.down.set(None);
    result
}

/// Gives a client that ended its side more time to show that it still
/// reads, if there is something that it may have read. That a request goes
/// to another host is nothing to the client.
pub(crate) fn still_reading(s: &mut Stream<'_>) {
    if let ClientSide::Ended { at } = s.client_side
        && at != moved_for_client(s)
    {
        ended(s);
    }
}

fn ended(s: &mut Stream<'_>) {
    s.client_side = ClientSide::Ended { at: moved_for_client(s) };
    s.timers.leave.set(Some(HALF_CLOSED));
}

/// Grows with all that comes from the client or goes to it.
fn moved_for_client(s: &Stream<'_>) -> u64 {
    s.state.info.bytes_received + s.state.info.bytes_sent + u64::from(s.answer.is_sent())
}

/// While nothing is awaited from the client: notices that it has gone, so
/// that nobody works for nobody. One that reset the connection has. One
/// that ended its side may still read, or may have closed: it gets what
/// comes within a while.
pub(crate) fn poll_gone(s: &mut Stream<'_>, cx: &mut Context<'_>) -> Poll<Stop> {
    if s.client_side == ClientSide::Open {
        match ready!(s.client.poll_gone(cx)) {
            Watch::Gone => return Poll::Ready(Stop::client_gone()),
            Watch::SaysNoMore => ended(s),
            Watch::Hidden => return poll_behind_bytes(s, cx),
        }
    }
    s.timers.leave.poll(cx).map(|()| Stop::client_gone())
}

/// Looks at times whether the client has ended its side behind bytes that
/// wait: while those are not read, nothing wakes us.
#[cold]
fn poll_behind_bytes(s: &mut Stream<'_>, cx: &mut Context<'_>) -> Poll<Stop> {
    let leave = &s.timers.leave;
    if leave.is_due() {
        match s.client.peer_end() {
            PeerEnd::Gone => return Poll::Ready(Stop::client_gone()),
            PeerEnd::Ended => ended(s),
            PeerEnd::Open => leave.set(Some(LOOK)),
        }
    } else if !leave.is_set() {
        leave.set(Some(LOOK));
    }
    s.timers.leave.poll(cx).map(|()| Stop::client_gone())
}
