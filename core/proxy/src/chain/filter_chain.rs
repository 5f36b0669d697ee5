//! The filters of one stream and the calls into them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{
    BodyDirection, BodyInterest, Completion, FaultKind, FaultPolicy, FilterCx, FilterFault, LocalReply, ReceiverPhase,
    RouteConfigSource, RouteFilterConfig, SetReply, Status, StreamFilter, StreamState, WorkerIndex,
};
use sidegate_router::{RouteId, VirtualHostId};
use sidegate_watch::{Hook as At, Place, enter};

use super::Hook;
use super::waiting::WaitingFilters;
use crate::FilterEntry;
use crate::view::{Filters, HookTable, ListenerView};

/// The filters of one stream, by their place in the configuration. Empty
/// places belong to filters that faulted.
#[derive(Default)]
pub(crate) struct FilterChain {
    slots: Vec<Slot>,
    source: Source,
}

/// Where a stream's filters come from.
#[derive(Default)]
enum Source {
    /// There are none, or none any more.
    #[default]
    None,
    /// A listener's chain.
    Chain(Rc<Filters>),
    /// Each by itself: they wait for the stream's end.
    Waiting(WaitingFilters),
}

struct Slot {
    filter: Option<Box<dyn StreamFilter>>,
    /// It changed body bytes: `on_fault: pass` is then no longer honest.
    changed_body: bool,
    /// Request and response parts after the head that it is not shown, since
    /// another filter ended the phase before it.
    skipped: [bool; 2],
}

/// What a hook's status means for the chain.
#[derive(Debug)]
pub(crate) enum Verdict {
    Continue,
    /// End the phase's remaining filters; the stream goes on.
    EndPhase,
    Reply(Box<LocalReply>),
    Pending,
    Terminate,
    Rematch,
    Rechoose,
    /// The filter faulted and is gone; what its policy asks for.
    Fault(FaultPolicy),
}

/// Where a stream's filters find their per-route configuration.
pub(crate) struct RouteSource<'a> {
    pub(crate) filters: &'a Filters,
    pub(crate) route: Option<(RouteId, VirtualHostId)>,
}

impl RouteConfigSource for RouteSource<'_> {
    fn route_config(&self, filter_index: usize) -> Option<&dyn RouteFilterConfig> {
        self.filters.route_config(filter_index, self.route).map(|config| &**config)
    }
}

/// What a hook call needs beside the filter.
pub(crate) struct CallEnv<'a> {
    pub(crate) listener: &'a ListenerView,
    pub(crate) route: Option<(RouteId, VirtualHostId)>,
    pub(crate) worker: WorkerIndex,
}

impl FilterChain {
    /// The filters of the next stream come from there.
    #[inline]
    pub(crate) fn begin(&mut self, source: Option<Rc<Filters>>) {
        self.source = source.map_or(Source::None, Source::Chain);
    }

    /// Makes the filters of a new stream. `Err`: the filter at this place could
    /// not be made and its policy forbids to go on without it.
    pub(crate) fn start(&mut self, listener: &ListenerView, worker: WorkerIndex) -> Result<(), (usize, FaultPolicy)> {
        self.slots.clear();
        let Source::Chain(filters) = &self.source else { return Ok(()) };
        for (index, entry) in filters.entries().iter().enumerate() {
            let place = listener.hooks.places[index];
            let mark = enter(place, At::CreateFilter);
            let made = match filters.was_refused(index) {
                false => catch_unwind(AssertUnwindSafe(|| entry.factory.create_filter(worker)))
                    .unwrap_or_else(|_| Err(FilterFault::new("panicked while it was created"))),
                true => Err(FilterFault::new("has no state of this worker")),
            };
            drop(mark);
            let filter = match made {
                Ok(filter) => Some(filter),
                Err(fault) => {
                    report(entry, &fault);
                    if entry.on_fault != FaultPolicy::Pass {
                        return Err((index, entry.on_fault));
                    }
                    None
                }
            };
            self.slots.push(Slot { filter, changed_body: false, skipped: [false; 2] });
        }
        Ok(())
    }

