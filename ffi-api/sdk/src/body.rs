//! Body bytes in a hook's hands.

use std::marker::PhantomData;

use sidegate_abi as abi;

use crate::host::{check, host_fn, lent, Host};
use crate::HostError;

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(crate) enum Direction {
    Request = abi::BODY_REQUEST,
    Response = abi::BODY_RESPONSE,
}

/// The body bytes this hook may see: one chunk, or all of it.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Lines;
/// # struct LinesFilter { lines: usize }
/// # impl FilterFactory for Lines {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = LinesFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Lines) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> LinesFilter { LinesFilter { lines: 0 } }
/// # }
/// impl Filter for LinesFilter {
///     const HOOKS: Hooks = Hooks::new().request_body(BodyMode::Observe);
///
///     fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
///         for slice in cx.body().slices()? {
///             self.lines += slice.iter().filter(|&&byte| byte == b'\n').count();
///         }
///         if cx.is_end() {
///             sidegate_sdk::info!(cx, "{} lines", self.lines);
///         }
///         Ok(Status::Continue)
///     }
/// }
/// # fn main() {
/// # let host = TestHost::new::<Lines>(serde_json::json!({})).unwrap();
/// host.request("POST", "/", &[]).body("a\nb").body("\nc\n").run();
/// assert_eq!(host.logs(), [(Level::Info, "3 lines".to_owned())]);
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Body<'s> {
    host: Host,
    stream: *mut abi::Stream,
    direction: Direction,
    _borrows_stream: PhantomData<&'s ()>,
}

impl<'s> Body<'s> {
    /// # Safety
    /// `stream` is the stream of the running hook for all of `'s`, and the
    /// body is not changed meanwhile.
    pub(crate) unsafe fn new(host: Host, stream: *mut abi::Stream, direction: Direction) -> Self {
        Body { host, stream, direction, _borrows_stream: PhantomData }
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        let mut len = 0;
        match host_fn!(self.host, body_len) {
            // SAFETY: in the stream's hook.
            Ok(body_len) if unsafe { body_len(self.stream, self.direction as u32, &mut len) } == abi::OK => len,
            _ => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in order, without copying.
    pub fn slices(&self) -> Result<Vec<&'s [u8]>, HostError> {
        let read = host_fn!(self.host, body_read)?;
        let mut count = 0;
        let mut slices = vec![abi::Slice::EMPTY; 4];
        loop {
            let (out, capacity) = (slices.as_mut_ptr(), slices.len() as u64);
            // SAFETY: in the stream's hook; room for as many as we say.
            check(unsafe { read(self.stream, self.direction as u32, out, capacity, &mut count) })?;
            if count <= capacity {
                break;
            }
            slices.resize(count as usize, abi::Slice::EMPTY);
        }
        // SAFETY: lent until the body changes, which `'s` excludes.
        Ok(slices.iter().take(count as usize).map(|&slice| unsafe { lent(slice) }).collect())
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Result<Vec<u8>, HostError> {
        Ok(self.slices()?.concat())
    }
}

/// The body bytes this hook may see, to change. Needs
/// [`BodyMode::Stream`](crate::BodyMode::Stream) or
/// [`BodyMode::Whole`](crate::BodyMode::Whole).
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Shout;
/// # struct ShoutFilter;
/// # impl FilterFactory for Shout {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = ShoutFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Shout) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> ShoutFilter { ShoutFilter }
/// # }
/// impl Filter for ShoutFilter {
///     const HOOKS: Hooks = Hooks::new().response_body(BodyMode::Stream);
///
///     fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
///         let loud = cx.body().to_vec()?.to_ascii_uppercase();
///         cx.body_mut().replace(loud)?;
///         if cx.is_end() {
///             cx.body_mut().append("!")?;
///         }
///         Ok(Status::Continue)
///     }
/// }
/// # fn main() {
/// # let host = TestHost::new::<Shout>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[]).respond_body("hel").respond_body("lo").run();
/// assert_eq!(outcome.response.unwrap().text(), "HELLO!");
/// # }
/// ```
pub struct BodyMut<'s> {
    /// Private: its lifetime is longer than what a change leaves valid.
    body: Body<'s>,
    _borrows_stream: PhantomData<&'s mut ()>,
}

impl<'s> BodyMut<'s> {
    /// # Safety
    /// As [`Body::new`], and nothing of the stream is lent during `'s`.
    pub(crate) unsafe fn new(host: Host, stream: *mut abi::Stream, direction: Direction) -> Self {
        // SAFETY: promised by the caller.
        BodyMut { body: unsafe { Body::new(host, stream, direction) }, _borrows_stream: PhantomData }
    }

    /// The same bytes, to read.
    pub fn as_ref(&self) -> Body<'_> {
        self.body
    }

    /// Replaces them.
    pub fn replace(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), HostError> {
        let replace = host_fn!(self.body.host, body_replace)?;
        let slice = abi::Slice::from_bytes(bytes.as_ref());
        // SAFETY: in the stream's hook; one slice, lent for the call.
        check(unsafe { replace(self.body.stream, self.body.direction as u32, &slice, 1) })
    }

    /// Appends to them.
    pub fn append(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), HostError> {
        let append = host_fn!(self.body.host, body_append)?;
        let slice = abi::Slice::from_bytes(bytes.as_ref());
        // SAFETY: in the stream's hook; lent for the call.
        check(unsafe { append(self.body.stream, self.body.direction as u32, slice) })
    }

    /// Removes up to `count` from their front and says how many.
    pub fn drain(&mut self, count: u64) -> Result<u64, HostError> {
        let drain = host_fn!(self.body.host, body_drain)?;
        let mut drained = 0;
        // SAFETY: in the stream's hook.
        check(unsafe { drain(self.body.stream, self.body.direction as u32, count, &mut drained) })?;
        Ok(drained)
    }
}
