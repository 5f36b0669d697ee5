//! Calls of plugins: processes beside the proxy, asked through it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::mem::{size_of, MaybeUninit};
use std::task::Poll;
use std::time::Duration;

use sidegate_abi as abi;

use crate::host::{check, host_fn, lent};
use crate::{ConfigError, FactoryEnv, HostError, IntoBytes, Stream};

/// What a plugin is asked. The plugin is named as `so_config.plugins` of the
/// filter names it; others cannot be called.
///
/// ```
/// # use std::task::Poll;
/// # use sidegate_sdk::{prelude::*, testing::TestHost, PluginAnswer, PluginCall, PluginCallId};
/// # struct Ask;
/// # #[derive(Default)] struct AskFilter { call: Option<PluginCallId> }
/// # impl FilterFactory for Ask {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = AskFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Ask) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> AskFilter { AskFilter::default() }
/// # }
/// impl Filter for AskFilter {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         let user = cx.headers().get("user").unwrap_or_default().to_vec();
///         self.call = Some(cx.call_plugin(&PluginCall::new("checker").header("user", user))?);
///         Ok(Status::Pending)
///     }
///
///     fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
///         let call = self.call.or_fault("nothing was asked")?;
///         match cx.plugin_answer(call)? {
///             Poll::Pending => Ok(Status::Pending),
///             Poll::Ready(Ok(answer)) if answer.status == 0 => Ok(Status::Continue),
///             Poll::Ready(Ok(_)) => cx.reply(Reply::new(403)),
///             Poll::Ready(Err(failure)) => {
///                 sidegate_sdk::warn!(cx, "{failure}");
///                 cx.reply(Reply::new(503))
///             }
///         }
///     }
/// }
///
/// let host = TestHost::new::<Ask>(serde_json::json!({})).unwrap();
/// host.plugin("checker", |asked| {
///     let status = if asked.header("user") == Some("ann") { 0 } else { -1 };
///     Ok(PluginAnswer { status, ..PluginAnswer::default() })
/// });
/// assert_eq!(host.request("GET", "/", &[("user", "ann")]).run().status(), Some(200));
/// assert_eq!(host.request("GET", "/", &[("user", "bob")]).run().status(), Some(403));
/// ```
#[derive(Debug, Clone, Default)]
pub struct PluginCall<'r> {
    plugin: Cow<'r, [u8]>,
    kind: Cow<'r, [u8]>,
    headers: Fields<'r>,
    trailers: Fields<'r>,
    body: Cow<'r, [u8]>,
    timeout: Duration,
}

type Fields<'r> = Vec<(Cow<'r, [u8]>, Cow<'r, [u8]>)>;

impl<'r> PluginCall<'r> {
    /// A call of this plugin that says nothing yet.
    pub fn new(plugin: impl IntoBytes<'r>) -> Self {
        PluginCall { plugin: plugin.into_bytes(), ..PluginCall::default() }
    }

    /// What the call is about, as the plugin understands it: `type` of MOSN's
    /// protocol.
    pub fn kind(mut self, kind: impl IntoBytes<'r>) -> Self {
        self.kind = kind.into_bytes();
        self
    }

    /// Adds a field to its header. Names must be UTF-8, other bytes in values
    /// are replaced; values of one name become one.
    pub fn header(mut self, name: impl IntoBytes<'r>, value: impl IntoBytes<'r>) -> Self {
        self.headers.push((name.into_bytes(), value.into_bytes()));
        self
    }

    /// Adds a field to its trailer.
    pub fn trailer(mut self, name: impl IntoBytes<'r>, value: impl IntoBytes<'r>) -> Self {
        self.trailers.push((name.into_bytes(), value.into_bytes()));
        self
    }

    /// Its body.
    pub fn body(mut self, body: impl IntoBytes<'r>) -> Self {
        self.body = body.into_bytes();
        self
    }

    /// Bound of the call, where it is shorter than the configuration's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_nanos(1));
        self
    }
}

