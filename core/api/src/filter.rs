//! The stream filter: the extension point that built-in filters and modules
//! fill alike.
//!
//! ```text
//!  request   headers BeforeRoute ─ route ─ headers AfterRoute ─ host ─ headers AfterChooseHost
//!            then body chunks and trailers pass the filters in the same order
//!  response  headers, body, trailers pass the filters in configured order;
//!            local replies pass here too
//!  end       on_complete once, then drop
//! ```

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{FilterConfigError, FilterCx, InheritError, Inherited, ModuleStatus, ResponseFlags};

/// Where in a request's way a receiver hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum ReceiverPhase {
    /// Before the route is matched.
    BeforeRoute = 1,
    /// After the route is matched and before a host is chosen.
    AfterRoute = 2,
    /// After a host is chosen; once per upstream attempt.
    AfterChooseHost = 3,
}

impl ReceiverPhase {
    /// In the order in which they run.
    pub const ALL: [Self; 3] = [Self::BeforeRoute, Self::AfterRoute, Self::AfterChooseHost];
}

/// Whether more of the message follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfStream {
    /// Body or trailers follow.
    More,
    /// This was the last part.
    End,
}

/// What a hook wants to happen next.
#[derive(Debug)]
pub enum Status {
    /// Go on.
    Continue,
    /// End this phase's remaining filters: with the reply that was set, or
    /// without one let the stream go on in its next phase. A reply that was
    /// refused, or set and followed by anything but this and `Terminate`, is
    /// answered 500 whatever the fault policy says.
    Stop,
    /// Wait until resumed ([`FilterCx::resume_handle`]), then call `on_resume`.
    Pending,
    /// Close the stream without a reply.
    Terminate,
    /// Match the route again, from the start of `AfterRoute`. Header hooks of
    /// `AfterRoute` and `AfterChooseHost` only.
    RematchRoute,
    /// Choose a host again. Header hooks of `AfterChooseHost` only.
    RechooseHost,
    /// The filter failed; the fault policy decides.
    Fault(FilterFault),
}

/// Why a filter failed, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterFault {
    /// One line.
    pub message: Box<str>,
    /// Who decides what becomes of the stream.
    pub kind: FaultKind,
}

/// Who decides what a fault makes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The filter's fault policy.
    Policy,
    /// Nobody: the filter wanted to answer and its answer cannot go out, so
    /// nothing else may.
    Closed,
}

impl FilterFault {
    /// A fault with this message.
    pub fn new(message: impl Into<Box<str>>) -> Self {
        FilterFault { message: message.into(), kind: FaultKind::Policy }
    }

    /// The same, whatever the fault policy says.
    pub fn closed(message: impl Into<Box<str>>) -> Self {
        FilterFault { message: message.into(), kind: FaultKind::Closed }
    }
}

impl Status {
    /// Its name, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Status::Continue => "Continue",
            Status::Stop => "Stop",
            Status::Pending => "Pending",
            Status::Terminate => "Terminate",
            Status::RematchRoute => "RematchRoute",
            Status::RechooseHost => "RechooseHost",
            Status::Fault(_) => "Fault",
        }
    }
}

/// How a filter wants to see a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyInterest {
    /// Not at all: bytes pass by untouched.
    #[default]
    None,
    /// Chunk by chunk, without changing it: the length stays known.
    Observe,
    /// Chunk by chunk, changing it: a known length is dropped.
    Stream,
    /// All of it at once, held in memory up to the limit.
    Whole,
}

/// What a filter wants to see. A hook nobody wants costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interests {
    /// Receiver phases in which the header hook runs.
    pub phases: HookSet,
    /// Request body. Body and trailer hooks run in the first of `phases`, or
    /// in `BeforeRoute` if there is none.
    pub request_body: BodyInterest,
    /// Request trailers.
    pub request_trailers: HookSet,
    /// Response head; any set value means yes.
    pub response_headers: HookSet,
    /// Response body.
    pub response_body: BodyInterest,
    /// Response trailers.
    pub response_trailers: HookSet,
    /// `on_complete`.
    pub complete: HookSet,
}

/// A small set: of phases where a hook has phases, else just wanted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u8);

impl HookSet {
    /// Not wanted.
    pub const NONE: Self = Self(0);
    /// Wanted.
    pub const WANTED: Self = Self(1);

