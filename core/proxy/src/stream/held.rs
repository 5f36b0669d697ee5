//! What a stream holds in memory: counted before it is there, refused where it
//! is too much for all together, and given up where others need it.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use sidegate_api::{BodyBuffer, BodyDirection};
use sidegate_overload::{HeavyMark, Ledger, SMALL_BYTES, Shortage};
use sidegate_stream::{Announced, REPLAY_BYTES, Replay};

use crate::outcome::Stop;
use crate::stream::Stream;

/// Memory that a buffer for bodies may keep while nothing is in it: that of a
/// large chunk is not left lying beside a body that is collected or sent.
pub(crate) const SPARE_BYTES: usize = 16 * 1024;

/// A stream that holds little waits for room so often, each time for so long.
const TRIES: u32 = 50;

const PAUSE: Duration = Duration::from_millis(20);

/// What a stream holds, as its worker's ledger knows it.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// The stream's place among the heavy ones. Outside the stream: it is
    /// looked at while the stream runs.
    pub(crate) mark: &'a HeavyMark,
    bytes: u64,
    /// Of them, those of `StreamState::filter_bytes`.
    of_filters: u64,
}

impl<'a> Held<'a> {
    pub(crate) fn new(mark: &'a HeavyMark) -> Self {
        Held { mark, bytes: 0, of_filters: 0 }
    }

    fn set(&mut self, ledger: &Ledger, bytes: u64, waker: Option<&Waker>) {
        ledger.weigh(self.mark, self.bytes, bytes, waker);
        self.bytes = bytes;
    }

    /// Gives everything up.
    #[inline]
    pub(crate) fn end(&mut self, ledger: &Ledger) {
        if self.bytes > 0 {
            ledger.release(self.bytes);
            ledger.forget(self.mark, self.bytes);
            (self.bytes, self.of_filters) = (0, 0);
        }
    }
}

/// Counts a stream that waits for a filter.
pub(crate) struct PendingCount<'a>(&'a Ledger);

impl<'a> PendingCount<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Result<Self, Stop> {
        match ledger.pending_begins() {
            Ok(()) => Ok(PendingCount(ledger)),
            Err(shortage) => Err(Stop::overload(shortage)),
        }
    }
}

impl Drop for PendingCount<'_> {
    fn drop(&mut self) {
        self.0.pending_ends();
    }
}

/// Makes room for what is in the stream's buffer behind what was collected
/// of a body that was `announced` so. Reading stops meanwhile, so that the
/// peer stops too.
pub(crate) async fn make_room(s: &mut Stream<'_>, direction: BodyDirection, announced: Announced) -> Result<(), Stop> {
    let chunk = match direction {
        BodyDirection::Request => s.state.request_body.len(),
        BodyDirection::Response => s.state.response_body.len(),
    };
    let max = s.listener.config.limits.max_buffered_body;
    let whole = &s.collected(direction).whole;
    let (needed, capacity) = (whole.len() + chunk, whole.capacity());
    // What is too large is refused elsewhere.
    if needed <= capacity || needed > max {
        return Ok(());
    }
    // Each step leaves a smaller block behind, which the allocator keeps for a
    // while: where the end is known, there are fewer.
    let (bound, step) = match announced {
        Announced::Length(length) => (usize::try_from(length).map_or(max, |length| length.min(max)), 4),
        _ => (max, 2),
    };
    let target = needed.max(capacity.saturating_mul(step)).min(needed.max(bound));
    let more = (target - capacity) as u64;
    if let Err(shortage) = room_for(s, more).await {
        // The reply and the close after it need nothing of this.
        give_up_bodies(s);
        return Err(Stop::overload(s.worker.ledger.refused(shortage)));
    }
    s.collected(direction).whole.reserve_to(target);
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let bytes = s.held.bytes + more;
    s.held.set(&s.worker.ledger, bytes, Some(&waker));
    Ok(())
}

async fn room_for(s: &mut Stream<'_>, more: u64) -> Result<(), Shortage> {
    let ledger = &s.worker.ledger;
    let held = s.held.bytes;
    for _ in 0..TRIES {
        match ledger.hold(held, more) {
            Err(_) if held + more <= SMALL_BYTES && !ledger.is_tight() => {}
            decided => return decided,
        }
        s.client.release();
        s.timers.filter.set(Some(PAUSE));
        poll_fn(|cx| s.timers.filter.poll(cx)).await;
        s.timers.filter.set(None);
    }
    ledger.hold(held, more)
}

/// Counts anew what the stream holds, after something that may have changed
/// it. `waker`: of the stream's task; without it a stream that has become a
/// heavy one is not known as such yet.
pub(crate) fn recount(s: &mut Stream<'_>, waker: Option<&Waker>) {
    let body = |body: &BodyBuffer| body.capacity();
    let buffers = body(&s.state.request_body)
        + body(&s.state.response_body)
        + body(&s.request.collected.whole)
        + body(&s.response.collected.whole)
        + s.client.waiting_capacity();
    let kept = match s.request.replay {
        Replay::Kept(_) => replay_room(s),
        Replay::Off | Replay::Lost => 0,
    };
    s.held.of_filters = s.state.filter_bytes;
    let (now, before) = ((buffers as u64 + kept).saturating_add(s.held.of_filters), s.held.bytes);
    if now == before {
        return;
    }
    let ledger = &s.worker.ledger;
    match now.checked_sub(before) {
        Some(more) => ledger.hold_anyway(more),
        None => ledger.release(before - now),
    }
    s.held.set(ledger, now, waker);
}

/// The same, from within the stream's task.
pub(crate) async fn recount_here(s: &mut Stream<'_>) {
    poll_fn(|cx| {
        recount(s, Some(cx.waker()));
        Poll::Ready(())
    })
    .await;
}

/// Whether filters hold more or less than was counted.
#[inline]
pub(crate) fn filters_changed(s: &Stream<'_>) -> bool {
    s.held.of_filters != s.state.filter_bytes
}

/// Begins to keep the body for another attempt or a copy; not at all if
/// there is no room for it.
pub(crate) fn begin_replay(s: &mut Stream<'_>) {
    let room = replay_room(s);
    s.request.replay = match s.worker.ledger.hold(s.held.bytes, room) {
        Ok(()) => {
            let bytes = s.held.bytes + room;
            s.held.set(&s.worker.ledger, bytes, None);
            Replay::Kept(Vec::new())
        }
        Err(_) => Replay::Lost,
    };
}

fn replay_room(s: &Stream<'_>) -> u64 {
    match s.start.body {
        _ if s.edits(BodyDirection::Request) => REPLAY_BYTES as u64,
        Announced::Nothing => 0,
        Announced::Length(length) => length.min(REPLAY_BYTES as u64),
        Announced::Open => REPLAY_BYTES as u64,
    }
}

#[cold]
pub(crate) fn give_up_bodies(s: &mut Stream<'_>) {
    for body in [
        &mut s.state.request_body,
        &mut s.state.response_body,
        &mut s.request.collected.whole,
        &mut s.response.collected.whole,
    ] {
        *body = BodyBuffer::new();
    }
    s.request.replay = Replay::Off;
    s.held.end(&s.worker.ledger);
}