    /// From now on the filter at `index` is shown body and trailers, or not.
    pub(crate) fn skip(&mut self, index: usize, direction: BodyDirection, over: bool) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.skipped[direction as usize] = over;
        }
    }

    /// Whether the filter at `index` is there and sees body and trailers.
    pub(crate) fn sees_body(&self, index: usize, direction: BodyDirection) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.filter.is_some() && !slot.skipped[direction as usize])
    }

    /// Whether any filter sees body or trailers of `direction`.
    #[inline]
    pub(crate) fn sees_any(&self, hooks: &HookTable, direction: BodyDirection) -> bool {
        hooks.body(direction).any(|(index, _)| self.sees_body(index, direction))
    }

    /// Calls one hook. A filter that faults, panics or answers with a status
    /// that has no place there is dropped at once and sees nothing more.
    pub(crate) fn call(&mut self, index: usize, hook: Hook, stream: &mut StreamState, env: &CallEnv<'_>) -> Verdict {
        let Source::Chain(filters) = &self.source else { return Verdict::Continue };
        let Some(entry) = filters.entries().get(index) else { return Verdict::Continue };
        let Some(slot) = self.slots.get_mut(index) else { return Verdict::Continue };
        let Some(filter) = slot.filter.as_mut() else { return Verdict::Continue };
        stream.reply = SetReply::None;
        stream.wake_after = None;
        let source = RouteSource { filters, route: env.route };
        let interests = env.listener.hooks.interests[index];
        let max_body = env.listener.config.limits.max_buffered_body;
        let cx = FilterCx::new(stream, &source, index, env.worker, max_body);
        let place = env.listener.hooks.places[index];
        let mark = enter(place, hook.at());
        let status = catch_unwind(AssertUnwindSafe(|| run(&mut **filter, hook, cx, &interests)))
            .unwrap_or_else(|_| Status::Fault(FilterFault::new("panicked")));
        drop(mark);
        let status = stream.reply.contradicts(&status).map_or(status, Status::Fault);
        slot.changed_body |= stream.request_body.take_edited() | stream.response_body.take_edited();
        if stream.waived_bodies != [false; 2] {
            let waived = std::mem::take(&mut stream.waived_bodies);
            for (over, waived) in slot.skipped.iter_mut().zip(waived) {
                *over |= waived;
            }
        }
        if !matches!(status, Status::Pending)
            && let Some(resume) = &stream.resume
        {
            resume.disarm();
        }
        let verdict = match status {
            Status::Fault(fault) => Err(fault),
            status => judge(status, hook, stream).inspect_err(|fault| filter.on_fault(fault)),
        };
        match verdict {
            Ok(verdict) => verdict,
            Err(fault) => {
                report(entry, &fault);
                let policy = match (fault.kind, entry.on_fault) {
                    (FaultKind::Closed, _) => FaultPolicy::Reply500,
                    (FaultKind::Policy, FaultPolicy::Pass) if slot.changed_body => FaultPolicy::Reset,
                    (FaultKind::Policy, policy) => policy,
                };
                discard(slot.filter.take(), entry, place);
                Verdict::Fault(policy)
            }
        }
    }

    /// A filter that stayed `Pending` for too long: a fault.
    pub(crate) fn expire(&mut self, index: usize, fault: FilterFault, env: &CallEnv<'_>) -> FaultPolicy {
        let Source::Chain(filters) = &self.source else { return FaultPolicy::Reply500 };
        let Some(entry) = filters.entries().get(index) else { return FaultPolicy::Reply500 };
        report(entry, &fault);
        let Some(slot) = self.slots.get_mut(index) else { return entry.on_fault };
        if let Some(filter) = &mut slot.filter {
            filter.on_fault(&fault);
        }
        discard(slot.filter.take(), entry, env.listener.hooks.places[index]);
        if slot.changed_body && entry.on_fault == FaultPolicy::Pass { FaultPolicy::Reset } else { entry.on_fault }
    }

    /// What the configuration says of the filter at `index`.
    pub(crate) fn entry(&self, index: usize) -> Option<&FilterEntry> {
        match &self.source {
            Source::Chain(filters) => filters.entries().get(index),
            Source::None | Source::Waiting(_) => None,
        }
    }

    /// No hook is called any more but `on_complete`: filters that do not want
    /// that go now, and with each filter all that belongs to it.
    #[cold]
    pub(crate) fn release(&mut self, listener: &ListenerView, route: Option<(RouteId, VirtualHostId)>) {
        let Source::Chain(filters) = std::mem::take(&mut self.source) else { return };
        let mut waiting = WaitingFilters::default();
        let parts = filters.entries().iter().zip(&listener.hooks.places).zip(&listener.hooks.interests);
        for ((index, slot), ((entry, place), interests)) in self.slots.drain(..).enumerate().zip(parts) {
            match slot.filter {
                Some(filter) if interests.complete.wanted() => {
                    let config = filters.route_config(index, route).cloned();
                    waiting.add(filter, entry.clone(), place, filters.told(index), config);
                }
                filter => discard(filter, entry, place),
            }
        }
        if !waiting.is_empty() {
            self.source = Source::Waiting(waiting);
        }
    }

    /// Lets filters go that may not wait any longer for the stream's end, and
    /// says when to ask again.
    #[cold]
    pub(crate) fn let_go(
        &mut self,
        stream: &mut StreamState,
        worker: WorkerIndex,
        completion: &Completion,
    ) -> Option<Duration> {
        let Source::Waiting(waiting) = &mut self.source else { return None };
        let again = waiting.let_go(stream, worker, completion);
        if waiting.is_empty() {
            self.source = Source::None;
        }
        again
    }

    /// Calls `on_complete` where wanted and drops every filter.
    pub(crate) fn finish(&mut self, stream: &mut StreamState, env: &CallEnv<'_>, completion: &Completion) {
        let filters = match std::mem::take(&mut self.source) {
            Source::None => return,
            Source::Chain(filters) => filters,
            Source::Waiting(waiting) => return waiting.finish(stream, env.worker, completion),
        };
        let places = &env.listener.hooks.places;
        for &index in &env.listener.hooks.complete {
            let (Some(entry), Some(slot)) = (filters.entries().get(index), self.slots.get_mut(index)) else { continue };
            let Some(filter) = slot.filter.as_mut() else { continue };
            let source = RouteSource { filters: &filters, route: env.route };
            let _mark = enter(places[index], At::Complete);
            let mut cx = FilterCx::new(stream, &source, index, env.worker, 0).after_end();
            if catch_unwind(AssertUnwindSafe(|| filter.on_complete(&mut cx, completion))).is_err() {
                report(entry, &FilterFault::new("panicked in on_complete"));
            }
        }
        for ((slot, entry), place) in self.slots.drain(..).zip(filters.entries()).zip(places) {
            discard(slot.filter, entry, place);
        }
    }
}

