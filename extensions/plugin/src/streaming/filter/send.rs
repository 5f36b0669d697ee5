//! From a hook to the session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sidegate_api::{BodyInterest, EndOfStream, FilterCx, Status};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::encode::{self, Piece};
use super::super::factory::Line;
use super::super::hook::Hook;
use super::super::order::{Cell, Event, Order, Reply};
use super::{Filter, InFlight, State, Waiting};
use crate::call::Failure;

/// Bytes of a body in one event.
const PIECE: usize = 64 << 10;
/// Bytes that may wait until a plugin reads them.
const MOST_QUEUED: usize = 64 << 20;

impl Filter {
    /// Sends what there is room for of a body's hook, from `offset` on.
    pub(super) fn send_body(
        &mut self,
        cx: &mut FilterCx<'_>,
        line: &Arc<Line>,
        hook: Hook,
        mut offset: usize,
        number: u32,
        mut in_flight: Option<InFlight>,
    ) -> Status {
        let direction = hook.direction();
        let end = match hook {
            Hook::RequestBody(end) | Hook::ResponseBody(end) => end,
            _ => EndOfStream::More,
        };
        let total = cx.body(direction).map_or(0, |body| body.len());
        let mode = hook.mode(&self.settings.hooks);
        loop {
            let seen = match &self.state {
                State::Open(cell) => cell.credited(direction),
                _ => 0,
            };
            let underway = self.sent[direction as usize].saturating_sub(seen);
            let room = (self.settings.window as u64).saturating_sub(underway) as usize;
            if room == 0 && offset < total {
                let in_flight = match in_flight.take().map_or_else(|| self.in_flight(cx), Ok) {
                    Ok(in_flight) => in_flight,
                    Err(status) => return status,
                };
                let State::Open(stream) = &self.state else { return Status::Continue };
                let stream = stream.clone();
                let reply = self.wait(cx, hook, offset, in_flight);
                line.order(Order::Credit { stream, direction, seen, reply });
                return Status::Pending;
            }
            let to = total.min(offset + room.min(PIECE));
            let more = to < total;
            let piece = Piece { from: offset, to, more, with_trailers: mode == BodyInterest::Whole };
            let bytes = encode::body(cx, hook, end, piece);
            let (sent, limit) = (to - offset, cx.body_limit());
            offset = to;
            let reply = match in_flight.take() {
                Some(in_flight) if !more => Some(self.wait(cx, hook, offset, in_flight)),
                kept => {
                    in_flight = kept;
                    None
                }
            };
            let is_answered = reply.is_some();
            self.event(line, hook, number, bytes, sent as u64, limit, reply);
            if !more {
                return if is_answered { Status::Pending } else { Status::Continue };
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one event, which is made here alone")]
    pub(super) fn event(
        &mut self,
        line: &Line,
        hook: Hook,
        number: u32,
        bytes: Bytes,
        body: u64,
        limit: usize,
        reply: Option<Reply>,
    ) {
        let (stream, begins) = match &self.state {
            State::Open(cell) => (cell.clone(), false),
            _ => {
                let cell = Cell::new(line.number());
                self.state = State::Open(cell.clone());
                (cell, true)
            }
        };
        let direction = hook.direction();
        self.sent[direction as usize] += body;
        let queued = line.queue.add(bytes.len());
        line.order(Order::Event(Box::new(Event {
            stream,
            begins,
            hook: number,
            kind: hook.number(),
            bytes,
            body,
            direction,
            limit,
            reply,
            _queued: queued,
        })));
    }

    /// No stream waits for what is only shown, so that a plugin that reads too
    /// slowly would be owed more and more.
    pub(super) fn keeps_up(&self, line: &Line) -> Result<(), Failure> {
        let behind = line.queue.bytes();
        if behind > MOST_QUEUED { Err(Failure::Behind(behind)) } else { Ok(()) }
    }

    pub(super) fn in_flight(&mut self, cx: &mut FilterCx<'_>) -> Result<InFlight, Status> {
        InFlight::new(&self.usage).map_err(|failure| {
            self.count(&failure);
            self.failed(cx, &failure)
        })
    }

    pub(super) fn wait(&mut self, cx: &mut FilterCx<'_>, hook: Hook, offset: usize, in_flight: InFlight) -> Reply {
        let (tell, told) = oneshot::channel();
        let timeout = self.usage.settings.timeout;
        let resume = cx.resume_handle();
        cx.wake_after(timeout);
        let begun = Instant::now();
        self.waiting = Some(Waiting { told, hook, offset, begun, in_flight });
        // What is beyond the clock's end is as good as never.
        let give_up = begun.checked_add(timeout).unwrap_or_else(|| begun + Duration::from_secs(86_400));
        Reply { tell, resume, give_up }
    }
}
