//! A module's filter, adapted to the proxy's.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use sidegate_abi as abi;
use sidegate_abi::{Hook, HookFn};
use sidegate_api::{
    BodyBuffer, BodyDirection, Completion, EndOfStream, FilterCx, FilterFault, ReceiverPhase, Status, StreamFilter,
};

use sidegate_watch::Hook as At;

use crate::factory::WorkerHandle;
use crate::host::{self, Calls};
use crate::timing::Weight;

/// One filter of one stream. Lives and dies on its worker.
pub(crate) struct ModuleFilter {
    worker: Arc<WorkerHandle>,
    object: *mut c_void,
    /// Phase and flags of the last hook, for the resume that stands for it.
    last: (u32, u32),
    state: State,
    /// For how many streams its times stand.
    weight: Weight,
    /// Of plugins.
    calls: Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Working,
    /// A filter that faulted sees nothing but its end.
    Faulted,
}

impl ModuleFilter {
    pub(crate) fn new(worker: Arc<WorkerHandle>, object: *mut c_void, weight: Weight) -> Self {
        worker.filter_made();
        ModuleFilter {
            worker,
            object,
            last: (abi::PHASE_BEFORE_ROUTE, 0),
            state: State::Working,
            weight,
            calls: Calls::default(),
        }
    }

    fn call(&mut self, at: At, hook: Option<HookFn>, cx: &mut FilterCx<'_>, phase: u32, flags: u32) -> Status {
        let Some(hook) = hook else {
            return Status::Continue;
        };
        if self.state == State::Faulted {
            return Status::Continue;
        }
        self.last = (phase, flags);
        let core = &*self.worker.core;
        let object = self.object;
        let told = |stream| told(&self.worker, stream, phase, flags);
        let (status, said) = host::enter(cx, core, &mut self.calls, |stream, host| {
            let told = told(stream);
            let begun = core.times.begin();
            // SAFETY: the module's hook with its own filter, on its worker;
            // the stream's number is valid until `enter` returns.
            let status = unsafe { hook(object, &told) };
            core.times.end(begun, at, self.weight);
            (status, host.said())
        });
        let status = match status {
            abi::STATUS_CONTINUE => Status::Continue,
            abi::STATUS_STOP => Status::Stop,
            abi::STATUS_PENDING => Status::Pending,
            abi::STATUS_TERMINATE => Status::Terminate,
            abi::STATUS_REMATCH_ROUTE => Status::RematchRoute,
            abi::STATUS_RECHOOSE_HOST => Status::RechooseHost,
            abi::STATUS_FAULT => {
                Status::Fault(FilterFault::new(said.unwrap_or_else(|| "it gave no reason".to_owned())))
            }
            other => Status::Fault(FilterFault::new(format!("a hook returned {other:#x}, which is no status"))),
        };
        if self.calls.any() {
            self.calls.hook_returned(cx, &status);
        }
        match cx.stream().reply.contradicts(&status).map_or(status, Status::Fault) {
            Status::Fault(fault) => self.fault(fault),
            status => status,
        }
    }

    fn fault(&mut self, fault: FilterFault) -> Status {
        self.state = State::Faulted;
        let name = &self.worker.core.module.identity.name;
        let message = format!("module `{name}`: {fault}").into();
        Status::Fault(self.worker.core.fault(FilterFault { message, ..fault }))
    }

    /// Body and trailer hooks of requests run in the first declared phase.
    fn body_phase(&self) -> u32 {
        let first = self.worker.core.interests.phases.first_phase();
        first.unwrap_or(ReceiverPhase::BeforeRoute) as u32
    }
}

fn told(worker: &WorkerHandle, stream: *mut abi::Stream, phase: u32, flags: u32) -> Hook {
    Hook { size: size_of::<Hook>() as u64, stream, worker_state: worker.state(), phase, flags }
}

fn flags(end: EndOfStream) -> u32 {
    match end {
        EndOfStream::More => 0,
        EndOfStream::End => abi::HOOK_END,
    }
}

fn body_flags(cx: &FilterCx<'_>, direction: BodyDirection, end: EndOfStream) -> u32 {
    let last = cx.body(direction).is_some_and(BodyBuffer::is_last);
    flags(end) | if last { abi::HOOK_BODY_END } else { 0 }
}

fn nanoseconds(duration: Duration) -> u64 {
    // One less than "not known" is still 584 years.
    u64::try_from(duration.as_nanos()).unwrap_or(abi::NO_DURATION - 1)
}

impl StreamFilter for ModuleFilter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, end: EndOfStream) -> Status {
        self.call(At::RequestHeaders, self.worker.core.filters.on_request_headers, cx, phase as u32, flags(end))
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.call(
            At::RequestBody,
            self.worker.core.filters.on_request_body,
            cx,
            self.body_phase(),
            body_flags(cx, BodyDirection::Request, end),
        )
    }

    fn on_request_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.call(
            At::RequestTrailers,
            self.worker.core.filters.on_request_trailers,
            cx,
            self.body_phase(),
            abi::HOOK_END,
        )
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.call(At::ResponseHeaders, self.worker.core.filters.on_response_headers, cx, abi::PHASE_SEND, flags(end))
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        self.call(
            At::ResponseBody,
            self.worker.core.filters.on_response_body,
            cx,
            abi::PHASE_SEND,
            body_flags(cx, BodyDirection::Response, end),
        )
    }

    fn on_response_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.call(
            At::ResponseTrailers,
            self.worker.core.filters.on_response_trailers,
            cx,
            abi::PHASE_SEND,
            abi::HOOK_END,
        )
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        let (phase, flags) = self.last;
        self.call(At::Resume, self.worker.core.filters.on_resume, cx, phase, flags)
    }

    fn on_fault(&mut self, fault: &FilterFault) {
        self.state = State::Faulted;
        self.calls = Calls::default();
        self.worker.core.fault(fault.clone());
    }

    fn on_complete(&mut self, cx: &mut FilterCx<'_>, completion: &Completion) {
        let hook = match self.worker.core.filters.on_complete {
            Some(hook) if self.state != State::Faulted => hook,
            _ => return self.calls.end(cx),
        };
        let completion = abi::Completion {
            size: size_of::<abi::Completion>() as u64,
            status: completion.status.into(),
            flags: completion.flags.bits(),
            reset_by: completion.reset_by as u32,
            unused: 0,
            bytes_received: completion.bytes_received,
            bytes_sent: completion.bytes_sent,
            duration_ns: nanoseconds(completion.duration),
            upstream_duration_ns: completion.upstream_duration.map_or(abi::NO_DURATION, nanoseconds),
        };
        let core = &*self.worker.core;
        host::enter(cx, core, &mut self.calls, |stream, _| {
            let told = told(&self.worker, stream, abi::PHASE_SEND, abi::HOOK_END);
            let begun = core.times.begin();
            // SAFETY: as in `call`.
            unsafe { hook(self.object, &told, &completion) };
            core.times.end(begun, At::Complete, self.weight);
        });
        self.calls.end(cx);
    }
}

impl Drop for ModuleFilter {
    fn drop(&mut self) {
        if let Some(destroy) = self.worker.core.filters.destroy {
            let _inside = self.worker.core.module.inside();
            let times = &self.worker.core.times;
            let begun = times.begin();
            // SAFETY: the module's function and filter, on its worker, once.
            unsafe { destroy(self.object) };
            times.end(begun, At::DestroyFilter, self.weight);
        }
        self.worker.filter_gone();
    }
}