/// A call that was begun, by its number. Of use to the filter that began it.
///
/// ```
/// # use sidegate_sdk::{prelude::*, PluginCall, PluginCallId};
/// # fn ask(cx: &mut RequestHeaders<'_>) -> Result<(), HostError> {
/// let first: PluginCallId = cx.call_plugin(&PluginCall::new("checker"))?;
/// let second = cx.call_plugin(&PluginCall::new("checker"))?;
/// cx.cancel_plugin_call(first)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PluginCallId(u64);

/// What a plugin answered.
///
/// ```
/// # use sidegate_sdk::PluginAnswer;
/// let role = [("X-Role".to_owned(), "admin".to_owned())];
/// let answer = PluginAnswer { status: 1, headers: role.into(), ..PluginAnswer::default() };
/// assert_eq!(answer.header("x-role"), Some("admin"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginAnswer {
    /// Its own number; MOSN's plugins refuse with -1.
    pub status: i32,
    /// Its header, in no order.
    pub headers: Vec<(String, String)>,
    /// Its trailer, in no order.
    pub trailers: Vec<(String, String)>,
    /// Its body; empty if there is none.
    pub body: Vec<u8>,
}

impl PluginAnswer {
    /// The value of this field of its header, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why a call has no answer.
///
/// ```
/// # use sidegate_sdk::{PluginFailure, PluginFailureKind};
/// let failure = PluginFailure { kind: PluginFailureKind::Down, message: "it does not run".to_owned() };
/// assert_eq!(failure.to_string(), "it does not run");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFailure {
    /// What kind of failure it is.
    pub kind: PluginFailureKind,
    /// In words, for logs.
    pub message: String,
}

/// What kind of failure it is.
///
/// ```
/// # use sidegate_sdk::PluginFailureKind;
/// fn may_help_to_ask_again(kind: PluginFailureKind) -> bool {
///     matches!(kind, PluginFailureKind::Lost | PluginFailureKind::Timeout)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PluginFailureKind {
    /// No answer in time.
    Timeout,
    /// The plugin does not run.
    Down,
    /// Somebody disabled the plugin.
    Disabled,
    /// The plugin ended in the call.
    Lost,
    /// The plugin answered with an error.
    Error,
    /// One that this SDK does not know.
    Other,
}

impl PluginFailureKind {
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            abi::PLUGIN_TIMEOUT => PluginFailureKind::Timeout,
            abi::PLUGIN_DOWN => PluginFailureKind::Down,
            abi::PLUGIN_DISABLED => PluginFailureKind::Disabled,
            abi::PLUGIN_LOST => PluginFailureKind::Lost,
            abi::PLUGIN_ERROR => PluginFailureKind::Error,
            _ => PluginFailureKind::Other,
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            PluginFailureKind::Timeout => abi::PLUGIN_TIMEOUT,
            PluginFailureKind::Down => abi::PLUGIN_DOWN,
            PluginFailureKind::Disabled => abi::PLUGIN_DISABLED,
            PluginFailureKind::Lost => abi::PLUGIN_LOST,
            PluginFailureKind::Error => abi::PLUGIN_ERROR,
            PluginFailureKind::Other => abi::PLUGIN_OTHER,
        }
    }
}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PluginFailure {}

impl FactoryEnv {
    /// Plugins that the configuration lets the filter call; none in a host of
    /// ABI 1.0.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().flatten().map(String::as_str)
    }

    /// Refuses the configuration, at `path`, unless it lets the filter call this
    /// plugin: else each of its calls would be [`HostError::NotFound`].
    pub fn needs_plugin(&self, path: &str, name: &str) -> Result<(), ConfigError> {
        let known = self.plugins.as_ref().ok_or_else(|| {
            ConfigError::new(path, "this proxy offers no calls of plugins, which came with module ABI 1.1")
        })?;
        if known.iter().any(|known| known == name) {
            return Ok(());
        }
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => format!("`{}`", known.join("`, `")),
        };
        Err(ConfigError::new(path, format_args!("expected a plugin of `so_config.plugins`, which has {known}")))
    }
}

