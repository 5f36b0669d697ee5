//! What all phases of a stream share.

use std::time::Instant;

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, RequestHead, ResetBy, StreamState};
use sidegate_net::{ListenerState, RunPhase, WorkerContext};
use sidegate_overload::Shortage;
use sidegate_router::{Matched, RouteId, VirtualHostId};
use sidegate_stream::{Downstream, Flow, Last, RequestStart, Upgrade};

use super::{ClientSide, Collected, Content, Held, Kit, Pace, RequestBody, ResponseBody, Retry, Timers};
use crate::chain::FilterChain;
use crate::outcome::Blame;
use crate::view::{ListenerView, RouteView};

/// A stream in progress. Dropping it, for whatever reason, completes it:
/// `on_complete`, access log and statistics happen exactly once.
pub(crate) struct Stream<'a> {
    pub(crate) worker: &'a WorkerContext,
    /// What it came in by.
    pub(crate) entrance: &'a ListenerState,
    /// What there was at its first byte; whoever runs the stream holds it.
    pub(crate) listener: &'a ListenerView,
    pub(crate) routes: &'a RouteView,
    pub(crate) client: Downstream<'a>,
    pub(crate) state: &'a mut StreamState,
    pub(crate) timers: &'a Timers,
    /// Any bytes, reused.
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) chain: &'a mut FilterChain,
    /// The request's head as it was before filters of a host saw it; reused.
    pub(crate) spare: &'a mut RequestHead,
    pub(crate) start: RequestStart,
    /// Whether nothing that follows on the client's carrier can be a request.
    pub(crate) last: Last,
    pub(crate) route: Option<(RouteId, VirtualHostId)>,
    pub(crate) request: RequestBody,
    pub(crate) response: ResponseBody,
    pub(crate) answer: Answer,
    pub(crate) reset_by: ResetBy,
    /// When the last byte of the response was written, if all was.
    pub(crate) ended: Option<Instant>,
    pub(crate) fate: Fate,
    pub(crate) client_side: ClientSide,
    pub(crate) retry: Retry,
    /// Whether it may begin at all.
    pub(crate) admission: Result<(), Shortage>,
    pub(crate) held: Held<'a>,
    pub(crate) pace: Pace,
}

/// What a request is when its head is there.
pub(crate) struct Arrival<'a> {
    pub(crate) worker: &'a WorkerContext,
    pub(crate) entrance: &'a ListenerState,
    pub(crate) listener: &'a ListenerView,
    pub(crate) routes: &'a RouteView,
    pub(crate) client: Downstream<'a>,
    pub(crate) start: RequestStart,
}

/// Whether a stream came to its end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not yet: if it is dropped now, it is cut.
    Running,
    Ended,
}

/// How far the answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Response filters may still see one.
    Open,
    /// They have seen one, or are not to see any: they run once.
    Filtered,
    /// Its head, with this status, is on its way to the client.
    Sent(u16),
}

impl Answer {
    /// Whether the client is getting one.
    #[inline]
    pub(crate) fn is_sent(self) -> bool {
        matches!(self, Answer::Sent(_))
    }

    /// Status sent to the client; 0 until one was.
    #[inline]
    pub(crate) fn status(self) -> u16 {
        match self {
            Answer::Sent(status) => status,
            Answer::Open | Answer::Filtered => 0,
        }
    }

    /// Response filters see none from here on.
    pub(crate) fn skip_filters(&mut self) {
        if *self == Answer::Open {
            *self = Answer::Filtered;
        }
    }
}

impl<'a> Stream<'a> {
    /// A stream whose head and filters are in `kit`.
    #[inline]
    pub(crate) fn new(arrival: Arrival<'a>, kit: &'a mut Kit) -> Self {
        let Arrival { worker, entrance, listener, routes, client, start } = arrival;
        let Kit { state, chain, timers, scratch, spare, mark } = kit;
        Stream {
            worker,
            entrance,
            listener,
            routes,
            client,
            state,
            timers,
            scratch,
            chain,
            spare,
            start,
            last: Last::No,
            route: None,
            request: RequestBody::default(),
            response: ResponseBody::default(),
            answer: Answer::Open,
            reset_by: ResetBy::Nobody,
            ended: None,
            fate: Fate::Running,
            client_side: ClientSide::Open,
            retry: Retry::default(),
            admission: worker.ledger.stream_begins(),
            held: Held::new(mark),
            pace: Pace::default(),
        }
    }