    /// The set of these phases.
    pub const fn phases(phases: &[ReceiverPhase]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < phases.len() {
            bits |= 1 << phases[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// Whether `phase` is in it.
    pub const fn has(self, phase: ReceiverPhase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }

    /// Whether anything is in it.
    pub const fn wanted(self) -> bool {
        self.0 != 0
    }

    /// The first phase in it.
    pub fn first_phase(self) -> Option<ReceiverPhase> {
        ReceiverPhase::ALL.into_iter().find(|&phase| self.has(phase))
    }
}

impl From<bool> for HookSet {
    fn from(wanted: bool) -> Self {
        if wanted { Self::WANTED } else { Self::NONE }
    }
}

/// One filter of one stream. Hooks run on the stream's worker, never overlap
/// and never nest; what a hook asks for takes effect after it returned. The
/// filter is dropped exactly once, after `on_complete` if that is wanted.
#[allow(unused_variables)]
pub trait StreamFilter {
    /// The request head, once per declared phase (again after a rematch or a
    /// new attempt). `end` says whether body or trailers follow.
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, end: EndOfStream) -> Status {
        Status::Continue
    }

    /// Request body: one chunk, or all of it for [`BodyInterest::Whole`]. A
    /// request without one is shown to filters that may change bodies, once and
    /// empty, unless it asks for a tunnel.
    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        Status::Continue
    }

    /// Request trailers.
    fn on_request_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        Status::Continue
    }

    /// The final response head or a local reply's.
    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        Status::Continue
    }

    /// Response body: one chunk, or all of it for [`BodyInterest::Whole`]. A
    /// response without one is shown likewise if its kind may have a body.
    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        Status::Continue
    }

    /// Response trailers.
    fn on_response_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        Status::Continue
    }

    /// After a `Pending` was resumed; stands for the hook that returned it.
    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        Status::Continue
    }

    /// The proxy found a fault of this filter that the filter does not know of:
    /// it waited for too long, or answered what has no meaning there. It is
    /// dropped next.
    fn on_fault(&mut self, fault: &FilterFault) {}

    /// The stream has ended. Not called after a fault of this filter.
    fn on_complete(&mut self, cx: &mut FilterCx<'_>, completion: &Completion) {}
}

/// Who ended a stream early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum ResetBy {
    /// Nobody: it ran to its end.
    #[default]
    Nobody = 0,
    /// The client.
    Downstream = 1,
    /// The upstream.
    Upstream = 2,
    /// A filter.
    Filter = 3,
    /// The proxy: a timeout, a limit, a drain.
    Proxy = 4,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Completion {
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// What went wrong.
    pub flags: ResponseFlags,
    /// Request body bytes from the client.
    pub bytes_received: u64,
    /// Response body bytes to the client.
    pub bytes_sent: u64,
    /// From the request's first byte to the end.
    pub duration: Duration,
    /// From the request's first byte to the upstream's first.
    pub upstream_duration: Option<Duration>,
    /// What of `duration` the proxy itself took; the wait for the upstream is
    /// left out.
    pub process_duration: Duration,
    /// Who ended it early.
    pub reset_by: ResetBy,
}

/// Number of a worker, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerIndex(pub usize);

/// An object that a factory made of a route's `per_filter_config`.
pub trait RouteFilterConfig: Any + Send + Sync {
    /// For downcasts by the factory's own filters.
    fn as_any(&self) -> &dyn Any;
}

/// How long a filter may wait for the end of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// As long as that takes.
    ToTheEnd,
    /// So long at least.
    For(Duration),
    /// No longer: it is told that the stream has ended for it.
    Over,
}

/// Makes the filters of one place in one filter chain.
pub trait StreamFilterFactory: Any + Send + Sync + fmt::Debug {
    /// What its filters want to see; constant over the factory's life.
    fn interests(&self) -> Interests;

    /// A filter for a new stream, on that stream's worker.
    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault>;

    /// Builds the object for a route's `per_filter_config` of this filter.
    fn create_route_config(&self, value: &serde_json::Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        let _ = value;
        Err(FilterConfigError::new("", "no per_filter_config: this filter has no settings per route"))
    }

    /// Called on a worker's thread before a listener's streams use the factory
    /// there. Once for each use: a new configuration attaches before the old
    /// one detaches, and listeners may share a factory. What was refused is
    /// not detached.
    fn attach_worker(&self, worker: WorkerIndex) -> Result<(), FilterFault> {
        let _ = worker;
        Ok(())
    }

    /// Called on the worker's thread after the last stream of such a use was
    /// dropped; others may go on.
    fn detach_worker(&self, worker: WorkerIndex) {
        let _ = worker;
    }

    /// Takes over what the factory `from`, which this one is about to follow in
    /// a running proxy, wants it to know. Once, after the objects of the routes
    /// were made and before the first filter; blocks for about a second at
    /// most. After a failure it starts empty; whoever asked says so in the log.
    fn inherit(&self, from: &Arc<dyn StreamFilterFactory>) -> Result<Inherited, InheritError> {
        let _ = from;
        Ok(Inherited::Nothing)
    }

    /// How long streams may keep a filter that only waits for `on_complete`:
    /// asked of tunnels, when they begin and whenever the answer says.
    fn tenure(&self) -> Tenure {
        Tenure::ToTheEnd
    }

    /// Somebody ordered a reload, and this factory is kept: what it holds
    /// against its filters is forgotten.
    fn reloaded(&self) {}

    /// Facts for the admin page, if the filters come from a module.
    fn module(&self) -> Option<ModuleStatus> {
        None
    }
}
