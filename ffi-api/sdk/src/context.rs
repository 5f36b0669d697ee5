//! What each hook is given: the stream, and what is special about the hook.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sidegate_abi as abi;

use crate::body::Direction;
use crate::headers::Map;
use crate::{Body, BodyMut, Headers, HeadersMut, Stream};

macro_rules! context {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<'a>(pub(crate) Stream<'a>);

        impl<'a> Deref for $name<'a> {
            type Target = Stream<'a>;

            fn deref(&self) -> &Stream<'a> {
                &self.0
            }
        }

        impl<'a> DerefMut for $name<'a> {
            fn deref_mut(&mut self) -> &mut Stream<'a> {
                &mut self.0
            }
        }
    };
}

macro_rules! context_with_headers {
    ($(#[$doc:meta])* $name:ident, $map:ident) => {
        context!($(#[$doc])* $name);

        impl<'a> $name<'a> {
            /// The fields this hook is about.
            pub fn headers(&self) -> Headers<'_> {
                self.0.map(Map::$map)
            }

            /// The fields this hook is about, to change.
            pub fn headers_mut(&mut self) -> HeadersMut<'_> {
                self.0.map_mut(Map::$map)
            }
        }
    };
}

macro_rules! context_with_body {
    ($(#[$doc:meta])* $name:ident, $direction:ident) => {
        context!($(#[$doc])* $name);

        impl<'a> $name<'a> {
            /// The bytes this hook is about: a chunk, or all.
            pub fn body(&self) -> Body<'_> {
                self.0.body_of(Direction::$direction)
            }

            /// The bytes this hook is about, to change.
            pub fn body_mut(&mut self) -> BodyMut<'_> {
                self.0.body_of_mut(Direction::$direction)
            }
        }
    };
}

context_with_headers!(
    /// A request head.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_request_headers(cx: &mut RequestHeaders<'_>) -> HookResult {
    ///     if cx.is_end() {
    ///         cx.headers_mut().set("x-no-body", "1")?;
    ///     }
    ///     Ok(Status::Continue)
    /// }
    /// ```
    RequestHeaders,
    Request
);
context_with_body!(
    /// Request body bytes.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_request_body(cx: &mut RequestBody<'_>) -> HookResult {
    ///     let bytes = cx.body().len();
    ///     sidegate_sdk::debug!(cx, "{bytes} bytes");
    ///     Ok(Status::Continue)
    /// }
    /// ```
    RequestBody,
    Request
);
context_with_headers!(
    /// Request trailers.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_request_trailers(cx: &mut RequestTrailers<'_>) -> HookResult {
    ///     cx.headers_mut().remove("x-internal")?;
    ///     Ok(Status::Continue)
    /// }
    /// ```
    RequestTrailers,
    RequestTrailers
);
context_with_headers!(
    /// A response head.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_response_headers(cx: &mut ResponseHeaders<'_>) -> HookResult {
    ///     if cx.status() == Some(404) {
    ///         cx.set_status(410)?;
    ///     }
    ///     Ok(Status::Continue)
    /// }
    /// ```
    ResponseHeaders,
    Response
);
context_with_body!(
    /// Response body bytes.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_response_body(cx: &mut ResponseBody<'_>) -> HookResult {
    ///     let all = cx.body().to_vec()?;
    ///     cx.body_mut().replace(all.to_ascii_lowercase())?;
    ///     Ok(Status::Continue)
    /// }
    /// ```
    ResponseBody,
    Response
);
context_with_headers!(
    /// Response trailers.
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_response_trailers(cx: &mut ResponseTrailers<'_>) -> HookResult {
    ///     cx.headers_mut().add("x-checked", "1")?;
    ///     Ok(Status::Continue)
    /// }
    /// ```
    ResponseTrailers,
    ResponseTrailers
);
context!(
    /// A stream that was resumed: it stands where it returned
    /// [`Status::Pending`](crate::Status::Pending).
    ///
    /// ```
    /// # use sidegate_sdk::prelude::*;
    /// fn on_resume(cx: &mut Resumed<'_>) -> HookResult {
    ///     match cx.phase() {
    ///         Phase::Send => cx.response_mut().set("x-waited", "1")?,
    ///         _ => cx.request_mut().set("x-waited", "1")?,
    ///     }
    ///     Ok(Status::Continue)
    /// }
    /// ```
    Resumed
);

impl<'a> Resumed<'a> {
    /// Request body bytes, if a request body hook was pending.
    pub fn request_body(&self) -> Body<'_> {
        self.0.body_of(Direction::Request)
    }

    /// Request body bytes, to change.
    pub fn request_body_mut(&mut self) -> BodyMut<'_> {
        self.0.body_of_mut(Direction::Request)
    }

    /// Response body bytes, if a response body hook was pending.
    pub fn response_body(&self) -> Body<'_> {
        self.0.body_of(Direction::Response)
    }

    /// Response body bytes, to change.
    pub fn response_body_mut(&mut self) -> BodyMut<'_> {
        self.0.body_of_mut(Direction::Response)
    }
}

