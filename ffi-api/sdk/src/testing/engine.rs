//! Sends one stream through the filter, phase by phase.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::time::{Duration, Instant};

use sidegate_abi as abi;

use super::outcome::{Call, Outcome, Request, Response, Source};
use super::state::{fields, open, texts, Access, NotResumed, SetReply, StreamState};
use super::stream::TestStream;
use super::TestHost;
use crate::Phase;

const PHASES: [u32; 3] = [abi::PHASE_BEFORE_ROUTE, abi::PHASE_AFTER_ROUTE, abi::PHASE_AFTER_CHOOSE_HOST];
const MAX_PASSES: usize = 10;
/// Resumes of one hook, as the proxy has it.
const MAX_RESUMES: u32 = 10_000;

/// Why a stream does not go on.
enum End {
    /// The filter set a reply and stopped.
    Reply,
    /// Closed without a reply.
    Closed(u32),
    /// The filter failed.
    Fault,
}

/// Where a header hook wants to go.
enum Next {
    On,
    BackTo(u32),
}

struct Engine<'h> {
    host: &'h TestHost,
    filter: *mut c_void,
    stream: *mut StreamState,
    calls: Vec<Call>,
    pending_timeout: Duration,
    leave_when_pending: bool,
    worker_state: *mut c_void,
}

pub(super) fn run(test: TestStream<'_>, route_config: *mut c_void) -> Outcome {
    let mut filter = ptr::null_mut();
    // SAFETY: the SDK's table and a living factory, on its worker's thread.
    let made = unsafe {
        (*test.host.factory_table).create_filter.map(|create| {
            create(test.host.factory, test.worker as u32, test.host.worker_states[test.worker], &mut filter)
        })
    };
    if made != Some(abi::OK) {
        let fault = test.host.logs().pop().map_or_else(|| "create_filter failed".to_owned(), |(_, line)| line);
        return Outcome { fault: Some(fault), response: Some(failed()), ..Outcome::default() };
    }
    let stream = Box::into_raw(Box::new(open(&test, route_config)));
    let mut engine = Engine {
        host: test.host,
        filter,
        stream,
        calls: Vec::new(),
        pending_timeout: test.pending_timeout,
        leave_when_pending: test.leave_when_pending,
        worker_state: test.host.worker_states[test.worker],
    };
    let mut outcome = Outcome::default();
    let ended = engine.request(&test, &mut outcome);
    engine.respond(ended, &test, &mut outcome);
    engine.finish(&mut outcome);
    outcome
}

