//! A stream in a hook's hands: what every hook can see and do.

mod facts;

use std::marker::PhantomData;
use std::ptr;

use sidegate_abi as abi;

use crate::body::Direction;
use crate::headers::Map;
use crate::host::{check, host_fn, Host};
use crate::objects::{RouteObject, WorkerObject};
use crate::{Body, BodyMut, Headers, HeadersMut, HookResult, HostError, Logger, Phase, Reply, ResumeHandle, Status};

/// One request and its response, for the time of one hook. The contexts of the
/// hooks ([`RequestHeaders`](crate::RequestHeaders) and so on) are this and a
/// little more.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Versions {}
/// # impl RequestFilter for Versions {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let (Some("GET"), Some(path)) = (cx.method(), cx.path()) else {
///         return cx.reply(Reply::new(405));
///     };
///     if let Some(rest) = path.strip_prefix("/v1/") {
///         let path = format!("/v2/{rest}");
///         cx.set_variable(Variable::Path, path)?;
///         cx.set_named("version", "1")?;
///     }
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Versions>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/v1/items?x=1", &[]).run();
/// assert_eq!(outcome.upstream.as_ref().unwrap().target, "/v2/items?x=1");
/// assert_eq!(outcome.named("version"), Some("1"));
/// ```
///
/// What it lends (header values, variables, body slices) is borrowed from it:
/// it cannot be kept beyond the hook nor across a change.
///
/// ```compile_fail,E0502
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) -> HookResult {
///     let user = cx.headers().get("user");
///     cx.headers_mut().remove("user")?;
///     assert!(user.is_some()); // may be gone by now
///     Ok(Status::Continue)
/// }
/// ```
/// ```compile_fail,E0521
/// # use sidegate_sdk::prelude::*;
/// # use std::cell::Cell;
/// thread_local!(static KEPT: Cell<Option<&'static [u8]>> = Cell::new(None));
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     KEPT.with(|kept| kept.set(cx.headers().get("user")));
/// }
/// ```
/// ```compile_fail,E0277
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     std::thread::scope(|scope| scope.spawn(|| cx.is_end()).join()).ok();
/// }
/// ```
pub struct Stream<'a> {
    pub(crate) host: Host,
    raw: *mut abi::Stream,
    worker_state: *mut WorkerObject,
    phase: u32,
    flags: u32,
    /// The raw pointers above also keep it on the worker's thread.
    _hook: PhantomData<&'a ()>,
}

impl<'a> Stream<'a> {
    /// # Safety
    /// `hook` is the host's, valid for `'a`, and its worker state came from
    /// this SDK's `worker_attach`.
    pub(crate) unsafe fn new(host: Host, hook: *const abi::Hook) -> Self {
        // SAFETY: every field of ABI 1.0 is within every host's hook.
        let (raw, worker_state, phase, flags) =
            unsafe { ((*hook).stream, (*hook).worker_state, (*hook).phase, (*hook).flags) };
        Stream { host, raw, worker_state: worker_state.cast(), phase, flags, _hook: PhantomData }
    }

    pub(crate) fn raw(&self) -> *mut abi::Stream {
        self.raw
    }

    /// Which phase this hook runs in.
    pub fn phase(&self) -> Phase {
        Phase::from_number(self.phase)
    }

    /// Whether nothing follows in this direction: no body, no trailers. A body
    /// hook that may change the body is called all the same, once and with
    /// nothing.
    pub fn is_end(&self) -> bool {
        self.flags & abi::HOOK_END != 0
    }

    /// In body hooks: whether the body ends with these bytes. Unlike
    /// [`is_end`](Stream::is_end) it is so in front of trailers too: what a
    /// filter held back has to go now.
    pub fn is_body_end(&self) -> bool {
        self.flags & abi::HOOK_BODY_END != 0
    }

