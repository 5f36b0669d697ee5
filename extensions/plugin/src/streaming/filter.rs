//! A stream that a plugin sees by our own protocol.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{
    BodyDirection, BodyInterest, Completion, EndOfStream, FilterCx, LocalReply, ReceiverPhase, Status, StreamFilter,
};
use sidegate_proto::v1;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use super::apply::apply;
use super::encode::{self, Extras, Piece};
use super::factory::Line;
use super::hook::Hook;
use super::known::Speaks;
use super::order::{Cell, Event, Order, Reply, Told, Word};
use super::settings::StreamingSettings;
use crate::call::Failure;
use crate::filter::{self as unary, Place, Use};
use crate::settings::OnError;

/// Bytes of a body in one event.
const PIECE: usize = 64 << 10;

pub(crate) struct Filter {
    usage: Arc<Use>,
    settings: Arc<StreamingSettings>,
    line: Option<Arc<Line>>,
    state: State,
    /// The last hook's number.
    hook: u32,
    /// Bytes that were sent of each body.
    sent: [u64; 2],
    /// Bodies that the plugin wants nothing of.
    waived: [bool; 2],
    waiting: Option<Waiting>,
}

enum State {
    /// The plugin has not heard of it.
    New,
    Open(Arc<Cell>),
    /// The plugin only wants to hear of its end.
    Muted(Arc<Cell>),
    /// Nothing is asked any more.
    Over,
    /// By MOSN's call.
    Mosn(Box<unary::Filter>),
}

struct Waiting {
    told: oneshot::Receiver<Told>,
    hook: Hook,
    /// Bytes of a body's hook that were sent.
    offset: usize,
    begun: Instant,
    in_flight: InFlight,
}

/// A hook that is counted as under way.
struct InFlight {
    usage: Arc<Use>,
    _place: Place,
}

impl InFlight {
    fn new(usage: &Arc<Use>) -> Result<Self, Failure> {
        let place = usage.place()?;
        if let Some((plugin, _)) = &usage.plugin {
            plugin.shared.metrics.in_flight.add(1);
        }
        Ok(InFlight { usage: usage.clone(), _place: place })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some((plugin, _)) = &self.usage.plugin {
            plugin.shared.metrics.in_flight.add(-1);
        }
    }
}

impl Filter {
    pub(crate) fn new(usage: Arc<Use>, settings: Arc<StreamingSettings>, line: Option<Arc<Line>>) -> Self {
        Filter { usage, settings, line, state: State::New, hook: 0, sent: [0; 2], waived: [false; 2], waiting: None }
    }

    fn run(&mut self, cx: &mut FilterCx<'_>, hook: Hook) -> Status {
        match &mut self.state {
            State::Over | State::Muted(_) => return Status::Continue,
            State::Mosn(filter) => return by_mosn(filter, cx, hook),
            State::New | State::Open(_) => {}
        }
        let Some(line) = self.line.clone() else {
            return self.failed(cx, &Failure::Down("nothing is run here".into()));
        };
        match line.known.speaks() {
            Speaks::Own => {}
            Speaks::Mosn if self.settings.falls_back && matches!(self.state, State::New) => {
                let mut filter = Box::new(unary::Filter::new(self.usage.clone()));
                let status = by_mosn(&mut filter, cx, hook);
                self.state = State::Mosn(filter);
                return status;
            }
            // The session says why it is none of ours.
            Speaks::Mosn | Speaks::Unknown => {
                return match self.in_flight(cx) {
                    Ok(in_flight) => {
                        let reply = self.wait(cx, hook, 0, in_flight);
                        line.order(Order::Settle(reply));
                        Status::Pending
                    }
                    Err(status) => status,
                };
            }
        }
        let waived = !hook.is_head() && self.waived[hook.direction() as usize];
        if waived || !hook.is_wanted(&self.settings.hooks) || !line.known.wants(hook) {
            return Status::Continue;
        }
        if hook.mode(&self.settings.hooks) == BodyInterest::Observe {
            return self.send_body(cx, &line, hook, 0, 0, None);
        }
        let in_flight = match self.in_flight(cx) {
            Ok(in_flight) => in_flight,
            Err(status) => return status,
        };
        self.hook += 1;
        if hook.is_body() {
            return self.send_body(cx, &line, hook, 0, self.hook, Some(in_flight));
        }
        let extras = Extras { settings: &self.settings, known: &line.known };
        let bytes = encode::fields(cx, hook, extras);
        let limit = cx.body_limit();
        let (number, reply) = (self.hook, self.wait(cx, hook, 0, in_flight));
        self.event(&line, hook, number, bytes, 0, limit, Some(reply));
        Status::Pending
    }

