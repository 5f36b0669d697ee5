//! What can go wrong, and what a hook answers.

use std::error::Error;
use std::fmt;

use sidegate_abi as abi;

/// Why the host did not do what was asked. Nothing was changed.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Curious {}
/// # impl RequestFilter for Curious {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     // Framing belongs to the host, and there is no response yet.
///     assert_eq!(cx.headers_mut().set("content-length", "5"), Err(HostError::Reserved));
///     assert_eq!(cx.headers_mut().set("a", "b\r\nc: d"), Err(HostError::BadValue));
///     assert_eq!(cx.response_mut().set("a", "b"), Err(HostError::NotNow));
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Curious>(serde_json::json!({})).unwrap();
/// # assert_eq!(host.request("GET", "/", &[]).run().fault, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostError {
    /// No such header, variable, filter.
    NotFound,
    /// Not possible in this hook: not there yet, already sent, or not declared.
    NotNow,
    /// The header or variable name is not allowed.
    BadName,
    /// The value is not allowed.
    BadValue,
    /// Framing and hop-by-hop fields belong to the host.
    Reserved,
    /// A limit of the stream, filter or module was reached.
    Limit,
    /// This host does not know the function, map, variable or kind.
    Unsupported,
    /// The stream has ended or moved on.
    Gone,
    /// It was done before.
    Already,
    /// A pointer, length or number is not valid.
    BadArgument,
    /// A number that this SDK does not know.
    Other(u32),
}

impl HostError {
    /// `None` for OK.
    #[inline]
    pub(crate) fn from_code(code: u32) -> Option<HostError> {
        Some(match code {
            abi::OK => return None,
            abi::NOT_FOUND => HostError::NotFound,
            abi::NOT_NOW => HostError::NotNow,
            abi::BAD_NAME => HostError::BadName,
            abi::BAD_VALUE => HostError::BadValue,
            abi::RESERVED => HostError::Reserved,
            abi::LIMIT => HostError::Limit,
            abi::UNSUPPORTED => HostError::Unsupported,
            abi::GONE => HostError::Gone,
            abi::ALREADY => HostError::Already,
            abi::BAD_ARGUMENT => HostError::BadArgument,
            other => HostError::Other(other),
        })
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostError::NotFound => "not found",
            HostError::NotNow => "not possible in this hook",
            HostError::BadName => "name is not allowed",
            HostError::BadValue => "value is not allowed",
            HostError::Reserved => "framing and hop-by-hop fields belong to the host",
            HostError::Limit => "limit reached",
            HostError::Unsupported => "not supported by this host",
            HostError::Gone => "the stream has ended or moved on",
            HostError::Already => "already done",
            HostError::BadArgument => "argument is not valid",
            HostError::Other(code) => return write!(f, "host error {code}"),
        })
    }
}

impl Error for HostError {}

/// What a hook wants to happen next.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Drop {}
/// # impl RequestFilter for Drop {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     match cx.path() {
///         Some("/quiet") => Ok(Status::Terminate),
///         _ => Ok(Status::Continue),
///     }
/// }
/// # }
/// # let host = TestHost::new::<Drop>(serde_json::json!({})).unwrap();
/// assert!(host.request("GET", "/quiet", &[]).run().response.is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// Go on.
    Continue = abi::STATUS_CONTINUE,
    /// Send the reply that was set. Without one, only end this phase's
    /// remaining filters.
    Stop = abi::STATUS_STOP,
    /// Wait until a [`ResumeHandle`](crate::ResumeHandle) resumes, then call
    /// `on_resume`.
    Pending = abi::STATUS_PENDING,
    /// Close the stream without a reply.
    Terminate = abi::STATUS_TERMINATE,
    /// Match the route again. Header hooks after the route only.
    RematchRoute = abi::STATUS_REMATCH_ROUTE,
    /// Choose a host again. Header hook after the host only.
    RechooseHost = abi::STATUS_RECHOOSE_HOST,
}

