//! Calls of plugins. Begun in a hook, they wake their stream while it is
//! pending; each end is told once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use sidegate_abi as abi;
use sidegate_abi::{BAD_ARGUMENT, Header, Slice, Stream};
use sidegate_api::{
    FilterCx, PluginAnswer, PluginCall, PluginFailure, PluginRefused, PluginRequest, ResumeHandle, Status,
};

use super::answer;
use super::arguments::{Out, array, bytes, field};
use super::scope::with;

/// Calls of one filter of one stream whose end was not read.
const MAX_CALLS: usize = 16;
/// Bytes of all that they ask.
const MAX_BYTES: usize = 64 << 20;

/// What one filter of one stream asks plugins.
#[derive(Default)]
pub(crate) struct Calls(Option<Box<State>>);

#[derive(Default)]
struct State {
    /// Number of the last call.
    last: u64,
    open: Vec<Open>,
    /// Lent until the hook returns.
    lent: VecDeque<Lent>,
    alarm: Arc<Alarm>,
    /// Bytes that the stream was said to hold for all this.
    counted: u64,
}

struct Open {
    id: u64,
    /// Bytes of what was asked.
    asked: usize,
    call: Box<dyn PluginCall>,
    end: Option<Result<PluginAnswer, PluginFailure>>,
}

/// An end, and the arrays that lead into it.
struct Lent {
    end: Result<PluginAnswer, PluginFailure>,
    headers: Vec<Header>,
    trailers: Vec<Header>,
}

/// Wakes the stream, if it waits now.
#[derive(Default)]
struct Alarm(Mutex<Option<ResumeHandle>>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            waiting.resume();
        }
    }
}

impl Calls {
    /// Whether plugins were asked at all.
    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Takes back what was lent, and sees to it that a filter that waits hears
    /// of each end that comes.
    #[cold]
    pub(crate) fn hook_returned(&mut self, cx: &mut FilterCx<'_>, status: &Status) {
        if matches!(status, Status::Fault(_)) {
            return self.end(cx);
        }
        let Some(state) = &mut self.0 else { return };
        state.lent.clear();
        state.wait(cx, status);
        state.count(cx);
    }

    /// Gives up what is on its way.
    #[cold]
    pub(crate) fn end(&mut self, cx: &mut FilterCx<'_>) {
        if let Some(state) = self.0.take() {
            cx.hold(state.counted, 0);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &mut FilterCx<'_>, status: &Status) {
        let state = self;
        if !matches!(status, Status::Pending) || state.open.is_empty() {
            *state.alarm.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return;
        }
        let handle = cx.resume_handle();
        // First the handle, then the look: what comes in between is in one of both.
        *state.alarm.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        let mut came = false;
        for open in state.open.iter_mut().filter(|open| open.end.is_none()) {
            open.end = open.call.take();
            came |= open.end.is_some();
        }
        if came {
            Waker::from(state.alarm.clone()).wake();
        }
        let waited = state.open.iter().filter(|open| open.end.is_none());
        if let Some(next) = waited.map(|open| open.call.deadline()).min() {
            // Somewhat later than the call itself says that its time is up.
            cx.wake_after(next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        }
    }

    /// Says what is held: questions without an answer, answers that were not
    /// read.
    fn count(&mut self, cx: &mut FilterCx<'_>) {
        let of_end = |end: &Result<PluginAnswer, PluginFailure>| end.as_ref().map_or(0, PluginAnswer::bytes);
        let now: usize = self.open.iter().map(|open| open.end.as_ref().map_or(open.asked, of_end)).sum();
        let now = now as u64;
        cx.hold(self.counted, now);
        self.counted = now;
    }

    /// Bytes of questions that have no answer yet.
    fn asked(&self) -> usize {
        self.open.iter().filter(|open| open.end.is_none()).map(|open| open.asked).sum()
    }

    fn position(&self, id: u64) -> Result<usize, u32> {
        let known = self.open.iter().position(|open| open.id == id);
        known.ok_or(if (1..=self.last).contains(&id) { abi::ALREADY } else { abi::NOT_FOUND })
    }
}

pub(super) unsafe extern "C" fn plugin_call(stream: *mut Stream, call: *const abi::PluginCall, id: *mut u64) -> u32 {
    answer(|| {
        let out = Out::required(id)?;
        if call.is_null() || !call.is_aligned() {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: not NULL and aligned; every call begins with its size.
        if unsafe { call.cast::<u64>().read() } < size_of::<abi::PluginCall>() as u64 {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: as long as this host knows it; the module lends it and what it
        // names for the call.
        let asked = unsafe { Asked::read(&*call) }?;
        with(stream, |host| {
            if host.with_cx(|cx| cx.is_ended()) {
                return Err(abi::GONE);
            }
            let caller = host.core.plugins.get(asked.plugin).ok_or(abi::NOT_FOUND)?;
            let mut calls = host.calls.borrow_mut();
            let state = calls.0.get_or_insert_default();
            if state.open.len() >= MAX_CALLS || state.asked().saturating_add(asked.bytes) > MAX_BYTES {
                return Err(abi::LIMIT);
            }
            let begun = caller.call(&asked.request(), Waker::from(state.alarm.clone()));
            let call = begun.map_err(|refused| match refused {
                PluginRefused::TooMany => abi::LIMIT,
                PluginRefused::NotRun => abi::UNSUPPORTED,
            })?;
            state.last += 1;
            state.open.push(Open { id: state.last, asked: asked.bytes, call, end: None });
            // SAFETY: the module's place, checked above.
            unsafe { out.write(state.last) };
            Ok(())
        })
    })
}

/// What a module asks, checked.
struct Asked<'a> {
    plugin: &'a str,
    kind: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
    trailers: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
    timeout: Option<Duration>,
    /// Of all of it.
    bytes: usize,
}

impl<'a> Asked<'a> {
    /// # Safety
    /// As `bytes` and `array`, for what the call names.
    unsafe fn read(call: &'a abi::PluginCall) -> Result<Self, u32> {
        // SAFETY: the caller's promise.
        unsafe {
            let mut asked = Asked {
                plugin: text(call.plugin)?,
                kind: text(call.kind)?,
                headers: fields(call.headers, call.headers_len)?,
                trailers: fields(call.trailers, call.trailers_len)?,
                body: bytes(call.body)?,
                timeout: (call.timeout_ns > 0).then(|| Duration::from_nanos(call.timeout_ns)),
                bytes: 0,
            };
            let of_fields = asked.headers.iter().chain(&asked.trailers);
            let of_fields = of_fields.fold(0_usize, |sum, (name, value)| sum.saturating_add(name.len() + value.len()));
            asked.bytes = of_fields.saturating_add(asked.kind.len()).saturating_add(asked.body.len());
            if asked.bytes > MAX_BYTES { Err(abi::LIMIT) } else { Ok(asked) }
        }
    }

    fn request(&self) -> PluginRequest<'_> {
        let Asked { kind, headers, trailers, body, timeout, .. } = self;
        PluginRequest { kind, headers, trailers, body, timeout: *timeout }
    }
}

/// # Safety
/// As [`bytes`].
unsafe fn text<'a>(slice: Slice) -> Result<&'a str, u32> {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { bytes(slice) }?).map_err(|_| abi::BAD_NAME)
}

/// # Safety
/// As [`array`], and [`field`] for each.
unsafe fn fields<'a>(first: *const Header, count: u64) -> Result<Vec<(&'a str, &'a [u8])>, u32> {
    if count > MAX_BYTES as u64 / 32 {
        return Err(abi::LIMIT);
    }
    // SAFETY: the caller's promise.
    let all = unsafe { array(first, count) }?;
    let one = |header: &Header| {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe { field(header) }?;
        Ok((std::str::from_utf8(name).map_err(|_| abi::BAD_NAME)?, value))
    };
    all.iter().map(one).collect()
}

