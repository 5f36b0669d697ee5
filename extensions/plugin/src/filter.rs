//! The stream filter: asks the plugin, parks its stream, and does what the
//! answer says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sidegate_api::{
    BodyDirection, BodyInterest, EndOfStream, FilterCx, FilterFault, HookSet, Interests, LocalReply, Method,
    ReceiverPhase, Status, StreamFilter, StreamFilterFactory, WorkerIndex,
};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use crate::call::{Answer, Call, Failure};
use crate::fields::{self, Parts};
use crate::own::Own;
use crate::plugin::Plugin;
use crate::settings::{OnError, UseSettings};

/// A call that has no end by then is given up by the stream itself.
const GRACE: Duration = Duration::from_millis(500);
/// The status by which a plugin refuses.
const DENIED: i32 = -1;
/// Time between lines about calls that failed.
const TELL_EACH: Duration = Duration::from_secs(1);

/// A place in a filter chain, and the plugin that is asked there.
pub(crate) struct Use {
    pub(crate) settings: UseSettings,
    /// `None` where nothing is to be run.
    pub(crate) plugin: Option<Arc<Plugin>>,
    /// Of each worker.
    owns: Box<[Arc<Own>]>,
    in_flight: AtomicUsize,
    told: Told,
}

/// What was said of failures in the log.
struct Told {
    since: Instant,
    /// Milliseconds from `since` to the last line; 0: none yet.
    last: AtomicU64,
    unsaid: AtomicU64,
}

/// Makes the filters.
#[derive(Debug)]
pub(crate) struct Factory(pub(crate) Arc<Use>);

pub(crate) struct Filter {
    usage: Arc<Use>,
    worker: WorkerIndex,
    /// The request was shown to the plugin, or need not be.
    asked: bool,
    /// The response is our own refusal.
    refused: bool,
    waiting: Option<Waiting>,
}

struct Waiting {
    answer: oneshot::Receiver<Answer>,
    direction: BodyDirection,
    parts: Parts,
    _place: Place,
}

/// A place among the calls in flight.
pub(crate) struct Place(Arc<Use>);

impl Use {
    pub(crate) fn new(settings: UseSettings, plugin: Option<Arc<Plugin>>, workers: usize) -> Arc<Self> {
        let told = Told { since: Instant::now(), last: AtomicU64::new(0), unsaid: AtomicU64::new(0) };
        let owns = (0..workers).map(|_| Arc::default()).collect();
        Arc::new(Use { settings, plugin, owns, in_flight: AtomicUsize::new(0), told })
    }

