//! What the in-memory host keeps of a module and of a stream.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sidegate_abi as abi;

use super::plugins::{Calls, Plugin};
use super::stream::TestStream;
use super::table_reply::ReplyState;
use super::Action;
use crate::{HostError, Level};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A module as its host knows it.
#[derive(Default)]
pub(super) struct ModuleState {
    logs: Mutex<Vec<(Level, String)>>,
    metrics: Mutex<Vec<MetricState>>,
    pub(super) plugins: Mutex<BTreeMap<String, Plugin>>,
}

pub(super) struct MetricState {
    pub(super) kind: u32,
    pub(super) name: Vec<u8>,
    pub(super) labels: Vec<Field>,
    pub(super) value: f64,
}

impl ModuleState {
    pub(super) fn as_raw(&'static self) -> *mut abi::Module {
        (self as *const ModuleState).cast_mut().cast()
    }

    pub(super) fn log(&self, level: Level, message: String) {
        lock(&self.logs).push((level, message));
    }

    pub(super) fn logs(&self) -> Vec<(Level, String)> {
        lock(&self.logs).clone()
    }

    pub(super) fn metrics(&self) -> MutexGuard<'_, Vec<MetricState>> {
        lock(&self.metrics)
    }

    pub(super) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Vec<Field> = labels.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        self.metrics().iter().find(|m| m.name == name.as_bytes() && m.labels == labels).map(|m| m.value)
    }
}

pub(super) type Field = (Vec<u8>, Vec<u8>);

/// What the running hook may do with a body.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Access {
    #[default]
    None,
    Read,
    Edit,
}

/// The last reply that the running hook set.
#[derive(Default)]
pub(super) enum SetReply {
    #[default]
    None,
    Taken(ReplyState),
    /// Why it was not taken.
    Refused(String),
}

/// A stream as its host knows it.
pub(super) struct StreamState {
    /// By `MAP_*`. The response's do not exist before there is one.
    pub(super) maps: [Vec<Field>; 4],
    pub(super) request_sent: bool,
    pub(super) response_there: bool,
    /// The response's head went out.
    pub(super) response_sent: bool,
    /// Nothing follows but `on_complete`.
    pub(super) ended: bool,
    pub(super) variables: BTreeMap<u32, Vec<u8>>,
    pub(super) numbers: BTreeMap<u32, u64>,
    pub(super) named: Vec<Field>,
    /// By `BODY_*` direction: what the running hook sees.
    pub(super) bodies: [Vec<u8>; 2],
    pub(super) access: [Access; 2],
    /// Directions of which the filter declared that it wants to see something.
    pub(super) declared: [bool; 2],
    /// Directions of which it wants no more.
    pub(super) waived: [bool; 2],
    /// Directions whose message can carry no trailers.
    pub(super) no_trailers: [bool; 2],
    pub(super) reply: SetReply,
    pub(super) fault: Option<String>,
    pub(super) resume: Option<Arc<ResumeSlot>>,
    /// Of plugins.
    pub(super) calls: Calls,
    pub(super) route_config: *mut c_void,
    /// Name of the running hook.
    pub(super) hook: &'static str,
    pub(super) actions: Vec<Action>,
}

impl StreamState {
    /// Keeps what the running hook asked for, and what it is answered.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String, code: u32) -> u32 {
        let result = HostError::from_code(code).map_or(Ok(()), Err);
        self.actions.push(Action { hook: self.hook, what: what(), result });
        code
    }

    pub(super) fn as_raw(&mut self) -> *mut abi::Stream {
        (self as *mut StreamState).cast()
    }

    /// Sets path and query together, so that all three variables agree.
    pub(super) fn set_target(&mut self, target: &[u8]) {
        let cut = target.iter().position(|&b| b == b'?');
        let (path, query) = match cut {
            Some(cut) => (&target[..cut], &target[cut + 1..]),
            None => (target, &target[..0]),
        };
        self.variables.insert(abi::VAR_PATH, path.to_vec());
        self.variables.insert(abi::VAR_QUERY, query.to_vec());
        self.variables.insert(abi::VAR_TARGET, target.to_vec());
    }

    pub(super) fn variable_text(&self, variable: u32) -> String {
        self.variables.get(&variable).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
    }
}