impl Stream<'_> {
    /// Begins a call of a plugin; nothing waits. Return
    /// [`Status::Pending`](crate::Status::Pending), without a handle:
    /// `on_resume` follows once a call has ended. The end of the stream, or of
    /// the filter, cancels its calls.
    ///
    /// [`HostError::NotFound`] if the configuration gives the filter no such
    /// plugin, [`HostError::Limit`] if too many calls are in flight,
    /// [`HostError::BadName`] for a name that is no UTF-8, and
    /// [`HostError::Unsupported`] from a host of ABI 1.0. All else that can go
    /// wrong is told by [`plugin_answer`](Stream::plugin_answer).
    pub fn call_plugin(&mut self, call: &PluginCall<'_>) -> Result<PluginCallId, HostError> {
        let begin = host_fn!(self.host, plugin_call)?;
        let raw = |fields: &Fields<'_>| -> Vec<abi::Header> {
            let slice = abi::Slice::from_bytes;
            fields.iter().map(|(name, value)| abi::Header { name: slice(name), value: slice(value) }).collect()
        };
        let (headers, trailers) = (raw(&call.headers), raw(&call.trailers));
        let asked = abi::PluginCall {
            size: size_of::<abi::PluginCall>() as u64,
            plugin: abi::Slice::from_bytes(&call.plugin),
            kind: abi::Slice::from_bytes(&call.kind),
            headers: headers.as_ptr(),
            headers_len: headers.len() as u64,
            trailers: trailers.as_ptr(),
            trailers_len: trailers.len() as u64,
            body: abi::Slice::from_bytes(&call.body),
            timeout_ns: u64::try_from(call.timeout.as_nanos()).unwrap_or(u64::MAX),
        };
        let mut id = 0;
        // SAFETY: in the stream's hook; all is lent for the call.
        check(unsafe { begin(self.raw(), &asked, &mut id) })?;
        Ok(PluginCallId(id))
    }

    /// How a call ended, once; [`Poll::Pending`] as long as it has not. A
    /// resume may be about another call of the filter: it then returns
    /// [`Status::Pending`](crate::Status::Pending) again.
    /// [`HostError::Already`] for an end that was told before.
    pub fn plugin_answer(&mut self, id: PluginCallId) -> Result<Poll<Result<PluginAnswer, PluginFailure>>, HostError> {
        let get = host_fn!(self.host, plugin_answer)?;
        // SAFETY: null pointers and zero numbers are valid.
        let mut raw: abi::PluginAnswer = unsafe { MaybeUninit::zeroed().assume_init() };
        raw.size = size_of::<abi::PluginAnswer>() as u64;
        // SAFETY: in the stream's hook; our place, of the length it says.
        match check(unsafe { get(self.raw(), id.0, &mut raw) }) {
            Ok(()) => {}
            Err(HostError::NotNow) => return Ok(Poll::Pending),
            Err(error) => return Err(error),
        }
        let text = |slice| {
            // SAFETY: lent until the hook returns.
            String::from_utf8_lossy(unsafe { lent(slice) }).into_owned()
        };
        let fields = |first: *const abi::Header, len: u64| -> Vec<(String, String)> {
            if first.is_null() || len == 0 {
                return Vec::new();
            }
            // SAFETY: as above, so many of them.
            let all = unsafe { std::slice::from_raw_parts(first, len as usize) };
            all.iter().map(|field| (text(field.name), text(field.value))).collect()
        };
        Ok(Poll::Ready(match raw.outcome {
            abi::PLUGIN_ANSWERED => Ok(PluginAnswer {
                status: raw.status,
                headers: fields(raw.headers, raw.headers_len),
                trailers: fields(raw.trailers, raw.trailers_len),
                // SAFETY: as above.
                body: unsafe { lent(raw.body) }.to_vec(),
            }),
            kind => Err(PluginFailure { kind: PluginFailureKind::from_number(kind), message: text(raw.message) }),
        }))
    }

    /// Gives a call up: its end will not be told.
    pub fn cancel_plugin_call(&mut self, id: PluginCallId) -> Result<(), HostError> {
        let cancel = host_fn!(self.host, plugin_cancel)?;
        // SAFETY: in the stream's hook.
        check(unsafe { cancel(self.raw(), id.0) })
    }
}
