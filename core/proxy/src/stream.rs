//! One stream from its decoded head to its end.

use std::rc::Rc;
use std::time::Instant;

use sidegate_api::{
    BodyDirection, EndOfStream, MirrorHosts, ReceiverPhase, RequestHead, ResetBy, ResponseFlags, RouteLabel,
    StreamState,
};
use sidegate_net::{Deadline, ListenerState, RunPhase, WorkerContext};
use sidegate_overload::Shortage;
use sidegate_router::{Matched, RouteAction, RouteId, VirtualHostId};
use sidegate_stream::{Downstream, End, Expect, Last, Reason, RequestStart, Upgrade};

use crate::body_pass::{BodyPass, Hold};
use crate::chain::FilterChain;
use crate::choose::NewCookie;
use crate::forwarding;
use crate::halt::Halt;
use crate::held::Held;
use crate::hooks::Flow;
use crate::pace::Pace;
use crate::retry::Retry;
use crate::view::{ClusterView, ListenerView, RouteView, Target};

/// Times that a filter may send a request back to an earlier phase.
const MAX_PASSES: u32 = 10;

/// A connection's deadlines: one for each side that can stall.
#[derive(Debug)]
pub(crate) struct Timers {
    /// The client.
    pub(crate) down: Deadline,
    /// The upstream.
    pub(crate) up: Deadline,
    /// A pending filter.
    pub(crate) filter: Deadline,
    /// A client that ended its side.
    pub(crate) leave: Deadline,
}

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
    pub(crate) saved: &'a mut RequestHead,
    pub(crate) start: RequestStart,
    /// Whether nothing that follows on the client's carrier can be a request.
    pub(crate) last: Last,
    pub(crate) route: Option<(RouteId, VirtualHostId)>,
    /// Where the route sends the request, if it forwards it.
    pub(crate) target: Option<Target>,
    pub(crate) request_pass: BodyPass,
    pub(crate) response_pass: BodyPass,
    /// Whether the response hooks have run: they run once.
    pub(crate) responded: Responded,
    /// Status sent to the client; 0 until one was.
    pub(crate) sent_status: u16,
    pub(crate) reset_by: ResetBy,
    /// When the last byte of the response was written, if all was.
    pub(crate) ended: Option<Instant>,
    pub(crate) course: Course,
    pub(crate) client_side: ClientSide,
    pub(crate) retry: Retry,
    /// Who gets a copy of the request once it is sent.
    pub(crate) mirror: Option<Rc<ClusterView>>,
    /// Made for a client without the cookie that its route hashes.
    pub(crate) new_cookie: Option<Box<NewCookie>>,
    /// Whether it may begin at all.
    pub(crate) admission: Result<(), Shortage>,
    pub(crate) held: Held<'a>,
    pub(crate) pace: Pace,
}

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

/// Whether a stream came to its end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Not yet: if it is dropped now, it is cut.
    Running,
    Ended,
}

/// Whether response filters were shown a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Responded {
    No,
    Yes,
}

impl<'a> Stream<'a> {
    /// The route that matched, if one did.
    #[inline]
    pub(crate) fn matched(&self) -> Option<Matched<'a>> {
        let (id, _) = self.route?;
        self.routes.table().matched(id)
    }
}

