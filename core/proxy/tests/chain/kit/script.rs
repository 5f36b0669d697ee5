//! Filters whose behaviour a test writes down as closures.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sidegate_api::{
    BodyBuffer, BodyDirection, BodyInterest, Completion, EndOfStream, FaultPolicy, FilterCx, FilterFault, HookSet,
    Interests, ReceiverPhase, Status, StreamFilter, StreamFilterFactory, Tenure, WorkerIndex,
};

use super::Log;

/// Which hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Headers(ReceiverPhase),
    Body(EndOfStream),
    Trailers,
    ResponseHeaders,
    ResponseBody(EndOfStream),
    ResponseTrailers,
    Resume,
}

type HookFn = dyn Fn(At, &mut FilterCx<'_>) -> Status + Send + Sync;
type CompleteFn = dyn Fn(&mut FilterCx<'_>, &Completion) + Send + Sync;

/// A filter as a test describes it; also the factory.
pub struct Script {
    pub name: &'static str,
    pub on_fault: FaultPolicy,
    log: Log,
    pub interests: Interests,
    hook: Box<HookFn>,
    create: Box<dyn Fn() -> Result<(), FilterFault> + Send + Sync>,
    complete: Box<CompleteFn>,
    on_drop: Box<dyn Fn() + Send + Sync>,
    tenure: Box<dyn Fn() -> Tenure + Send + Sync>,
    created: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    /// It cannot set up its state of a worker.
    pub refuses_workers: bool,
    /// Workers that are attached now.
    attached: Mutex<Vec<usize>>,
}

/// A panic without a message on stderr.
pub fn boom() -> Status {
    std::panic::resume_unwind(Box::new("boom"))
}

impl Script {
    /// A filter that wants nothing but `on_complete`.
    pub fn new(name: &'static str) -> Self {
        Script {
            name,
            on_fault: FaultPolicy::Reply500,
            log: Log::default(),
            interests: Interests { complete: HookSet::WANTED, ..Interests::default() },
            hook: Box::new(|_, _| Status::Continue),
            create: Box::new(|| Ok(())),
            complete: Box::new(|_, _| ()),
            on_drop: Box::new(|| ()),
            tenure: Box::new(|| Tenure::ToTheEnd),
            created: AtomicUsize::new(0),
            dropped: Arc::default(),
            refuses_workers: false,
            attached: Mutex::default(),
        }
    }

    /// A filter that wants to see everything.
    pub fn all(name: &'static str, body: BodyInterest) -> Self {
        Self::new(name).phases(&ReceiverPhase::ALL).request_body(body).trailers().response().response_body(body)
    }

    pub fn phases(mut self, phases: &[ReceiverPhase]) -> Self {
        self.interests.phases = HookSet::phases(phases);
        self
    }

    pub fn request_body(mut self, interest: BodyInterest) -> Self {
        self.interests.request_body = interest;
        self
    }

    pub fn response(mut self) -> Self {
        self.interests.response_headers = HookSet::WANTED;
        self
    }

    pub fn response_body(mut self, interest: BodyInterest) -> Self {
        self.interests.response_body = interest;
        self
    }

    pub fn trailers(mut self) -> Self {
        self.interests.request_trailers = HookSet::WANTED;
        self.interests.response_trailers = HookSet::WANTED;
        self
    }

    pub fn hook(mut self, hook: impl Fn(At, &mut FilterCx<'_>) -> Status + Send + Sync + 'static) -> Self {
        self.hook = Box::new(hook);
        self
    }

    pub fn create(mut self, create: impl Fn() -> Result<(), FilterFault> + Send + Sync + 'static) -> Self {
        self.create = Box::new(create);
        self
    }

    pub fn complete(mut self, complete: impl Fn(&mut FilterCx<'_>, &Completion) + Send + Sync + 'static) -> Self {
        self.complete = Box::new(complete);
        self
    }

    pub fn on_drop(mut self, on_drop: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_drop = Box::new(on_drop);
        self
    }

    /// How long it may wait for the end of a tunnel, whenever that is asked.
    pub fn tenure(mut self, tenure: impl Fn() -> Tenure + Send + Sync + 'static) -> Self {
        self.tenure = Box::new(tenure);
        self
    }

    /// It is not told of the end.
    pub fn without_complete(mut self) -> Self {
        self.interests.complete = HookSet::NONE;
        self
    }

    pub fn on_fault(mut self, policy: FaultPolicy) -> Self {
        self.on_fault = policy;
        self
    }

    pub fn logging_to(mut self, log: &Log) -> Self {
        self.log = log.clone();
        self
    }

    /// Streams that have a filter of this script now.
    pub fn live(&self) -> usize {
        self.created.load(Ordering::SeqCst) - self.dropped.load(Ordering::SeqCst)
    }

    pub fn attached(&self) -> Vec<usize> {
        self.attached.lock().unwrap().clone()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// So that the filter's closures live as long as its factory.
#[derive(Debug)]
pub struct Factory(pub Arc<Script>);

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        self.0.interests
    }

    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        let script = &self.0;
        if !script.attached().contains(&worker.0) {
            script.log.push(format!("VIOLATION {} used on a worker it is not attached to", script.name));
        }
        (script.create)()?;
        script.created.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Scripted { script: script.clone(), state: State::Live }))
    }

    fn tenure(&self) -> Tenure {
        (self.0.tenure)()
    }

    fn attach_worker(&self, worker: WorkerIndex) -> Result<(), FilterFault> {
        if self.0.refuses_workers {
            return Err(FilterFault::new("no"));
        }
        self.0.attached.lock().unwrap().push(worker.0);
        Ok(())
    }

    fn detach_worker(&self, worker: WorkerIndex) {
        let mut attached = self.0.attached.lock().unwrap();
        let place = attached.iter().position(|&index| index == worker.0);
        place.map(|place| attached.swap_remove(place));
        // Only meaningful where a rig has one worker, as all but a few have.
        if place.is_none() || (attached.is_empty() && self.0.live() > 0) {
            self.0.log.push(format!("VIOLATION {} detached out of turn", self.0.name));
        }
        drop(attached);
        self.0.log.push(format!("{} detached", self.0.name));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    /// Pending; if that is never resumed it is a fault.
    Waiting,
    Faulted,
    Completed,
}

struct Scripted {
    script: Arc<Script>,
    state: State,
}

impl Scripted {
    fn run(&mut self, at: At, what: String, cx: &mut FilterCx<'_>) -> Status {
        let name = self.script.name;
        let expected = if at == At::Resume { State::Waiting } else { State::Live };
        if self.state != expected {
            self.script.log.push(format!("VIOLATION {name} called while {:?}: {what}", self.state));
        }
        self.script.log.push(format!("{name} {what}"));
        // A panic leaves this in place.
        self.state = State::Faulted;
        let status = (self.script.hook)(at, cx);
        self.state = match status {
            // The proxy makes a fault of a reply that does not go out.
            _ if cx.stream().reply.contradicts(&status).is_some() => State::Faulted,
            Status::Fault(_) => State::Faulted,
            Status::Pending => State::Waiting,
            _ => State::Live,
        };
        status
    }
}

fn show(body: Option<&BodyBuffer>, end: EndOfStream) -> String {
    let bytes = body.map(BodyBuffer::as_slice).unwrap_or_default();
    format!("{:?} {end:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(64)]))
}

impl StreamFilter for Scripted {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, end: EndOfStream) -> Status {
        self.run(At::Headers(phase), format!("{phase:?} {end:?}"), cx)
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        let what = format!("body {}", show(cx.body(BodyDirection::Request), end));
        self.run(At::Body(end), what, cx)
    }

    fn on_request_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.run(At::Trailers, "trailers".into(), cx)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        let what = format!("response {} {end:?}", cx.stream().response.status);
        self.run(At::ResponseHeaders, what, cx)
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, end: EndOfStream) -> Status {
        let what = format!("response-body {}", show(cx.body(BodyDirection::Response), end));
        self.run(At::ResponseBody(end), what, cx)
    }

    fn on_response_trailers(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.run(At::ResponseTrailers, "response-trailers".into(), cx)
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.run(At::Resume, "resume".into(), cx)
    }

    fn on_complete(&mut self, cx: &mut FilterCx<'_>, completion: &Completion) {
        let name = self.script.name;
        if !matches!(self.state, State::Live | State::Waiting) {
            self.script.log.push(format!("VIOLATION {name} completed while {:?}", self.state));
        }
        self.state = State::Completed;
        let mut flags = Vec::new();
        completion.flags.write_to(&mut flags);
        self.script.log.push(format!(
            "{name} complete {} {} {:?} {}/{}",
            completion.status,
            String::from_utf8(flags).unwrap(),
            completion.reset_by,
            completion.bytes_received,
            completion.bytes_sent,
        ));
        (self.script.complete)(cx, completion);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if self.state == State::Live && self.script.interests.complete.wanted() {
            self.script.log.push(format!("VIOLATION {} dropped without on_complete", self.script.name));
        }
        self.script.dropped.fetch_add(1, Ordering::SeqCst);
        self.script.log.push(format!("{} drop", self.script.name));
        (self.script.on_drop)();
    }
}