impl Engine<'_> {
    /// The stream between hooks: nobody else holds it then.
    fn state(&mut self) -> &mut StreamState {
        // SAFETY: made by `run`, freed by `finish`; host functions use it only
        // while a hook runs, and the hook is called with no borrow alive.
        unsafe { &mut *self.stream }
    }

    fn request(&mut self, test: &TestStream<'_>, outcome: &mut Outcome) -> Result<(), End> {
        let interests = self.host.interests;
        let declared: Vec<u32> = PHASES.into_iter().filter(|phase| interests.phases & (1 << phase) != 0).collect();
        let first = declared.first().copied().unwrap_or(abi::PHASE_BEFORE_ROUTE);
        let whole = interests.request_body == abi::BODY_WHOLE;
        let no_body = test.chunks.is_empty() && test.trailers.is_empty();
        let mut body: Option<Vec<u8>> = None;
        let mut passes = 0;
        let mut index = 0;
        while index < PHASES.len() {
            let phase = PHASES[index];
            index += 1;
            if declared.contains(&phase) {
                let table = self.host.filter_table;
                // SAFETY: the SDK's table.
                let hook = unsafe { (*table).on_request_headers };
                let made = body.as_ref().is_some_and(|made| !made.is_empty());
                let status = self.call("on_request_headers", hook, phase, end_flag(no_body && !made))?;
                if let Next::BackTo(back) = self.judge(status, Some(phase))? {
                    passes += 1;
                    if passes > MAX_PASSES {
                        return Err(self.fault("more than 10 passes"));
                    }
                    index = PHASES.iter().position(|&p| p == back).unwrap_or(index);
                    continue;
                }
            }
            if whole && phase == first && body.is_none() {
                body = Some(self.request_body(&test.chunks, &test.trailers, first)?);
            }
        }
        let body = match body {
            Some(body) => body,
            None => {
                // A body is sent as it comes, behind the head.
                if !no_body {
                    self.state().request_sent = true;
                    let fixed = self.mode(abi::BODY_REQUEST) != abi::BODY_STREAM && has_length(&test.headers);
                    self.close_trailers(abi::BODY_REQUEST, abi::MAP_REQUEST_TRAILERS, fixed);
                }
                self.request_body(&test.chunks, &test.trailers, first)?
            }
        };
        let state = self.state();
        state.request_sent = true;
        outcome.upstream = Some(Request {
            method: state.variable_text(abi::VAR_METHOD),
            target: state.variable_text(abi::VAR_TARGET),
            authority: state.variable_text(abi::VAR_AUTHORITY),
            headers: texts(&state.maps[abi::MAP_REQUEST as usize]),
            trailers: texts(&state.maps[abi::MAP_REQUEST_TRAILERS as usize]),
            body,
        });
        Ok(())
    }

    fn request_body(&mut self, chunks: &[Vec<u8>], trailers: &[(String, String)], phase: u32) -> Result<Vec<u8>, End> {
        // SAFETY: the SDK's table.
        let (hook, trailers_hook) =
            unsafe { ((*self.host.filter_table).on_request_body, (*self.host.filter_table).on_request_trailers) };
        let mode = self.mode(abi::BODY_REQUEST);
        let end = trailers.is_empty();
        let body = self.body("on_request_body", hook, chunks, mode, abi::BODY_REQUEST, phase, end)?;
        if !end && self.wants_trailers(abi::BODY_REQUEST, abi::WANT_REQUEST_TRAILERS) {
            let status = self.call("on_request_trailers", trailers_hook, phase, abi::HOOK_END)?;
            self.judge(status, None)?;
        }
        Ok(body)
    }

    /// How the filter wants to see a body of this stream.
    fn mode(&mut self, direction: u32) -> u32 {
        let declared = match direction {
            abi::BODY_REQUEST => self.host.interests.request_body,
            _ => self.host.interests.response_body,
        };
        if self.state().waived[direction as usize] {
            abi::BODY_NONE
        } else {
            declared
        }
    }

    fn wants_trailers(&mut self, direction: u32, hook: u32) -> bool {
        self.host.interests.hooks & hook != 0 && !self.state().waived[direction as usize]
    }

    /// The head goes out: with a length, if there are no trailers yet and the
    /// message came so. Then there never will be.
    fn close_trailers(&mut self, direction: u32, map: u32, has_length: bool) {
        let state = self.state();
        state.no_trailers[direction as usize] |= has_length && state.maps[map as usize].is_empty();
    }

    /// Shows a body to its hook as its interest says and returns what is left.
    #[allow(clippy::too_many_arguments)]
    fn body(
        &mut self,
        name: &'static str,
        hook: Option<abi::HookFn>,
        chunks: &[Vec<u8>],
        mode: u32,
        direction: u32,
        phase: u32,
        end: bool,
    ) -> Result<Vec<u8>, End> {
        let whole = [chunks.concat()];
        // Of a message without body those are told that could make one.
        let only_watches = mode == abi::BODY_OBSERVE && end;
        let shown = match (mode, chunks.is_empty()) {
            (abi::BODY_NONE, _) => return Ok(chunks.concat()),
            (abi::BODY_WHOLE, _) => &whole[..],
            (_, true) if !only_watches => &whole[..],
            _ => chunks,
        };
        let mut out = Vec::new();
        for (index, chunk) in shown.iter().enumerate() {
            let state = self.state();
            if state.waived[direction as usize] {
                out.extend_from_slice(chunk);
                continue;
            }
            state.bodies[direction as usize] = chunk.clone();
            state.access[direction as usize] = if mode == abi::BODY_OBSERVE { Access::Read } else { Access::Edit };
            let last = index + 1 == shown.len();
            let flags = end_flag(end && last) | if last { abi::HOOK_BODY_END } else { 0 };
            let status = self.call(name, hook, phase, flags);
            let state = self.state();
            state.access[direction as usize] = Access::None;
            out.append(&mut state.bodies[direction as usize]);
            self.judge(status?, None)?;
        }
        Ok(out)
    }

    fn respond(&mut self, ended: Result<(), End>, test: &TestStream<'_>, outcome: &mut Outcome) {
        let answer = &test.response;
        let mut response = match ended {
            Ok(()) => Response {
                source: Source::Upstream,
                status: answer.status,
                headers: answer.headers.clone(),
                body: answer.chunks.concat(),
                trailers: answer.trailers.clone(),
            },
            Err(End::Reply) => self.take_reply(),
            Err(other) => return self.cut_short(other, outcome),
        };
        match self.response_hooks(&mut response, test) {
            Ok(()) => {}
            Err(End::Reply) => response = self.take_reply(),
            Err(other) => return self.cut_short(other, outcome),
        }
        self.complete(response.status, abi::RESET_NOBODY, test, response.body.len());
        outcome.response = Some(response);
    }

    fn response_hooks(&mut self, response: &mut Response, test: &TestStream<'_>) -> Result<(), End> {
        let answer = &test.response;
        let interests = self.host.interests;
        // SAFETY: the SDK's table.
        let table = unsafe { &*self.host.filter_table };
        let (headers, trailers) = (fields(&response.headers), fields(&response.trailers));
        let status = response.status;
        let state = self.state();
        state.response_there = true;
        state.no_trailers[abi::BODY_RESPONSE as usize] = bodiless(&test.method, status);
        state.numbers.insert(abi::VAR_STATUS, status.into());
        state.maps[abi::MAP_RESPONSE as usize] = headers;
        state.maps[abi::MAP_RESPONSE_TRAILERS as usize] = trailers;
        let send = abi::PHASE_SEND;
        let no_trailers = response.trailers.is_empty();
        if interests.hooks & abi::WANT_RESPONSE_HEADERS != 0 {
            let no_body = response.body.is_empty() && no_trailers || bodiless(&test.method, status);
            let status = self.call("on_response_headers", table.on_response_headers, send, end_flag(no_body))?;
            self.judge(status, None)?;
        }
        let state = self.state();
        response.status = state.numbers.get(&abi::VAR_STATUS).map_or(status, |&status| status as u16);
        response.headers = texts(&state.maps[abi::MAP_RESPONSE as usize]);
        let own = [response.body.clone()];
        let chunks = match response.source {
            Source::Upstream => &answer.chunks[..],
            _ if own[0].is_empty() => &[],
            _ => &own[..],
        };
        let (hook, mode) = (table.on_response_body, self.mode(abi::BODY_RESPONSE));
        if bodiless(&test.method, response.status) {
            response.body.clear();
            response.trailers.clear();
            return Ok(());
        }
        // The proxy has sent the head by the time of a streamed chunk.
        let held = mode == abi::BODY_WHOLE || (chunks.is_empty() && no_trailers);
        if response.source == Source::Upstream && !held {
            self.state().response_sent = true;
            let fixed = mode != abi::BODY_STREAM && has_length(&answer.headers);
            self.close_trailers(abi::BODY_RESPONSE, abi::MAP_RESPONSE_TRAILERS, fixed);
        }
        response.body = self.body("on_response_body", hook, chunks, mode, abi::BODY_RESPONSE, send, no_trailers)?;
        if !no_trailers && self.wants_trailers(abi::BODY_RESPONSE, abi::WANT_RESPONSE_TRAILERS) {
            let status = self.call("on_response_trailers", table.on_response_trailers, send, abi::HOOK_END)?;
            self.judge(status, None)?;
        }
        response.trailers = texts(&self.state().maps[abi::MAP_RESPONSE_TRAILERS as usize]);
        Ok(())
    }

    fn take_reply(&mut self) -> Response {
        let SetReply::Taken(reply) = std::mem::take(&mut self.state().reply) else { return failed() };
        Response {
            source: Source::Filter,
            status: reply.status,
            headers: texts(&reply.headers),
            body: reply.body,
            trailers: Vec::new(),
        }
    }

    fn cut_short(&mut self, end: End, outcome: &mut Outcome) {
        match end {
            End::Fault => {
                outcome.fault = Some(self.state().fault.take().unwrap_or_else(|| "no reason given".to_owned()));
                // A response that was begun is cut.
                outcome.response = (!self.state().response_sent).then(failed);
            }
            End::Closed(by) => self.finish_hooks(0, by, 0, 0),
            End::Reply => {}
        }
    }

    fn complete(&mut self, status: u16, reset_by: u32, test: &TestStream<'_>, sent: usize) {
        let received = test.chunks.iter().map(Vec::len).sum::<usize>();
        self.finish_hooks(status, reset_by, received as u64, sent as u64);
    }

    fn finish_hooks(&mut self, status: u16, reset_by: u32, bytes_received: u64, bytes_sent: u64) {
        if let Some(slot) = self.state().resume.take() {
            slot.close();
        }
        if self.host.interests.hooks & abi::WANT_COMPLETE == 0 {
            return;
        }
        let completion = abi::Completion {
            size: size_of::<abi::Completion>() as u64,
            status: status.into(),
            flags: 0,
            reset_by,
            unused: 0,
            bytes_received,
            bytes_sent,
            duration_ns: 1_000_000,
            upstream_duration_ns: abi::NO_DURATION,
        };
        let hook = self.hook(abi::PHASE_SEND, abi::HOOK_END);
        let state = self.state();
        state.hook = "on_complete";
        state.ended = true;
        self.calls.push(Call { hook: "on_complete", phase: Phase::Send, status: None });
        // SAFETY: the SDK's table and a living filter.
        unsafe {
            if let Some(on_complete) = (*self.host.filter_table).on_complete {
                on_complete(self.filter, &hook, &completion);
            }
        }
    }

    fn finish(mut self, outcome: &mut Outcome) {
        if let Some(slot) = self.state().resume.take() {
            slot.close();
        }
        self.calls.push(Call { hook: "destroy", phase: Phase::Send, status: None });
        // SAFETY: the filter is destroyed here and nowhere else; the stream was
        // boxed by `run`.
        let stream = unsafe {
            if let Some(destroy) = (*self.host.filter_table).destroy {
                destroy(self.filter);
            }
            Box::from_raw(self.stream)
        };
        let text = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
        outcome.calls = self.calls;
        outcome.actions = stream.actions;
        outcome.named = stream.named.into_iter().map(|(name, value)| (text(name), value)).collect();
    }

    fn hook(&mut self, phase: u32, flags: u32) -> abi::Hook {
        abi::Hook {
            size: size_of::<abi::Hook>() as u64,
            stream: self.state().as_raw(),
            worker_state: self.worker_state,
            phase,
            flags,
        }
    }

    /// Calls a hook, and `on_resume` as long as it is pending.
    fn call(&mut self, name: &'static str, hook: Option<abi::HookFn>, phase: u32, flags: u32) -> Result<u32, End> {
        let mut status = self.call_once(name, hook, phase, flags);
        let first = Instant::now();
        let mut resumes = 0;
        while status == abi::STATUS_PENDING {
            if !self.leave_when_pending && resumes < MAX_RESUMES && self.state().calls.end_one() {
                resumes += 1;
                // SAFETY: the SDK's table.
                let on_resume = unsafe { (*self.host.filter_table).on_resume };
                status = self.call_once("on_resume", on_resume, phase, flags);
                continue;
            }
            if self.leave_when_pending && self.state().resume.is_none() && self.state().calls.end_one() {
                return Err(End::Closed(abi::RESET_DOWNSTREAM));
            }
            let Some(slot) = self.state().resume.take() else {
                return Err(self.fault("pending without a resume handle"));
            };
            if self.leave_when_pending {
                slot.close();
                return Err(End::Closed(abi::RESET_DOWNSTREAM));
            }
            if resumes == MAX_RESUMES {
                slot.close();
                return Err(self.fault(&format!("still pending after {MAX_RESUMES} resumes")));
            }
            let left = self.pending_timeout.saturating_sub(first.elapsed());
            if let Err(reason) = slot.wait(left) {
                slot.close();
                let reason = match reason {
                    NotResumed::TimeIsUp => format!("pending for longer than {:?}", self.pending_timeout),
                    NotResumed::NobodyCan => "pending, but no resume handle is left".to_owned(),
                };
                return Err(self.fault(&reason));
            }
            resumes += 1;
            // SAFETY: the SDK's table.
            let on_resume = unsafe { (*self.host.filter_table).on_resume };
            status = self.call_once("on_resume", on_resume, phase, flags);
        }
        if let Some(slot) = self.state().resume.take() {
            slot.close();
        }
        Ok(status)
    }

    fn call_once(&mut self, name: &'static str, hook: Option<abi::HookFn>, phase: u32, flags: u32) -> u32 {
        let what = self.hook(phase, flags);
        let state = self.state();
        state.hook = name;
        state.reply = SetReply::None;
        // SAFETY: the SDK's table and a living filter; hooks never nest.
        let status = hook.map_or(abi::STATUS_CONTINUE, |hook| unsafe { hook(self.filter, &what) });
        self.calls.push(Call { hook: name, phase: Phase::from_number(phase), status: Some(status) });
        let state = self.state();
        match state.contradiction(status) {
            Some(fault) => {
                state.fault = Some(fault);
                abi::STATUS_FAULT
            }
            None => status,
        }
    }

    /// What a status means; `headers` is the phase of a request header hook.
    fn judge(&mut self, status: u32, headers: Option<u32>) -> Result<Next, End> {
        match (status, headers) {
            (abi::STATUS_CONTINUE, _) => Ok(Next::On),
            (abi::STATUS_STOP, _) if matches!(self.state().reply, SetReply::Taken(_)) => Err(End::Reply),
            (abi::STATUS_STOP, _) => Ok(Next::On),
            (abi::STATUS_TERMINATE, _) => Err(End::Closed(abi::RESET_FILTER)),
            (abi::STATUS_REMATCH_ROUTE, Some(phase)) if phase >= abi::PHASE_AFTER_ROUTE => {
                Ok(Next::BackTo(abi::PHASE_AFTER_ROUTE))
            }
            (abi::STATUS_RECHOOSE_HOST, Some(abi::PHASE_AFTER_CHOOSE_HOST)) => {
                Ok(Next::BackTo(abi::PHASE_AFTER_CHOOSE_HOST))
            }
            (abi::STATUS_FAULT, _) => Err(End::Fault),
            (other, _) => Err(self.fault(&format!("status {other} is not possible here"))),
        }
    }

    fn fault(&mut self, reason: &str) -> End {
        self.state().fault.get_or_insert_with(|| reason.to_owned());
        End::Fault
    }
}

/// Whether such a response has no content (RFC 9110 section 6.4.1).
fn bodiless(method: &str, status: u16) -> bool {
    method == "HEAD" || matches!(status, 204 | 205 | 304)
}

fn has_length(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, _)| name == "content-length")
}

fn failed() -> Response {
    Response { source: Source::Fault, status: 500, ..Response::default() }
}

fn end_flag(end: bool) -> u32 {
    if end {
        abi::HOOK_END
    } else {
        0
    }
}