impl Stream<'_> {
    /// Carries the stream to its end.
    pub(crate) async fn run_free(&mut self) -> End {
        match self.forward().await {
            Ok(end) => {
                self.course = Course::Ended;
                end
            }
            Err(halt) => self.end_by(halt).await,
        }
    }

    /// Ends the stream with what stopped it.
    pub(crate) async fn end_by(&mut self, halt: Halt) -> End {
        let end = self.halt(halt).await;
        self.course = Course::Ended;
        end
    }

    async fn forward(&mut self) -> Result<End, Halt> {
        let listener = self.listener;
        self.note_begin();
        self.admitted()?;
        self.judge_upgrade();
        if forwarding::identify(self.state, listener.config.forwarding).is_err() {
            return Err(Halt::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
        }
        if let Err((index, policy)) = self.chain.start(listener, self.worker.index) {
            self.fault(index, policy)?;
        }
        if listener.plan.is_busy(ReceiverPhase::BeforeRoute) {
            self.request_phase(ReceiverPhase::BeforeRoute).await?;
        }
        self.count_forward()?;
        for _ in 0..MAX_PASSES {
            self.match_route()?;
            if listener.plan.is_busy(ReceiverPhase::AfterRoute)
                && self.request_phase(ReceiverPhase::AfterRoute).await? == Flow::Rematch
            {
                continue;
            }
            self.answer_by_route()?;
            if self.state.mirror.is_some_and(|fan| fan.hosts == MirrorHosts::All) {
                self.broadcast().await?;
            }
            if let Some(end) = self.attempts(MAX_PASSES).await? {
                return Ok(end);
            }
        }
        Err(Halt::error(500, "too_many_passes", ResponseFlags::FILTER_FAULT, ResetBy::Nobody))
    }

    fn match_route(&mut self) -> Result<(), Halt> {
        let routes = self.routes;
        let found = routes.table().find(self.state);
        self.target = found.as_ref().ok().and_then(|matched| routes.find(matched, self.state));
        let info = &mut self.state.info;
        // What a former pass chose is not true any more.
        info.upstream_host = None;
        info.cluster = self.target.as_ref().map(|target| target.cluster.name.clone());
        let (virtual_host, route) = match &found {
            Ok(matched) => (Some(matched.virtual_host_id()), Some(matched.id())),
            Err(missing) => (missing.virtual_host, None),
        };
        self.route = route.zip(virtual_host);
        info.route = Some(RouteLabel::new(routes.names.clone(), virtual_host.map(|id| id.0), route.map(|id| id.0)));
        match found {
            Ok(_) => Ok(()),
            Err(_) => Err(Halt::error(404, "no_route", ResponseFlags::NO_ROUTE, ResetBy::Nobody)),
        }
    }

    /// Redirects and direct responses.
    fn answer_by_route(&mut self) -> Result<(), Halt> {
        let Some(matched) = self.matched() else { return Ok(()) };
        let mut reply = match matched.route().action() {
            RouteAction::Forward(_) => return Ok(()),
            RouteAction::Redirect(redirect) => {
                let mut reply = sidegate_api::LocalReply::new(redirect.code.status(), "redirect");
                self.scratch.clear();
                redirect.write_location(&self.state.request, self.scratch);
                // One field fits into an empty map: heads are bounded far below.
                let _ = reply.headers.add(b"location", self.scratch);
                reply
            }
            RouteAction::DirectResponse(direct) => {
                let mut reply = sidegate_api::LocalReply::new(direct.status, "direct_response");
                if !direct.body.is_empty() {
                    let _ = reply.headers.add(b"content-type", b"text/plain; charset=utf-8");
                }
                reply.body = direct.body.to_vec();
                reply
            }
        };
        reply.body.shrink_to_fit();
        Err(Halt::Reply(Box::new(reply), ResponseFlags::DIRECT_RESPONSE, ResetBy::Nobody))
    }

    /// Answers a halt, or cuts the connection where nothing can be said.
    async fn halt(&mut self, halt: Halt) -> End {
        match halt {
            Halt::Reply(reply, flag, by) => {
                self.state.info.flags.insert(flag);
                self.distrust(by);
                if self.sent_status != 0 {
                    self.note(by, reply.details);
                    return End::Reset(reason(by));
                }
                // A reply is an end in order, unless nobody is left to read it.
                let left = flag == ResponseFlags::DOWNSTREAM_CLOSED;
                self.note(if left { by } else { ResetBy::Nobody }, reply.details);
                match self.local_reply(reply).await {
                    Ok(end) => end,
                    // The reply itself was halted: by a filter, or the client.
                    Err(Halt::Reply(reply, flag, by)) => {
                        self.state.info.flags.insert(flag);
                        self.distrust(by);
                        self.note(by, reply.details);
                        if self.sent_status != 0 {
                            return End::Reset(reason(by));
                        }
                        self.responded = Responded::Yes;
                        self.local_reply(reply).await.unwrap_or(End::Reset(reason(by)))
                    }
                    Err(Halt::Cut(by, flag, details)) => self.cut(by, flag, details),
                }
            }
            Halt::Cut(by, flag, details) => self.cut(by, flag, details),
        }
    }

    /// After a request that was not understood or not read to its end, what
    /// follows on the connection must not be taken for a request.
    fn distrust(&mut self, by: ResetBy) {
        if by == ResetBy::Downstream {
            self.last = Last::Yes;
        }
    }

    fn cut(&mut self, by: ResetBy, flag: ResponseFlags, details: &'static str) -> End {
        self.state.info.flags.insert(flag);
        self.note(by, details);
        End::Reset(reason(by))
    }

    pub(crate) fn note(&mut self, by: ResetBy, details: &'static str) {
        if self.reset_by == ResetBy::Nobody {
            self.reset_by = by;
        }
        if self.state.info.details.is_empty() {
            self.state.info.details = details;
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
        let sent = self.retry.announced.is_some_and(|sent| !sent.is_empty());
        let waits = !(self.state.request_body.is_empty() && self.state.request_trailers.is_empty());
        self.request_pass.hold == Hold::Empty && (sent || waits)
    }

    /// What follows such a request may be another protocol: there is no body
    /// to show or to make.
    pub(crate) fn asks_for_tunnel(&self) -> bool {
        self.start.upgrade == Upgrade::Asked
    }

    pub(crate) fn has_request_body(&self) -> bool {
        !self.start.body.is_empty()
    }

    /// A filter wants the body before an upstream could ask for it: a client
    /// that waits for `100 Continue` gets it from us.
    pub(crate) async fn ask_for_body(&mut self) -> Result<(), Halt> {
        if self.start.expect == Expect::None {
            return Ok(());
        }
        self.start.expect = Expect::None;
        self.client.invite_body();
        self.flush_down().await
    }

    /// Whether a response that begins now is the last on its carrier.
    pub(crate) fn is_last(&self) -> Last {
        if self.entrance.phase() == RunPhase::Running { self.last } else { Last::Yes }
    }

    pub(crate) fn pass_of(&self, direction: BodyDirection) -> &BodyPass {
        match direction {
            BodyDirection::Request => &self.request_pass,
            BodyDirection::Response => &self.response_pass,
        }
    }

    pub(crate) fn pass(&mut self, direction: BodyDirection) -> &mut BodyPass {
        match direction {
            BodyDirection::Request => &mut self.request_pass,
            BodyDirection::Response => &mut self.response_pass,
        }
    }
}

/// What a protocol that names reasons says of a cut.
fn reason(by: ResetBy) -> Reason {
    match by {
        ResetBy::Downstream => Reason::Cancel,
        ResetBy::Nobody | ResetBy::Upstream | ResetBy::Filter | ResetBy::Proxy => Reason::Internal,
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.complete();
    }
}
