//! Plugins as the in-memory host has them: functions of a test.

use std::mem::size_of;
use std::sync::Arc;

use sidegate_abi as abi;

use super::state::{lock, ModuleState, StreamState};
use super::table::{fields, stream_of};
use super::TestHost;
use crate::host::lent;
use crate::{PluginAnswer, PluginFailure, PluginFailureKind};

/// What the filter asked a plugin.
///
/// ```
/// # use sidegate_sdk::testing::PluginAsked;
/// fn is_check(asked: &PluginAsked) -> bool {
///     asked.kind == "check" && asked.header("user").is_some()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginAsked {
    /// What the call is about.
    pub kind: String,
    /// Its header.
    pub headers: Vec<(String, String)>,
    /// Its trailer.
    pub trailers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl PluginAsked {
    /// The value of the first field of its header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a plugin does.
pub(super) type Plugin = Arc<dyn Fn(&PluginAsked) -> End + Send + Sync>;

type End = Result<PluginAnswer, PluginFailure>;

/// Calls of one stream.
pub(super) struct Calls {
    module: &'static ModuleState,
    last: u64,
    /// Whether its end is there, and the end.
    open: Vec<(u64, bool, End)>,
    lent: Vec<Lent>,
}

struct Lent {
    end: End,
    headers: Vec<abi::Header>,
    trailers: Vec<abi::Header>,
}

/// As many as in the proxy.
const MAX_CALLS: usize = 16;

impl Calls {
    pub(super) fn new(module: &'static ModuleState) -> Self {
        Calls { module, last: 0, open: Vec::new(), lent: Vec::new() }
    }

    /// Lets the oldest call end; false if there is none. One at a time, so that
    /// a filter that takes each resume for its call's end fails its own test.
    pub(super) fn end_one(&mut self) -> bool {
        self.lent.clear();
        match self.open.iter_mut().find(|(_, is_there, _)| !is_there) {
            Some((_, is_there, _)) => {
                *is_there = true;
                true
            }
            None => false,
        }
    }

    fn position(&self, id: u64) -> Result<usize, u32> {
        let known = self.open.iter().position(|(open, _, _)| *open == id);
        known.ok_or(if (1..=self.last).contains(&id) { abi::ALREADY } else { abi::NOT_FOUND })
    }
}

impl ModuleState {
    /// Lets filters call these, which do nothing yet.
    pub(super) fn let_call(&self, plugins: &[&str]) {
        for name in plugins {
            let message = format!("the test gives `{name}` nothing to do");
            let down = PluginFailure { kind: PluginFailureKind::Down, message };
            lock(&self.plugins).insert((*name).to_owned(), Arc::new(move |_| Err(down.clone())));
        }
    }
}

impl TestHost {
    /// Gives the filter a plugin, which does as `plugin` says. Calls end one
    /// by one while the filter is pending.
    pub fn plugin(
        &self,
        name: &str,
        plugin: impl Fn(&PluginAsked) -> Result<PluginAnswer, PluginFailure> + Send + Sync + 'static,
    ) {
        lock(&self.module.plugins).insert(name.to_owned(), Arc::new(plugin));
    }
}

pub(super) unsafe extern "C" fn plugin_call(
    stream: *mut abi::Stream,
    call: *const abi::PluginCall,
    id: *mut u64,
) -> u32 {
    // SAFETY: in the stream's hook; the call and what it names is lent.
    let (stream, call) = unsafe { (stream_of(stream), &*call) };
    // SAFETY: as above.
    let (plugin, kind, body) = unsafe { (lent(call.plugin), lent(call.kind), lent(call.body).to_vec()) };
    // SAFETY: as above.
    let maps = unsafe { [fields(call.headers, call.headers_len), fields(call.trailers, call.trailers_len)] };
    let what = format!("call plugin {}", String::from_utf8_lossy(plugin));
    let code = match begin(stream, plugin, kind, &maps, body) {
        Ok(number) => {
            // SAFETY: the module's place.
            unsafe { *id = number };
            abi::OK
        }
        Err(code) => code,
    };
    stream.note(|| what, code)
}

fn begin(
    stream: &mut StreamState,
    plugin: &[u8],
    kind: &[u8],
    maps: &[Vec<super::state::Field>; 2],
    body: Vec<u8>,
) -> Result<u64, u32> {
    if stream.ended {
        return Err(abi::GONE);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| abi::BAD_NAME);
    let texts = |map: &[super::state::Field]| -> Result<Vec<(String, String)>, u32> {
        map.iter().map(|(name, value)| Ok((text(name)?, String::from_utf8_lossy(value).into_owned()))).collect()
    };
    let asked = PluginAsked { kind: text(kind)?, headers: texts(&maps[0])?, trailers: texts(&maps[1])?, body };
    let name = text(plugin)?;
    let plugin = lock(&stream.calls.module.plugins).get(&name).cloned().ok_or(abi::NOT_FOUND)?;
    if stream.calls.open.len() >= MAX_CALLS {
        return Err(abi::LIMIT);
    }
    let end = plugin(&asked);
    let calls = &mut stream.calls;
    calls.last += 1;
    calls.open.push((calls.last, false, end));
    Ok(calls.last)
}

pub(super) unsafe extern "C" fn plugin_answer(
    stream: *mut abi::Stream,
    id: u64,
    answer: *mut abi::PluginAnswer,
) -> u32 {
    // SAFETY: in the stream's hook.
    let calls = &mut unsafe { stream_of(stream) }.calls;
    let at = match calls.position(id) {
        Ok(at) => at,
        Err(code) => return code,
    };
    if !calls.open[at].1 {
        return abi::NOT_NOW;
    }
    let (_, _, end) = calls.open.remove(at);
    let raw = |fields: &[(String, String)]| {
        let slice = |text: &String| abi::Slice::from_bytes(text.as_bytes());
        fields.iter().map(|(name, value)| abi::Header { name: slice(name), value: slice(value) }).collect()
    };
    let (headers, trailers) = match &end {
        Ok(answer) => (raw(&answer.headers), raw(&answer.trailers)),
        Err(_) => Default::default(),
    };
    let lent = Lent { end, headers, trailers };
    let (outcome, status, body, message) = match &lent.end {
        Ok(answer) => (abi::PLUGIN_ANSWERED, answer.status, answer.body.as_slice(), ""),
        Err(failure) => (failure.kind.number(), 0, &[][..], failure.message.as_str()),
    };
    let told = abi::PluginAnswer {
        size: size_of::<abi::PluginAnswer>() as u64,
        outcome,
        status,
        headers: lent.headers.as_ptr(),
        headers_len: lent.headers.len() as u64,
        trailers: lent.trailers.as_ptr(),
        trailers_len: lent.trailers.len() as u64,
        body: abi::Slice::from_bytes(body),
        message: abi::Slice::from_bytes(message.as_bytes()),
    };
    // SAFETY: the module's place.
    unsafe { *answer = told };
    calls.lent.push(lent);
    abi::OK
}

pub(super) unsafe extern "C" fn plugin_cancel(stream: *mut abi::Stream, id: u64) -> u32 {
    // SAFETY: in the stream's hook.
    let stream = unsafe { stream_of(stream) };
    let code = match stream.calls.position(id) {
        Ok(at) => {
            drop(stream.calls.open.remove(at));
            abi::OK
        }
        Err(code) => code,
    };
    stream.note(|| format!("cancel plugin call {id}"), code)
}