    /// The route that matched, if one did.
    #[inline]
    pub(crate) fn matched(&self) -> Option<Matched<'a>> {
        let (id, _) = self.route?;
        self.routes.table().matched(id)
    }
}

impl Stream<'_> {
    /// Something went wrong. The first to be blamed stays so.
    pub(crate) fn blame(&mut self, blame: Blame) {
        self.state.info.flags.insert(blame.flag);
        if self.reset_by == ResetBy::Nobody {
            self.reset_by = blame.by;
        }
        if self.state.info.details.is_empty() {
            self.state.info.details = blame.details;
        }
    }

    /// Whether body or trailers of the request follow its head: its own, or
    /// what filters of former phases made.
    pub(crate) fn request_end(&self) -> EndOfStream {
        if self.has_request_body() || self.made_request_body() { EndOfStream::More } else { EndOfStream::End }
    }

    /// Whether filters made a body for a request that came without.
    fn made_request_body(&self) -> bool {
        // After a first attempt the buffer is empty, and the framing known.
        let sent = self.request.announced.is_some_and(|sent| !sent.is_empty());
        let waits = !(self.state.request_body.is_empty() && self.state.request_trailers.is_empty());
        self.request.collected.content == Content::Made && (sent || waits)
    }

    /// What follows such a request may be another protocol: there is no body
    /// to show or to make.
    pub(crate) fn asks_for_tunnel(&self) -> bool {
        self.start.upgrade == Upgrade::Asked
    }

    pub(crate) fn has_request_body(&self) -> bool {
        !self.start.body.is_empty()
    }

    /// Whether a response that begins now is the last on its carrier.
    pub(crate) fn is_last(&self) -> Last {
        if self.entrance.phase() == RunPhase::Running { self.last } else { Last::Yes }
    }

    pub(crate) fn collected_of(&self, direction: BodyDirection) -> &Collected {
        match direction {
            BodyDirection::Request => &self.request.collected,
            BodyDirection::Response => &self.response.collected,
        }
    }

    pub(crate) fn flow(&mut self, direction: BodyDirection) -> &mut Flow {
        match direction {
            BodyDirection::Request => &mut self.request.flow,
            BodyDirection::Response => &mut self.response.flow,
        }
    }

    pub(crate) fn collected(&mut self, direction: BodyDirection) -> &mut Collected {
        match direction {
            BodyDirection::Request => &mut self.request.collected,
            BodyDirection::Response => &mut self.response.collected,
        }
    }

    /// What is in the stream's buffer ends the body: the end flag for it, since
    /// trailers may still follow.
    pub(crate) fn body_ends(&mut self, direction: BodyDirection) -> EndOfStream {
        let state = &mut *self.state;
        let (body, trailers) = match direction {
            BodyDirection::Request => (&mut state.request_body, &state.request_trailers),
            BodyDirection::Response => (&mut state.response_body, &state.response_trailers),
        };
        body.set_last(true);
        if trailers.is_empty() { EndOfStream::End } else { EndOfStream::More }
    }

    /// Whether a filter may change the length of that body.
    pub(crate) fn edits(&self, direction: BodyDirection) -> bool {
        self.listener.hooks.body(direction).any(|(index, interest)| {
            matches!(interest, BodyInterest::Stream | BodyInterest::Whole) && self.chain.sees_body(index, direction)
        })
    }

    /// There is no body to collect; filters may make one.
    pub(crate) fn collect_nothing(&mut self, direction: BodyDirection) {
        if self.collected(direction).is_collected() {
            return;
        }
        self.collected(direction).content = Content::Made;
        match direction {
            BodyDirection::Request => self.state.request_body.clear(),
            BodyDirection::Response => self.state.response_body.clear(),
        }
    }
}
