//! What became of a stream.

use crate::Phase;

/// What became of a stream.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Every call of the filter in order, `on_complete` and `destroy` included.
    pub calls: Vec<Call>,
    /// The request as the upstream got it; `None` if it got none.
    pub upstream: Option<Request>,
    /// The response as the client got it; `None` if the stream was closed.
    pub response: Option<Response>,
    /// Why the filter failed, if it did.
    pub fault: Option<String>,
}

impl Outcome {
    /// Names of the hooks that were called, in order.
    pub fn hooks(&self) -> Vec<&'static str> {
        self.calls.iter().map(|call| call.hook).collect()
    }
}

/// One call of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Name of the hook.
    pub hook: &'static str,
    /// Phase it ran in.
    pub phase: Phase,
    /// The number it returned, `STATUS_*` of the ABI; `None` if it returns
    /// nothing.
    pub status: Option<u32>,
}

/// Where a response came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The upstream.
    #[default]
    Upstream,
    /// The filter's reply.
    Filter,
    /// The host, because the filter failed.
    Fault,
}

/// A request as the upstream got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Host and port.
    pub authority: String,
    /// Fields in order, without `host`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
}

impl Request {
    /// Value of the first field `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

/// A response as the client got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Where it came from.
    pub source: Source,
    /// Status.
    pub status: u16,
    /// Fields in order, without framing.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// Value of the first field `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