/// A stream that has ended.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Log;
/// # struct LogFilter;
/// # impl FilterFactory for Log {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = LogFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Log) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> LogFilter { LogFilter }
/// # }
/// impl Filter for LogFilter {
///     const HOOKS: Hooks = Hooks::new().complete();
///
///     fn on_complete(&mut self, cx: &mut Complete<'_>) {
///         let path = cx.path().unwrap_or("-");
///         match cx.reset_by() {
///             ResetBy::Nobody => sidegate_sdk::info!(cx, "{path} {:?} {}", cx.status(), cx.bytes_sent()),
///             who => sidegate_sdk::info!(cx, "{path} was ended by {who:?}"),
///         }
///     }
/// }
/// # fn main() {
/// # let host = TestHost::new::<Log>(serde_json::json!({})).unwrap();
/// host.request("GET", "/x", &[]).respond(404, &[]).respond_body("none").run();
/// assert_eq!(host.logs(), [(Level::Info, "/x Some(404) 4".to_owned())]);
/// # }
/// ```
pub struct Complete<'a> {
    stream: Stream<'a>,
    completion: abi::Completion,
}

/// Who ended a stream early.
///
/// ```
/// # use sidegate_sdk::ResetBy;
/// fn is_our_fault(by: ResetBy) -> bool {
///     matches!(by, ResetBy::Filter | ResetBy::Proxy)
/// }
/// # assert!(!is_our_fault(ResetBy::Downstream));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResetBy {
    /// Nobody: it ran to its end.
    Nobody,
    /// The client.
    Downstream,
    /// The upstream.
    Upstream,
    /// A filter.
    Filter,
    /// The proxy: a timeout, a limit, a drain.
    Proxy,
    /// Something this SDK does not know.
    Other,
}

impl<'a> Complete<'a> {
    /// # Safety
    /// `completion` is the host's.
    pub(crate) unsafe fn new(stream: Stream<'a>, completion: *const abi::Completion) -> Self {
        // SAFETY: every field of ABI 1.0 is within every host's completion,
        // and 1.0 is what this struct is.
        Complete { stream, completion: unsafe { completion.read() } }
    }

    /// Status sent to the client, if any was.
    pub fn status(&self) -> Option<u16> {
        u16::try_from(self.completion.status).ok().filter(|&status| status != 0)
    }

    /// Response flags: what went wrong.
    pub fn response_flags(&self) -> u32 {
        self.completion.flags
    }

    /// Who ended it early.
    pub fn reset_by(&self) -> ResetBy {
        match self.completion.reset_by {
            abi::RESET_NOBODY => ResetBy::Nobody,
            abi::RESET_DOWNSTREAM => ResetBy::Downstream,
            abi::RESET_UPSTREAM => ResetBy::Upstream,
            abi::RESET_FILTER => ResetBy::Filter,
            abi::RESET_PROXY => ResetBy::Proxy,
            _ => ResetBy::Other,
        }
    }

    /// Request body bytes from the client.
    pub fn bytes_received(&self) -> u64 {
        self.completion.bytes_received
    }

    /// Response body bytes to the client.
    pub fn bytes_sent(&self) -> u64 {
        self.completion.bytes_sent
    }

    /// From the first byte of the request to the end.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.completion.duration_ns)
    }

    /// From the first byte of the request to the upstream's first, if any.
    pub fn upstream_duration(&self) -> Option<Duration> {
        let nanos = self.completion.upstream_duration_ns;
        (nanos != abi::NO_DURATION).then(|| Duration::from_nanos(nanos))
    }
}

/// Only to read: nothing of an ended stream can be changed.
impl<'a> Deref for Complete<'a> {
    type Target = Stream<'a>;

    fn deref(&self) -> &Stream<'a> {
        &self.stream
    }
}