fn run(filter: &mut dyn StreamFilter, hook: Hook, cx: FilterCx<'_>, wants: &sidegate_api::Interests) -> Status {
    let mut cx = match hook.body() {
        Some(direction) => cx.with_body(direction, interests_in(wants, direction)),
        None => cx,
    };
    if let Some(direction) = hook.direction() {
        cx = cx.with_trailers_of(direction);
    }
    match hook {
        Hook::RequestHeaders(phase, end) => filter.on_request_headers(&mut cx, phase, end),
        Hook::RequestBody(end) => filter.on_request_body(&mut cx, end),
        Hook::RequestTrailers => filter.on_request_trailers(&mut cx),
        Hook::ResponseHeaders(end) => filter.on_response_headers(&mut cx, end),
        Hook::ResponseBody(end) => filter.on_response_body(&mut cx, end),
        Hook::ResponseTrailers => filter.on_response_trailers(&mut cx),
        Hook::Resume(_) => filter.on_resume(&mut cx),
    }
}

fn judge(status: Status, hook: Hook, stream: &mut StreamState) -> Result<Verdict, FilterFault> {
    let misplaced = |what: &str| Err(FilterFault::new(format!("answered {what} where that has no meaning")));
    match status {
        Status::Continue => Ok(Verdict::Continue),
        Status::Stop => Ok(match stream.reply.take() {
            Some(reply) => Verdict::Reply(reply),
            None => Verdict::EndPhase,
        }),
        Status::Pending => Ok(Verdict::Pending),
        Status::Terminate => Ok(Verdict::Terminate),
        Status::RematchRoute => match hook.receiver_phase() {
            Some(ReceiverPhase::AfterRoute | ReceiverPhase::AfterChooseHost) => Ok(Verdict::Rematch),
            _ => misplaced("RematchRoute"),
        },
        Status::RechooseHost => match hook.receiver_phase() {
            Some(ReceiverPhase::AfterChooseHost) => Ok(Verdict::Rechoose),
            _ => misplaced("RechooseHost"),
        },
        Status::Fault(fault) => Err(fault),
    }
}

/// Drops a filter; a panic in its destructor stays here.
pub(crate) fn discard(filter: Option<Box<dyn StreamFilter>>, entry: &FilterEntry, place: &'static Place) {
    let Some(filter) = filter else { return };
    let _mark = enter(place, At::DestroyFilter);
    if catch_unwind(AssertUnwindSafe(|| drop(filter))).is_err() {
        report(entry, &FilterFault::new("panicked in its destructor"));
    }
}

pub(crate) fn report(entry: &FilterEntry, fault: &FilterFault) {
    entry.faults.inc();
    match fault.kind {
        FaultKind::Policy => {
            tracing::warn!(filter = &*entry.name, policy = ?entry.on_fault, "filter fault: {fault}");
        }
        FaultKind::Closed => {
            tracing::warn!(filter = &*entry.name, "filter fault, answered 500 whatever its policy: {fault}");
        }
    }
}

fn interests_in(interests: &sidegate_api::Interests, direction: BodyDirection) -> BodyInterest {
    match direction {
        BodyDirection::Request => interests.request_body,
        BodyDirection::Response => interests.response_body,
    }
}
