//! What can go wrong, and what a hook answers.

use std::error::Error;
use std::fmt;

use sidegate_abi as abi;

/// Why the host did not do what was asked. Nothing was changed.
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
pub type HookResult = Result<Status, Fault>;

/// Why a filter gave up on a stream, for the log. It is not an
/// [`Error`] itself, so that every error converts into it.
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

impl<E: Error> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault::new(error.to_string())
    }
}

/// Why a configuration was refused.
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
