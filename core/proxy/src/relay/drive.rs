//! Both directions of one attempt, moved by one poll function.
//!
//! ```text
//!  client ──▶ upload   ──▶ upstream      head and body of the request
//!  client ◀── download ◀── upstream      head and body of the response
//! ```
//!
//! Body bytes go from one connection's read buffer to the other's socket; only
//! where a filter wants them do they make a stop in the stream's buffer.

use std::task::{Context, Poll};

use sidegate_stream::ResponseStart;

use crate::outcome::{Outcome, Stop};
use crate::relay::{Attempt, bounds, download, upload};
use crate::stream::{Download, Stream, Upload, client};

/// What the relay needs filters for, or that it is done.
#[derive(Debug)]
pub(crate) enum Event {
    RequestData(usize),
    RequestEnd,
    ResponseHead(ResponseStart),
    ResponseData(usize),
    ResponseEnd,
    Finished,
    /// The upstream agrees to speak another protocol from here on.
    Switched,
}

pub(crate) fn poll(s: &mut Stream<'_>, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Outcome>> {
    if attempt.upload.goes_on()
        && let Poll::Ready(event) = upload::poll(s, cx, attempt)
    {
        return Poll::Ready(event);
    }
    if let Poll::Ready(event) = download::poll(s, cx, attempt) {
        return Poll::Ready(event);
    }
    poll_waiting(s, cx, attempt)
}

/// While neither direction moves: deadlines, and whether the client is
/// still there.
pub(crate) fn poll_waiting(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    attempt: &mut Attempt,
) -> Poll<Result<Event, Outcome>> {
    bounds::arm(s, attempt);
    // A body that is read shows the client's end by itself.
    if attempt.upload != Upload::Reading
        && let Poll::Ready(gone) = client::poll_gone(s, cx)
    {
        return Poll::Ready(Err(gone.into()));
    }
    if s.timers.down.poll(cx).is_ready() {
        let stop = match attempt.download {
            Download::Head | Download::Reading => s.pace.too_slow(),
            _ => Stop::client_takes_nothing(),
        };
        return Poll::Ready(Err(stop.into()));
    }
    // The upstream is not to blame while nobody listens to it.
    if attempt.download != Download::Interim && s.timers.up.poll(cx).is_ready() {
        attempt.upstream.distrust();
        return Poll::Ready(Err(Outcome::TimedOut(attempt.bound)));
    }
    Poll::Pending
}