/// A stream before its first hook.
pub(super) fn open(test: &TestStream<'_>, route_config: *mut c_void) -> StreamState {
    let interests = test.host.interests;
    let mut state = StreamState {
        maps: [fields(&test.headers), fields(&test.trailers), Vec::new(), Vec::new()],
        request_sent: false,
        response_there: false,
        response_sent: false,
        ended: false,
        variables: BTreeMap::new(),
        numbers: BTreeMap::new(),
        named: Vec::new(),
        bodies: [Vec::new(), Vec::new()],
        access: [Access::None; 2],
        declared: [
            interests.request_body != abi::BODY_NONE || interests.hooks & abi::WANT_REQUEST_TRAILERS != 0,
            interests.response_body != abi::BODY_NONE || interests.hooks & abi::WANT_RESPONSE_TRAILERS != 0,
        ],
        waived: [false; 2],
        no_trailers: [false; 2],
        reply: SetReply::None,
        fault: None,
        resume: None,
        calls: Calls::new(test.host.module),
        route_config,
        hook: "",
        actions: Vec::new(),
    };
    state.named = test.named.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect();
    for (variable, value) in [
        (abi::VAR_METHOD, test.method.as_str()),
        (abi::VAR_AUTHORITY, &test.authority),
        (abi::VAR_SCHEME, "http"),
        (abi::VAR_PROTOCOL, "HTTP/1.1"),
        (abi::VAR_DOWNSTREAM_REMOTE_ADDRESS, "127.0.0.1:50000"),
        (abi::VAR_DOWNSTREAM_REMOTE_IP, "127.0.0.1"),
        (abi::VAR_DOWNSTREAM_LOCAL_ADDRESS, "127.0.0.1:2046"),
        (abi::VAR_LISTENER_NAME, "test"),
    ] {
        state.variables.insert(variable, value.as_bytes().to_vec());
    }
    state.set_target(test.target.as_bytes());
    state.variables.insert(abi::VAR_ORIGINAL_TARGET, test.target.clone().into_bytes());
    for (variable, value) in &test.variables {
        state.variables.insert(*variable, value.as_bytes().to_vec());
    }
    state
}

pub(super) fn fields(texts: &[(String, String)]) -> Vec<Field> {
    texts.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())).collect()
}

pub(super) fn texts(fields: &[Field]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// One wait of one stream; lives as long as its longest handle.
#[derive(Default)]
pub(super) struct ResumeSlot {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    wait: Wait,
    /// References that the module holds.
    handles: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Wait {
    #[default]
    Armed,
    Resumed,
    Over,
}

/// Why a wait did not end.
pub(super) enum NotResumed {
    /// No handle is left.
    NobodyCan,
    TimeIsUp,
}

impl ResumeSlot {
    pub(super) fn resume(&self) -> u32 {
        let mut state = lock(&self.state);
        match state.wait {
            Wait::Armed => {
                state.wait = Wait::Resumed;
                self.changed.notify_all();
                abi::OK
            }
            Wait::Resumed => abi::ALREADY,
            Wait::Over => abi::GONE,
        }
    }

    /// Gives a handle's reference back and tells a waiting stream.
    pub(super) fn release(self: Arc<Self>) {
        let mut state = lock(&self.state);
        state.handles -= 1;
        drop(state);
        self.changed.notify_all();
    }

    /// A reference more.
    pub(super) fn retain(&self) {
        lock(&self.state).handles += 1;
    }

    pub(super) fn close(&self) {
        lock(&self.state).wait = Wait::Over;
    }

    /// Waits for a resume and takes it.
    pub(super) fn wait(&self, at_most: Duration) -> Result<(), NotResumed> {
        let until = Instant::now() + at_most;
        let mut state = lock(&self.state);
        loop {
            if state.wait == Wait::Resumed {
                state.wait = Wait::Over;
                return Ok(());
            }
            if state.handles == 0 {
                return Err(NotResumed::NobodyCan);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotResumed::TimeIsUp);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
