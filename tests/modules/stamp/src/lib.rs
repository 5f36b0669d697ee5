//! Marks each stream with the number of its generation: a test writes the
//! number over the zeros of [`MARK`] in a copy of the file, so that each copy
//! is other bytes with another answer.
//!
//! The request gets the mark as `x-stamp`, the response as `x-stamp` too, and
//! bodies of both directions pass through hooks. With `x-wait` in the request
//! a thread of the module resumes it.

#![forbid(unsafe_code)]

use std::hint::black_box;

use sidegate_sdk::prelude::*;

/// What stands before the number in the file.
const LABEL: usize = b"sidegate-stamp:".len();

/// The bytes that a test looks for.
static MARK: [u8; 23] = *b"sidegate-stamp:00000000";

/// The number, read from memory: the compiler must not know it.
fn mark() -> &'static [u8] {
    &black_box(&MARK)[LABEL..]
}

struct Stamp {
    thread: Background<ResumeHandle>,
}

struct StampFilter<'f> {
    factory: &'f Stamp,
    bytes: u64,
}

impl FilterFactory for Stamp {
    type Config = NoConfig;
    type Filter<'f> = StampFilter<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        // What the answer is does not matter: the stream may have gone.
        let thread = Background::start("stamp", 10_000, |handle: ResumeHandle| {
            let _ = handle.resume();
        })?;
        Ok(Stamp { thread })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> StampFilter<'f> {
        StampFilter { factory: self, bytes: 0 }
    }
}

impl Filter for StampFilter<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::AfterRoute)
        .request_body(BodyMode::Stream)
        .response_headers()
        .response_body(BodyMode::Stream);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        cx.headers_mut().set("x-stamp", mark())?;
        if !cx.headers().contains("x-wait") {
            return Ok(Status::Continue);
        }
        let handle = cx.resume_handle()?;
        self.factory.thread.submit(handle).map_err(|_| Fault::new("the queue is full"))?;
        Ok(Status::Pending)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        self.bytes += cx.body().len();
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        cx.headers_mut().set("x-stamp", mark())?;
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        self.bytes += cx.body().len();
        Ok(Status::Continue)
    }
}

sidegate_sdk::export! {
    "stamp" => Stamp,
}
