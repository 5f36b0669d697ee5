//! What a stream holds in memory: counted before it is there, refused where it
//! is too much for all together, and given up where others need it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use sidegate_api::{BodyBuffer, BodyDirection, ResetBy, ResponseFlags};
use sidegate_overload::{HeavyMark, Ledger, SMALL_BYTES, Shortage};
use sidegate_stream::{Announced, End, Last};

use crate::halt::Halt;
use crate::kept::{KEPT_BYTES, Kept};
use crate::stream::{Responded, Stream};

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
}

impl<'a> Held<'a> {
    pub(crate) fn new(mark: &'a HeavyMark) -> Self {
        Held { mark, bytes: 0 }
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
            self.bytes = 0;
        }
    }
}

/// Counts a stream that waits for a filter.
pub(crate) struct PendingCount<'a>(&'a Ledger);

impl<'a> PendingCount<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Result<Self, Halt> {
        match ledger.pending_begins() {
            Ok(()) => Ok(PendingCount(ledger)),
            Err(shortage) => Err(Halt::overload(shortage)),
        }
    }
}

impl Drop for PendingCount<'_> {
    fn drop(&mut self) {
        self.0.pending_ends();
    }
}

impl Stream<'_> {
    /// Carries the stream to its end, or resets it when it holds too much of
    /// what all need.
    pub(crate) async fn run(&mut self) -> End {
        let (ledger, mark) = (&self.worker.ledger, self.held.mark);
        let condemned = {
            let mut course = pin!(self.run_free());
            poll_fn(|cx| match course.as_mut().poll(cx) {
                Poll::Ready(after) => Poll::Ready(Some(after)),
                Poll::Pending if ledger.is_condemned(mark) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await
        };
        match condemned {
            Some(after) => after,
            None => self.reset_for_others().await,
        }
    }

    /// Nothing is to begin where something is short.
    #[inline]
    pub(crate) fn admitted(&mut self) -> Result<(), Halt> {
        match self.admission {
            Ok(()) => Ok(()),
            Err(shortage) => Err(self.not_admitted(shortage)),
        }
    }

    #[cold]
    fn not_admitted(&mut self, shortage: Shortage) -> Halt {
        // No filter saw the request.
        self.responded = Responded::Yes;
        if shortage == Shortage::Memory {
            self.last = Last::Yes;
        }
        Halt::overload(shortage)
    }

    /// Makes room for what is in the stream's buffer behind what was collected
    /// of a body that was `announced` so. Reading stops meanwhile, so that the
    /// peer stops too.
    pub(crate) async fn make_room(&mut self, direction: BodyDirection, announced: Announced) -> Result<(), Halt> {
        let chunk = match direction {
            BodyDirection::Request => self.state.request_body.len(),
            BodyDirection::Response => self.state.response_body.len(),
        };
        let max = self.listener.config.limits.max_buffered_body;
        let whole = &self.pass(direction).whole;
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
        if let Err(shortage) = self.room_for(more).await {
            // The reply and the close after it need nothing of this.
            self.give_up_bodies();
            return Err(Halt::overload(self.worker.ledger.refused(shortage)));
        }
        self.pass(direction).whole.reserve_to(target);
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let bytes = self.held.bytes + more;
        self.held.set(&self.worker.ledger, bytes, Some(&waker));
        Ok(())
    }

    async fn room_for(&mut self, more: u64) -> Result<(), Shortage> {
        let ledger = &self.worker.ledger;
        let held = self.held.bytes;
        for _ in 0..TRIES {
            match ledger.hold(held, more) {
                Err(_) if held + more <= SMALL_BYTES && !ledger.is_tight() => {}
                decided => return decided,
            }
            self.client.release();
            self.timers.filter.set(Some(PAUSE));
            poll_fn(|cx| self.timers.filter.poll(cx)).await;
            self.timers.filter.set(None);
        }
        ledger.hold(held, more)
    }

    /// Counts anew what the stream holds, after something that may have changed
    /// it. `waker`: of the stream's task; without it a stream that has become a
    /// heavy one is not known as such yet.
    pub(crate) fn recount(&mut self, waker: Option<&Waker>) {
        let body = |body: &BodyBuffer| body.capacity();
        let buffers = body(&self.state.request_body)
            + body(&self.state.response_body)
            + body(&self.request_pass.whole)
            + body(&self.response_pass.whole)
            + self.client.waiting_capacity();
        let kept = match self.retry.kept {
            Kept::All(_) => self.kept_room(),
            Kept::Nothing | Kept::TooMuch => 0,
        };
        let (now, before) = (buffers as u64 + kept, self.held.bytes);
        if now == before {
            return;
        }
        let ledger = &self.worker.ledger;
        match now.checked_sub(before) {
            Some(more) => ledger.hold_anyway(more),
            None => ledger.release(before - now),
        }
        self.held.set(ledger, now, waker);
    }

    /// The same, from within the stream's task.
    pub(crate) async fn recount_here(&mut self) {
        poll_fn(|cx| {
            self.recount(Some(cx.waker()));
            Poll::Ready(())
        })
        .await;
    }

    /// Begins to keep the body for another attempt or a copy; not at all if
    /// there is no room for it.
    pub(crate) fn begin_to_keep(&mut self) {
        let room = self.kept_room();
        self.retry.kept = match self.worker.ledger.hold(self.held.bytes, room) {
            Ok(()) => {
                let bytes = self.held.bytes + room;
                self.held.set(&self.worker.ledger, bytes, None);
                Kept::All(Vec::new())
            }
            Err(_) => Kept::TooMuch,
        };
    }

    fn kept_room(&self) -> u64 {
        match self.start.body {
            _ if self.edits(BodyDirection::Request) => KEPT_BYTES as u64,
            Announced::Nothing => 0,
            Announced::Length(length) => length.min(KEPT_BYTES as u64),
            Announced::Open => KEPT_BYTES as u64,
        }
    }

    /// Others need what this stream holds. It gets a reply if none has begun.
    #[cold]
    async fn reset_for_others(&mut self) -> End {
        self.give_up_bodies();
        self.responded = Responded::Yes;
        self.last = Last::Yes;
        let halt = Halt::error(503, "overload_reset", ResponseFlags::OVERLOAD, ResetBy::Proxy);
        self.end_by(halt).await
    }

    #[cold]
    fn give_up_bodies(&mut self) {
        for body in [
            &mut self.state.request_body,
            &mut self.state.response_body,
            &mut self.request_pass.whole,
            &mut self.response_pass.whole,
        ] {
            *body = BodyBuffer::new();
        }
        self.retry.kept = Kept::Nothing;
        self.held.end(&self.worker.ledger);
    }
}