/// What a hook returns. `?` works on every error type: an error is a fault of
/// this stream, handled as the filter's `on_fault` policy says, and after it
/// the filter is only dropped.
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn on_request_headers(cx: &mut RequestHeaders<'_>) -> HookResult {
///     let rate: u32 = cx.headers().get_str("x-rate").unwrap_or("1").parse()?;
///     cx.headers_mut().set("x-rate", (rate * 2).to_string())?;
///     Ok(Status::Continue)
/// }
/// ```
pub type HookResult = Result<Status, Fault>;

/// Why a filter gave up on a stream, for the log. It is not an
/// [`Error`] itself, so that every error converts into it.
///
/// ```
/// # use sidegate_sdk::Fault;
/// fn read(text: &str) -> Result<u64, Fault> {
///     Ok(text.parse()?)
/// }
/// assert_eq!(read("x").unwrap_err().message(), "invalid digit found in string");
/// assert_eq!(Fault::new("no token").message(), "no token");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
}

impl Fault {
    /// A fault with this message, one line.
    pub fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into() }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Makes a [`Fault`] of what is missing or went wrong, with words that say
/// what was tried. `?` alone works too, where the error says enough.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Quota {}
/// # impl RequestFilter for Quota {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let text = cx.headers().get_str("x-quota").or_fault("no x-quota")?;
///     let quota: u64 = text.parse().or_fault("x-quota")?;
///     assert_eq!(quota, 7);
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Quota>(serde_json::json!({})).unwrap();
/// assert_eq!(host.request("GET", "/", &[("x-quota", "7")]).run().fault, None);
/// let outcome = host.request("GET", "/", &[("x-quota", "x")]).run();
/// assert_eq!(outcome.fault.unwrap(), "x-quota: invalid digit found in string");
/// ```
pub trait OrFault<T> {
    /// The value, or a fault with these words.
    fn or_fault(self, what: impl fmt::Display) -> Result<T, Fault>;
}

impl<T> OrFault<T> for Option<T> {
    fn or_fault(self, what: impl fmt::Display) -> Result<T, Fault> {
        self.ok_or_else(|| Fault::new(what.to_string()))
    }
}

impl<T, E: fmt::Display> OrFault<T> for Result<T, E> {
    fn or_fault(self, what: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(format!("{what}: {error}")))
    }
}

/// Returns from a hook with a [`Fault`] that has this message:
/// `bail!("no token for {user}")`.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Broken {}
/// # impl RequestFilter for Broken {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     bail!("cannot work on {}", cx.path().unwrap_or("?"))
/// }
/// # }
/// # let host = TestHost::new::<Broken>(serde_json::json!({})).unwrap();
/// assert_eq!(host.request("GET", "/x", &[]).run().fault.unwrap(), "cannot work on /x");
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::Fault::new(::std::format!($($message)+)))
    };
}

impl<E: Error> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault::new(error.to_string())
    }
}

/// Why a configuration was refused. `sidegate check` shows it at the key that
/// [`ConfigError::path`] names.
///
/// ```
/// # use sidegate_sdk::ConfigError;
/// let error = ConfigError::new("limits.rate", "expected a number above 0, found 0");
/// assert_eq!(error.to_string(), "limits.rate: expected a number above 0, found 0");
/// assert_eq!(error.within("routes[2]").path, "routes[2].limits.rate");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, as `key.key[0]`; empty for the whole.
    pub path: String,
    /// One line: what was expected and what was found.
    pub message: String,
}

impl ConfigError {
    /// An error about the value at `path`.
    pub fn new(path: impl Into<String>, message: impl fmt::Display) -> ConfigError {
        ConfigError { path: path.into(), message: message.to_string() }
    }

    /// The same about a value inside of `parent`.
    pub fn within(mut self, parent: &str) -> ConfigError {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{parent}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Error for ConfigError {}

/// Makes a [`ConfigError`] of any error: says which key is to blame.
///
/// ```
/// # use sidegate_sdk::{At, ConfigError};
/// fn key(file: &str) -> Result<Vec<u8>, ConfigError> {
///     std::fs::read(file).at("key_file")
/// }
/// assert_eq!(key("/nowhere").unwrap_err().to_string(), "key_file: No such file or directory (os error 2)");
/// ```
pub trait At<T> {
    /// The value, or an error about the value at `path`.
    fn at(self, path: impl Into<String>) -> Result<T, ConfigError>;
}

impl<T, E: fmt::Display> At<T> for Result<T, E> {
    fn at(self, path: impl Into<String>) -> Result<T, ConfigError> {
        self.map_err(|error| ConfigError::new(path, error))
    }
}
