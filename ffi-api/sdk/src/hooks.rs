//! What a filter wants to see.

use sidegate_abi as abi;

/// Where in a stream's way a hook runs, in order.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Host;
/// # struct HostFilter;
/// # impl FilterFactory for Host {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = HostFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Host) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> HostFilter { HostFilter }
/// # }
/// impl Filter for HostFilter {
///     const HOOKS: Hooks =
///         Hooks::new().request_headers(Phase::BeforeRoute).request_headers(Phase::AfterChooseHost);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         if cx.phase() == Phase::AfterChooseHost {
///             let host = cx.variable_str(Variable::UpstreamHost).unwrap_or("-").to_owned();
///             cx.headers_mut().set("x-upstream", host)?;
///         }
///         Ok(Status::Continue)
///     }
/// }
/// # fn main() {
/// # let host = TestHost::new::<Host>(serde_json::json!({})).unwrap();
/// let request = host.request("GET", "/", &[]).variable(Variable::UpstreamHost, "10.0.0.1:80");
/// assert_eq!(request.run().upstream.unwrap().header("x-upstream"), Some("10.0.0.1:80"));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Before the route is matched.
    BeforeRoute,
    /// After the route is matched and before a host is chosen.
    AfterRoute,
    /// After a host is chosen; once per upstream attempt.
    AfterChooseHost,
    /// The response and everything after it.
    Send,
    /// One that this SDK does not know.
    Other,
}

impl Phase {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Phase::BeforeRoute => abi::PHASE_BEFORE_ROUTE,
            Phase::AfterRoute => abi::PHASE_AFTER_ROUTE,
            Phase::AfterChooseHost => abi::PHASE_AFTER_CHOOSE_HOST,
            Phase::Send => abi::PHASE_SEND,
            Phase::Other => abi::PHASE_OTHER,
        }
    }

    pub(crate) const fn from_number(number: u32) -> Phase {
        match number {
            abi::PHASE_BEFORE_ROUTE => Phase::BeforeRoute,
            abi::PHASE_AFTER_ROUTE => Phase::AfterRoute,
            abi::PHASE_AFTER_CHOOSE_HOST => Phase::AfterChooseHost,
            abi::PHASE_SEND => Phase::Send,
            _ => Phase::Other,
        }
    }
}

/// How a filter wants to see a body.
///
/// ```
/// # use sidegate_sdk::{BodyMode, Hooks};
/// // Counts what comes, and rewrites what goes.
/// const HOOKS: Hooks = Hooks::new().request_body(BodyMode::Observe).response_body(BodyMode::Whole);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum BodyMode {
    /// Chunk by chunk, without changing it: its length stays known.
    Observe = abi::BODY_OBSERVE,
    /// Chunk by chunk, changing it: a known length is dropped.
    Stream = abi::BODY_STREAM,
    /// All of it at once, held in memory up to the limit.
    Whole = abi::BODY_WHOLE,
}

/// The hooks that a filter wants. Hooks not named here are never called and
/// cost nothing.
///
/// ```
/// # use sidegate_sdk::{BodyMode, Hooks, Phase};
/// const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute).request_body(BodyMode::Whole).complete();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Hooks(pub(crate) abi::Interests);

impl Hooks {
    /// None.
    pub const fn new() -> Hooks {
        Hooks(abi::Interests { phases: 0, request_body: abi::BODY_NONE, response_body: abi::BODY_NONE, hooks: 0 })
    }

    /// `on_request_headers` in `phase`; call it again for more phases. Only
    /// the three phases of a request count; others are ignored.
    pub const fn request_headers(mut self, phase: Phase) -> Hooks {
        let bit = match phase {
            Phase::BeforeRoute | Phase::AfterRoute | Phase::AfterChooseHost => 1 << phase.number(),
            Phase::Send | Phase::Other => 0,
        };
        self.0.phases |= bit;
        self
    }

    /// `on_request_body`, in the first declared phase.
    pub const fn request_body(mut self, mode: BodyMode) -> Hooks {
        self.0.request_body = mode as u32;
        self
    }

    /// `on_request_trailers`.
    pub const fn request_trailers(self) -> Hooks {
        self.want(abi::WANT_REQUEST_TRAILERS)
    }

    /// `on_response_headers`.
    pub const fn response_headers(self) -> Hooks {
        self.want(abi::WANT_RESPONSE_HEADERS)
    }

    /// `on_response_body`.
    pub const fn response_body(mut self, mode: BodyMode) -> Hooks {
        self.0.response_body = mode as u32;
        self
    }

    /// `on_response_trailers`.
    pub const fn response_trailers(self) -> Hooks {
        self.want(abi::WANT_RESPONSE_TRAILERS)
    }

    /// `on_complete`.
    pub const fn complete(self) -> Hooks {
        self.want(abi::WANT_COMPLETE)
    }

    const fn want(mut self, bit: u32) -> Hooks {
        self.0.hooks |= bit;
        self
    }
}
