//! What a route says of trying again, of like requests, and of copies.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{StreamState, is_token};

use crate::HeaderName;
use crate::variable::cookie;

/// When a request is sent again. Connecting that fails always tries another
/// host, with or without a policy: nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `retry_on`
    pub on: RetryOn,
    /// How often at most after the first attempt: `num_retries`, where absent
    /// or 0 is 3 (MOSN raises 1 and 2 to 3 too; here they are kept).
    pub retries: u32,
    /// `retry_timeout`: how long each attempt may take until the head of its
    /// response; `None`: as long as the request's own timeout lasts.
    pub per_try_timeout: Option<Duration>,
    /// `status_codes` that are failures, sorted; empty: 500 and above.
    pub statuses: Vec<u16>,
}

/// What is a reason to send a request again, beside a failed connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryOn {
    /// Nothing.
    #[default]
    Never,
    /// A reset before the first byte of the response, a timeout of the
    /// attempt, and the statuses of the policy.
    Failures,
}

impl RetryPolicy {
    /// Retries where `num_retries` says nothing, as in MOSN.
    pub const DEFAULT_RETRIES: u32 = 3;

    /// Whether a response with this status is to be tried again.
    pub fn wants(&self, status: u16) -> bool {
        self.on == RetryOn::Failures
            && if self.statuses.is_empty() { status >= 500 } else { self.statuses.binary_search(&status).is_ok() }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { on: RetryOn::Never, retries: Self::DEFAULT_RETRIES, per_try_timeout: None, statuses: Vec::new() }
    }
}

/// What makes requests alike, for balancers that keep those on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashPolicy {
    /// `header`: the value of this request header.
    Header(HeaderName),
    /// `cookie`: the value of this cookie.
    Cookie(HashCookie),
    /// `source_ip`: the client's address without port.
    SourceIp,
}

/// A cookie that tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCookie {
    name: Box<str>,
    path: Box<str>,
    /// `ttl`: a client without the cookie is given one that lives so long;
    /// `None` (MOSN: absent or zero): it is given none.
    pub ttl: Option<Duration>,
}

/// A cookie cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// RFC 6265: the name is a token.
    #[error("expected the name of a cookie")]
    Name,
    /// RFC 6265 section 4.1.1: it would end the attribute, or the header.
    #[error("expected a cookie path in ASCII without `;`")]
    Path,
}

impl HashCookie {
    /// Checks name and path; an empty path is left out of the cookie.
    pub fn new(name: &str, path: &str, ttl: Option<Duration>) -> Result<HashCookie, CookieError> {
        if !is_token(name.as_bytes()) {
            return Err(CookieError::Name);
        }
        if !path.bytes().all(|b| matches!(b, b' '..=b'~') && b != b';') || path.trim() != path {
            return Err(CookieError::Path);
        }
        Ok(HashCookie { name: name.into(), path: path.into(), ttl })
    }

    /// `name`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `path`, maybe empty.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl HashPolicy {
    /// What to hash of this request; `None`: the policy says nothing of it.
    pub fn value<'s>(&self, stream: &'s StreamState) -> Option<&'s [u8]> {
        match self {
            HashPolicy::Header(name) if name.is_host() => {
                Some(stream.request.authority.as_bytes()).filter(|text| !text.is_empty())
            }
            HashPolicy::Header(name) => stream.request.headers.get(name.as_bytes()),
            HashPolicy::Cookie(wanted) => cookie(&stream.request.headers, wanted.name.as_bytes()),
            HashPolicy::SourceIp => stream.info.connection.as_deref().map(|c| c.remote.ip().as_bytes()),
        }
    }
}

/// `request_mirror_policies`: copies of requests, whose responses nobody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPolicy {
    /// `cluster` that gets the copies.
    pub cluster: Arc<str>,
    /// `percent` of the requests, 1 to 100.
    pub percent: u8,
}