    /// The request's header fields.
    pub fn request(&self) -> Headers<'_> {
        self.map(Map::Request)
    }

    /// The request's header fields, to change; until the request is sent.
    pub fn request_mut(&mut self) -> HeadersMut<'_> {
        self.map_mut(Map::Request)
    }

    /// The response's header fields.
    pub fn response(&self) -> Headers<'_> {
        self.map(Map::Response)
    }

    /// The response's header fields, to change; once there is a response.
    pub fn response_mut(&mut self) -> HeadersMut<'_> {
        self.map_mut(Map::Response)
    }

    /// The request's trailers, as far as they have come.
    pub fn request_trailers(&self) -> Headers<'_> {
        self.map(Map::RequestTrailers)
    }

    /// The request's trailers, to change or to add where there were none; in
    /// hooks of the request, while the message can carry them: until its head
    /// is sent it can, and then if it is sent in chunks.
    /// [`HostError::NotNow`] otherwise.
    pub fn request_trailers_mut(&mut self) -> HeadersMut<'_> {
        self.map_mut(Map::RequestTrailers)
    }

    /// The response's trailers, as far as they have come.
    pub fn response_trailers(&self) -> Headers<'_> {
        self.map(Map::ResponseTrailers)
    }

    /// The response's trailers, to change or to add where there were none; in
    /// hooks of the response, as those of the request. A client of HTTP/1.0
    /// and a response without body (`HEAD`, 204, 205,
    /// 304) have none.
    pub fn response_trailers_mut(&mut self) -> HeadersMut<'_> {
        self.map_mut(Map::ResponseTrailers)
    }

    pub(crate) fn map(&self, map: Map) -> Headers<'_> {
        // SAFETY: borrowed from the hook's stream, which nobody else changes
        // while the hook runs.
        unsafe { Headers::new(self.host, self.raw, map) }
    }

    pub(crate) fn map_mut(&mut self, map: Map) -> HeadersMut<'_> {
        // SAFETY: as `map`, and exclusively borrowed.
        unsafe { HeadersMut::new(self.host, self.raw, map) }
    }

    pub(crate) fn body_of(&self, direction: Direction) -> Body<'_> {
        // SAFETY: as `map`.
        unsafe { Body::new(self.host, self.raw, direction) }
    }

    pub(crate) fn body_of_mut(&mut self, direction: Direction) -> BodyMut<'_> {
        // SAFETY: as `map_mut`.
        unsafe { BodyMut::new(self.host, self.raw, direction) }
    }

    /// Sets the reply and stops: `return cx.reply(Reply::text(403, "no\n"))`.
    /// A fault if the host does not take it.
    pub fn reply(&mut self, reply: Reply<'_>) -> HookResult {
        self.set_reply(reply)?;
        Ok(Status::Stop)
    }

    /// Sets the reply that goes out when this hook returns [`Status::Stop`].
    /// The last call in a hook decides: if the host did not take it, or if the
    /// hook then answers anything but `Stop` or [`Status::Terminate`] (an error
    /// or a panic too), the stream gets 500 whatever `on_fault` says. So a
    /// guard that wanted to refuse never lets anything pass by mistake.
    pub fn set_reply(&mut self, reply: Reply<'_>) -> Result<(), HostError> {
        let send = host_fn!(self.host, reply)?;
        // SAFETY: in the stream's hook; the reply is lent for the call.
        reply.with_raw(|raw| check(unsafe { send(self.raw, raw) }))
    }

    /// Wants no more of this stream's request body and trailers. Said in
    /// `on_request_headers`, it is as if the body had not been declared: it
    /// passes by, with its length. [`HostError::NotNow`] if none was declared,
    /// [`HostError::Unsupported`] from a host of ABI 1.0, which goes on calling
    /// the body's hook.
    pub fn waive_request_body(&mut self) -> Result<(), HostError> {
        self.waive_body(abi::BODY_REQUEST)
    }

    /// The same for the response. An injector leaves alone what it cannot
    /// change:
    ///
    /// ```
    /// # use sidegate_sdk::{prelude::*, testing::TestHost};
    /// # struct Inject;
    /// # struct InjectFilter;
    /// # impl FilterFactory for Inject {
    /// #   type Config = NoConfig;
    /// #   type Filter<'f> = InjectFilter;
    /// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Inject) }
    /// #   fn filter(&self, _: &FilterEnv<'_>) -> InjectFilter { InjectFilter }
    /// # }
    /// impl Filter for InjectFilter {
    ///     const HOOKS: Hooks = Hooks::new().response_headers().response_body(BodyMode::Stream);
    ///
    ///     fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
    ///         let html = cx.headers().get("content-type").is_some_and(|kind| kind.starts_with(b"text/html"));
    ///         if !html {
    ///             // An older proxy shows the body all the same.
    ///             let _ = cx.waive_response_body();
    ///         }
    ///         Ok(Status::Continue)
    ///     }
    /// }
    /// # let host = TestHost::new::<Inject>(serde_json::json!({})).unwrap();
    /// let outcome = host.request("GET", "/", &[]).respond(200, &[("content-type", "image/png")]).respond_body("png").run();
    /// assert_eq!(outcome.hooks(), ["on_response_headers", "destroy"]);
    /// ```
    pub fn waive_response_body(&mut self) -> Result<(), HostError> {
        self.waive_body(abi::BODY_RESPONSE)
    }

    fn waive_body(&mut self, direction: u32) -> Result<(), HostError> {
        let waive = host_fn!(self.host, body_waive)?;
        // SAFETY: in the stream's hook.
        check(unsafe { waive(self.raw, direction) })
    }

    /// A handle that ends the wait after this hook returned
    /// [`Status::Pending`]. Calls in one hook give handles of the same wait.
    pub fn resume_handle(&mut self) -> Result<ResumeHandle, HostError> {
        let get = host_fn!(self.host, resume_handle)?;
        let mut raw = ptr::null_mut();
        // SAFETY: in the stream's hook.
        check(unsafe { get(self.raw, &mut raw) })?;
        // SAFETY: the host just gave us one reference.
        Ok(unsafe { ResumeHandle::from_raw(self.host, raw) })
    }

    /// What [`FilterFactory::route_config`](crate::FilterFactory::route_config)
    /// made for the matched route or virtual host, if it is a `T`.
    pub fn route_config<T: 'static>(&self) -> Option<&'a T> {
        let get = host_fn!(self.host, route_config).ok()?;
        // SAFETY: in the stream's hook.
        let object = unsafe { get(self.raw) }.cast::<RouteObject>();
        // SAFETY: NULL or what this factory's `create_route_config` made, which
        // lives until the hook returns; never changed once made.
        unsafe { object.as_ref() }?.get()
    }

    /// What [`FilterFactory::worker_state`](crate::FilterFactory::worker_state)
    /// made for this worker, if it is a `T`.
    pub fn worker_state<T: 'static>(&self) -> Option<&'a T> {
        // SAFETY: NULL or what this factory's `worker_attach` made, on this
        // thread; freed after the last filter of the worker.
        unsafe { self.worker_state.as_ref() }?.get()
    }

    /// The host's log and clocks.
    pub fn logger(&self) -> Logger {
        Logger(self.host)
    }

    pub(crate) fn report_fault(host: Host, raw: *mut abi::Stream, message: &str) {
        if let Ok(fault) = host_fn!(host, fault) {
            // SAFETY: in the stream's hook; the message is lent for the call.
            let _ = unsafe { fault(raw, abi::Slice::from_bytes(message.as_bytes())) };
        }
    }
}