    /// Sends what there is room for of a body's hook, from `offset` on.
    fn send_body(
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
    fn event(
        &mut self,
        line: &Line,
        hook: Hook,
        number: u32,
        bytes: bytes::Bytes,
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
        })));
    }

    fn in_flight(&mut self, cx: &mut FilterCx<'_>) -> Result<InFlight, Status> {
        InFlight::new(&self.usage).map_err(|failure| {
            self.count(&failure);
            self.failed(cx, &failure)
        })
    }

    fn wait(&mut self, cx: &mut FilterCx<'_>, hook: Hook, offset: usize, in_flight: InFlight) -> Reply {
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

    /// Does what the answer says.
    fn obey(&mut self, cx: &mut FilterCx<'_>, hook: Hook, answer: &v1::Answer) -> Status {
        let status = match apply(cx, hook, answer) {
            Ok(status) => status,
            Err(why) => return self.bad(cx, why),
        };
        let waives: &[BodyDirection] = match v1::Interest::try_from(answer.interest) {
            Ok(v1::Interest::All) => return status,
            Ok(v1::Interest::NoRequestBody) => &[BodyDirection::Request],
            Ok(v1::Interest::NoResponseBody) => &[BodyDirection::Response],
            Ok(v1::Interest::NoBodies | v1::Interest::None) => &[BodyDirection::Request, BodyDirection::Response],
            Err(_) => return self.bad(cx, format!("no interest has number {}", answer.interest)),
        };
        for &direction in waives {
            self.waived[direction as usize] = true;
            if hook.is_head() {
                cx.waive_body(direction);
            }
        }
        if answer.interest == v1::Interest::None as i32
            && let State::Open(cell) = &self.state
        {
            self.state = State::Muted(cell.clone());
        }
        status
    }

    #[cold]
    fn bad(&mut self, cx: &mut FilterCx<'_>, why: String) -> Status {
        let failure = Failure::BadAnswer(why);
        self.count(&failure);
        self.failed(cx, &failure)
    }

    fn count(&self, failure: &Failure) {
        if let Some((plugin, _)) = &self.usage.plugin {
            plugin.shared.metrics.failed(failure);
        }
    }

    /// The plugin has lost the stream, or the stream the plugin: it is asked
    /// nothing more.
    #[cold]
    fn failed(&mut self, cx: &mut FilterCx<'_>, failure: &Failure) -> Status {
        self.usage.tell(failure);
        self.end(bytes::Bytes::new());
        match self.usage.settings.on_error {
            OnError::Allow => {
                cx.waive_body(BodyDirection::Request);
                cx.waive_body(BodyDirection::Response);
                Status::Continue
            }
            OnError::Deny => match cx.reply(LocalReply::new(500, "plugin_failed")) {
                Ok(()) => Status::Stop,
                // The response is on its way: all that is left is to end it.
                Err(_) => Status::Terminate,
            },
        }
    }

    fn end(&mut self, completion: bytes::Bytes) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if let (State::Open(cell) | State::Muted(cell), Some(line)) = (state, &self.line) {
            line.order(Order::End { stream: cell.id, completion });
        }
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, end: EndOfStream) -> Status {
        self.run(cx, Hook::RequestHeaders(phase, end))
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.run(cx, Hook::RequestBody(end))
    }

    fn on_request_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.run(cx, Hook::RequestTrailers)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.run(cx, Hook::ResponseHeaders(end))
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.run(cx, Hook::ResponseBody(end))
    }

    fn on_response_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.run(cx, Hook::ResponseTrailers)
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        if let State::Mosn(filter) = &mut self.state {
            return filter.on_resume(cx);
        }
        let Some(Waiting { mut told, hook, offset, begun, in_flight }) = self.waiting.take() else {
            return Status::Continue;
        };
        let Some((plugin, line)) = self.usage.plugin.clone().map(|(plugin, _)| plugin).zip(self.line.clone()) else {
            return Status::Continue;
        };
        let failure = match told.try_recv() {
            Ok(Ok(Word::Settled)) => {
                drop(in_flight);
                return self.run(cx, hook);
            }
            Ok(Ok(Word::Credit)) => {
                let is_answered = hook.mode(&self.settings.hooks) != BodyInterest::Observe;
                let (number, kept) = if is_answered { (self.hook, Some(in_flight)) } else { (0, None) };
                return self.send_body(cx, &line, hook, offset, number, kept);
            }
            Ok(Ok(Word::Answer(answer))) => {
                plugin.shared.metrics.succeeded(begun.elapsed());
                plugin.shared.answered();
                return self.obey(cx, hook, &answer);
            }
            Ok(Err(failure)) => failure,
            Err(TryRecvError::Empty) => {
                plugin.shared.unanswered(self.usage.settings.timeout);
                Failure::Timeout(self.usage.settings.timeout)
            }
            Err(TryRecvError::Closed) => Failure::Down("it was stopped".into()),
        };
        self.count(&failure);
        self.failed(cx, &failure)
    }

    fn on_complete(&mut self, cx: &mut FilterCx<'_>, completion: &Completion) {
        if let (State::Open(_) | State::Muted(_), Some(line)) = (&self.state, &self.line) {
            let extras = Extras { settings: &self.settings, known: &line.known };
            let completion = encode::completion(cx, completion, extras);
            self.end(completion);
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if self.waiting.is_some()
            && let Some((plugin, _)) = &self.usage.plugin
        {
            plugin.shared.metrics.cancelled.inc();
        }
        self.end(bytes::Bytes::new());
    }
}

fn by_mosn(filter: &mut unary::Filter, cx: &mut FilterCx<'_>, hook: Hook) -> Status {
    match hook {
        Hook::RequestHeaders(phase, end) => filter.on_request_headers(cx, phase, end),
        Hook::RequestBody(end) => filter.on_request_body(cx, end),
        Hook::RequestTrailers => filter.on_request_trailers(cx),
        Hook::ResponseHeaders(end) => filter.on_response_headers(cx, end),
        Hook::ResponseBody(end) => filter.on_response_body(cx, end),
        Hook::ResponseTrailers => filter.on_response_trailers(cx),
    }
}
