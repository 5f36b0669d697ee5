//! A stream that a plugin sees by our own protocol.

mod outcome;
mod send;

use std::sync::Arc;

use sidegate_api::{BodyInterest, Completion, EndOfStream, FilterCx, ReceiverPhase, Status, StreamFilter, WorkerIndex};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use super::encode::{self, Extras};
use super::factory::Line;
use super::hook::Hook;
use super::known::Speaks;
use super::order::{Cell, Order, Told, Word};
use super::settings::StreamingSettings;
use crate::call::Failure;
use crate::filter::{self as unary, Place, Use};

pub(crate) struct Filter {
    usage: Arc<Use>,
    settings: Arc<StreamingSettings>,
    worker: WorkerIndex,
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
        if let Some(plugin) = &usage.plugin {
            plugin.shared.metrics.in_flight.add(1);
        }
        Ok(InFlight { usage: usage.clone(), _place: place })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(plugin) = &self.usage.plugin {
            plugin.shared.metrics.in_flight.add(-1);
        }
    }
}

impl Filter {
    pub(crate) fn new(
        usage: Arc<Use>,
        settings: Arc<StreamingSettings>,
        worker: WorkerIndex,
        line: Option<Arc<Line>>,
    ) -> Self {
        Filter {
            usage,
            settings,
            worker,
            line,
            state: State::New,
            hook: 0,
            sent: [0; 2],
            waived: [false; 2],
            waiting: None,
        }
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
                let mut filter = Box::new(unary::Filter::new(self.usage.clone(), self.worker));
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
        if let Err(failure) = self.keeps_up(&line) {
            self.count(&failure);
            return self.failed(cx, &failure);
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
        let Some((plugin, line)) = self.usage.plugin.clone().zip(self.line.clone()) else {
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
            && let Some(plugin) = &self.usage.plugin
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