    pub(crate) fn place(self: &Arc<Self>) -> Result<Place, Failure> {
        let most = self.settings.max_in_flight;
        let taken =
            self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1));
        taken.map(|_| Place(self.clone())).map_err(|_| Failure::TooMany(most))
    }

    /// Tells of a failure, with others that came soon before it.
    #[cold]
    pub(crate) fn tell(&self, failure: &Failure) {
        let plugin = self.plugin.as_ref().map_or("", |plugin| plugin.shared.name());
        let now = (self.told.since.elapsed().as_millis() as u64).max(1);
        let last = self.told.last.load(Ordering::Relaxed);
        let is_time = last == 0 || now.saturating_sub(last) >= TELL_EACH.as_millis() as u64;
        if is_time && self.told.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let others = self.told.unsaid.swap(0, Ordering::Relaxed);
            let on_error = match self.settings.on_error {
                OnError::Deny => "deny",
                OnError::Allow => "allow",
            };
            tracing::warn!(plugin, on_error, others, "call of a plugin failed: {failure}");
        } else {
            self.told.unsaid.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Use").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UseSettings {
    /// What is to be seen for MOSN's call.
    pub(crate) fn interests(&self) -> Interests {
        let settings = self;
        let (request, response) = (settings.request, settings.response);
        let body = |wanted| if wanted && settings.send_body { BodyInterest::Whole } else { BodyInterest::None };
        let phases: &[ReceiverPhase] = match (request, settings.send_body) {
            (false, _) => &[],
            (true, false) => &[ReceiverPhase::BeforeRoute],
            // The bytes of a tunnel are no body, and no body hook runs there.
            (true, true) => &[ReceiverPhase::BeforeRoute, ReceiverPhase::AfterRoute],
        };
        Interests {
            phases: HookSet::phases(phases),
            request_body: body(request),
            response_headers: response.into(),
            response_body: body(response),
            ..Interests::default()
        }
    }
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        self.0.settings.interests()
    }

    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter::new(self.0.clone(), worker)))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, _end: EndOfStream) -> Status {
        let in_body_hook = self.usage.settings.send_body && phase == ReceiverPhase::BeforeRoute;
        if self.asked || in_body_hook {
            return Status::Continue;
        }
        self.asked = true;
        self.ask(cx, BodyDirection::Request, Parts::Head)
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        if self.asked {
            return Status::Continue;
        }
        self.asked = true;
        self.ask(cx, BodyDirection::Request, Parts::Whole)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        if self.refused || (self.usage.settings.send_body && may_have_body(cx)) {
            return Status::Continue;
        }
        self.ask(cx, BodyDirection::Response, Parts::Head)
    }

    fn on_response_body(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        if self.refused {
            return Status::Continue;
        }
        self.ask(cx, BodyDirection::Response, Parts::Whole)
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        let Some(mut waiting) = self.waiting.take() else { return Status::Continue };
        let failure = match waiting.answer.try_recv() {
            Ok(Ok(response)) if response.status == DENIED => return self.refuse(cx, 403, "plugin_denied"),
            Ok(Ok(response)) => match fields::apply(cx, waiting.direction, waiting.parts, &response) {
                Ok(()) => return Status::Continue,
                Err(why) => self.count(Failure::BadAnswer(why)),
            },
            // Counted where it was made.
            Ok(Err(failure)) => failure,
            Err(TryRecvError::Empty) => self.count(Failure::Timeout(self.usage.settings.timeout)),
            Err(TryRecvError::Closed) => self.count(Failure::Down("it was stopped".into())),
        };
        self.failed(cx, &failure)
    }
}

impl Filter {
    pub(crate) fn new(usage: Arc<Use>, worker: WorkerIndex) -> Self {
        Filter { usage, worker, asked: false, refused: false, waiting: None }
    }

    fn ask(&mut self, cx: &mut FilterCx<'_>, direction: BodyDirection, parts: Parts) -> Status {
        let usage = self.usage.clone();
        let Some(plugin) = &usage.plugin else {
            return self.failed(cx, &Failure::Down("nothing is run here".into()));
        };
        let place = match usage.place() {
            Ok(place) => place,
            Err(failure) => {
                let failure = self.count(failure);
                return self.failed(cx, &failure);
            }
        };
        let request = fields::write(cx, direction, parts, &usage.settings);
        let (tell, answer) = oneshot::channel();
        let timeout = usage.settings.timeout;
        let resume = cx.resume_handle();
        cx.wake_after(timeout.saturating_add(GRACE));
        let call = Call {
            plugin: plugin.shared.clone(),
            request,
            begun: Instant::now(),
            timeout,
            answer: tell,
            resume,
            own: usage.owns.get(self.worker.0).cloned(),
        };
        // On this worker: nobody else has to wake for it.
        tokio::spawn(call.run());
        self.waiting = Some(Waiting { answer, direction, parts, _place: place });
        Status::Pending
    }

    fn count(&self, failure: Failure) -> Failure {
        if let Some(plugin) = &self.usage.plugin {
            plugin.shared.metrics.failed(&failure);
        }
        failure
    }

    #[cold]
    fn failed(&mut self, cx: &mut FilterCx<'_>, failure: &Failure) -> Status {
        self.usage.tell(failure);
        match self.usage.settings.on_error {
            OnError::Deny => self.refuse(cx, 500, "plugin_failed"),
            OnError::Allow => Status::Continue,
        }
    }

    fn refuse(&mut self, cx: &mut FilterCx<'_>, status: u16, details: &'static str) -> Status {
        self.refused = true;
        match cx.reply(LocalReply::new(status, details)) {
            Ok(()) => Status::Stop,
            // The response is on its way: all that is left is to end it.
            Err(_) => Status::Terminate,
        }
    }
}

/// Whether the body hook will run: it does for every response of a kind that
/// has content.
fn may_have_body(cx: &FilterCx<'_>) -> bool {
    let stream = cx.stream();
    !matches!(stream.request.method, Method::Head | Method::Connect)
        && !matches!(stream.response.status, 101 | 204 | 205 | 304)
}