pub(super) unsafe extern "C" fn plugin_answer(stream: *mut Stream, id: u64, place: *mut abi::PluginAnswer) -> u32 {
    answer(|| {
        if place.is_null() || !place.is_aligned() {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: not NULL and aligned; every answer begins with its size.
        if unsafe { place.cast::<u64>().read() } < size_of::<abi::PluginAnswer>() as u64 {
            return Err(BAD_ARGUMENT);
        }
        with(stream, |host| {
            let mut calls = host.calls.borrow_mut();
            let state = calls.0.as_mut().ok_or(abi::NOT_FOUND)?;
            let at = state.position(id)?;
            let open = &mut state.open[at];
            let end = open.end.take().or_else(|| open.call.take()).ok_or(abi::NOT_NOW)?;
            state.open.remove(at);
            state.lent.push_back(Lent::new(end));
            let Some(lent) = state.lent.back() else { return Err(abi::FAILED) };
            // SAFETY: the module's place, as long as this host knows it.
            unsafe { place.write(lent.raw()) };
            Ok(())
        })
    })
}

pub(super) unsafe extern "C" fn plugin_cancel(stream: *mut Stream, id: u64) -> u32 {
    answer(|| {
        with(stream, |host| {
            let mut calls = host.calls.borrow_mut();
            let state = calls.0.as_mut().ok_or(abi::NOT_FOUND)?;
            let at = state.position(id)?;
            state.open.remove(at);
            Ok(())
        })
    })
}

impl Lent {
    fn new(end: Result<PluginAnswer, PluginFailure>) -> Self {
        // Texts stay where they are when what holds them moves.
        let raw = |fields: &[(String, String)]| {
            let slice = |text: &String| Slice::from_bytes(text.as_bytes());
            fields.iter().map(|(name, value)| Header { name: slice(name), value: slice(value) }).collect()
        };
        let (headers, trailers) = match &end {
            Ok(answer) => (raw(&answer.headers), raw(&answer.trailers)),
            Err(_) => Default::default(),
        };
        Lent { end, headers, trailers }
    }

    fn raw(&self) -> abi::PluginAnswer {
        let (outcome, status, body, message) = match &self.end {
            Ok(answer) => (abi::PLUGIN_ANSWERED, answer.status, answer.body.as_slice(), ""),
            Err(failure) => (failure.kind as u32, 0, &[][..], failure.message.as_str()),
        };
        abi::PluginAnswer {
            size: size_of::<abi::PluginAnswer>() as u64,
            outcome,
            status,
            headers: self.headers.as_ptr(),
            headers_len: self.headers.len() as u64,
            trailers: self.trailers.as_ptr(),
            trailers_len: self.trailers.len() as u64,
            body: Slice::from_bytes(body),
            message: Slice::from_bytes(message.as_bytes()),
        }
    }
}
