//! A cookie that a client gets so that its requests stay on one host.

use sidegate_api::StreamState;
use sidegate_router::HashCookie;
use sidegate_upstream::stable_hash;

/// A cookie that a client gets so that its requests stay on one host.
#[derive(Debug)]
pub(crate) struct NewCookie {
    pub(crate) value: String,
    /// Value of `set-cookie`.
    pub(crate) field: String,
}

impl NewCookie {
    pub(crate) fn new(cookie: &HashCookie, stream: &StreamState) -> Box<Self> {
        let connection = stream.info.connection.as_deref();
        let ends = connection.map(|c| format!("{} {}", c.remote.as_str(), c.local.as_str())).unwrap_or_default();
        let value = format!("{:016x}", stable_hash(ends.as_bytes()));
        let mut field = format!("{}={value}", cookie.name());
        if let Some(ttl) = cookie.ttl {
            field.push_str(&format!("; Max-Age={}", ttl.as_secs().max(1)));
        }
        if !cookie.path().is_empty() {
            field.push_str("; Path=");
            field.push_str(cookie.path());
        }
        field.push_str("; HttpOnly");
        Box::new(NewCookie { value, field })
    }
}
