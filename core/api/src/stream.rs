//! One request and its response, whatever protocol carried them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::variable::NamedVariables;
use crate::{
    BodyBuffer, ConnectionInfo, Headers, LbMetadata, MirrorFan, PeerIdentity, PeerText, Reason, ResponseFlags,
    ResumeSlot, RouteLabel, SetReply, TlsAgreed,
};

/// Everything the proxy and its filters know of one stream. It lives on its
/// worker and is reused by the next stream of a keep-alive connection, so that
/// plain traffic allocates nothing.
#[derive(Debug, Default)]
pub struct StreamState {
    /// Head of the request, as normalized by the codec and edited by filters.
    pub request: RequestHead,
    /// Request body bytes in filters' hands.
    pub request_body: BodyBuffer,
    /// Request trailers, once the body has ended.
    pub request_trailers: Headers,
    /// Head of the response.
    pub response: ResponseHead,
    /// Response body bytes in filters' hands.
    pub response_body: BodyBuffer,
    /// Response trailers, once the body has ended.
    pub response_trailers: Headers,
    /// Variables that filters share.
    pub named: NamedVariables,
    /// Bytes that filters make the host hold for this stream beside all this.
    pub filter_bytes: u64,
    /// Facts for filters and logs.
    pub info: StreamInfo,
    /// Reply that a filter set in the hook that is running or just returned.
    pub reply: SetReply,
    /// Made on the first `Pending`.
    pub resume: Option<Arc<ResumeSlot>>,
    /// Time after which the hook that is running or just returned wants to be
    /// resumed without anybody's doing.
    pub wake_after: Option<Duration>,
    /// Bodies (request, response) of which the hook that is running or just
    /// returned wants to see nothing.
    pub waived_bodies: [bool; 2],
    /// Directions whose message went out in a form that carries no trailers.
    pub trailers_closed: [bool; 2],
    /// What filters ask of the host, over what the route asks; `None`: nothing.
    pub metadata: Option<LbMetadata>,
    /// How filters want copies of the request to be sent, if the route mirrors
    /// it.
    pub mirror: Option<MirrorFan>,
}

impl StreamState {
    /// What ties this request to others: the trace of its `traceparent` (W3C
    /// Trace Context), or else its own id.
    pub fn trace_id(&self) -> Option<&[u8]> {
        let parent = self.request.headers.get(b"traceparent").and_then(trace_of);
        parent.or_else(|| Some(self.info.request_id.as_bytes()).filter(|id| !id.is_empty()))
    }

    /// Forgets one stream and keeps the memory for the next, up to a bound.
    pub fn reset(&mut self) {
        const KEEP_BYTES: usize = 16 * 1024;
        self.request.reset();
        self.response.reset();
        for headers in [
            &mut self.request.headers,
            &mut self.response.headers,
            &mut self.request_trailers,
            &mut self.response_trailers,
        ] {
            headers.clear();
            headers.shrink(KEEP_BYTES);
        }
        for body in [&mut self.request_body, &mut self.response_body] {
            body.clear();
            body.set_last(false);
            body.shrink(KEEP_BYTES);
        }
        self.named.clear();
        self.filter_bytes = 0;
        self.reply = SetReply::None;
        self.wake_after = None;
        self.waived_bodies = [false; 2];
        self.trailers_closed = [false; 2];
        self.metadata = None;
        self.mirror = None;
        if let Some(resume) = self.resume.take() {
            resume.close();
        }
        self.info.reset();
    }

    /// Forgets one stream and all memory, but not the connection.
    pub fn slim(&mut self) {
        let connection = self.info.connection.take();
        *self = StreamState::default();
        self.info.connection = connection;
    }
}

/// Method of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// TRACE
    Trace,
    /// CONNECT
    Connect,
    /// Any other token; methods are case-sensitive.
    Other(Box<str>),
}

impl Method {
    /// The method called `token`; `None` if that is no RFC 9110 token.
    pub fn parse(token: &[u8]) -> Option<Self> {
        Some(match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            other if crate::is_token(other) => Method::Other(std::str::from_utf8(other).ok()?.into()),
            _ => return None,
        })
    }

    /// Its text on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Other(token) => token,
        }
    }

    /// RFC 9110 section 9.2.2: sending it twice does what sending it once does.
    pub fn is_idempotent(&self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Put | Method::Delete | Method::Options | Method::Trace)
    }
}

/// Protocol of a connection's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// As in a status line; HTTP/2, which has none, as clients and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }
}

/// Whether a head can still be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadState {
    /// Not sent yet.
    #[default]
    Open,
    /// On its way: edits are refused.
    Sent,
}

/// Head of a request. `host` is not among the headers: it is `authority`.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and optional port, lower case; empty for HTTP/1.0 without Host.
    pub authority: String,
    /// Path with resolved dot segments, then `?query` if there is one; `*` for
    /// server-wide OPTIONS. ASCII.
    target: String,
    /// Length of the path part of `target`.
    path_len: usize,
    /// The target as it came, where `target` says something else by now.
    original: Vec<u8>,
    /// End-to-end fields, names in lower case. `content-length` is here to be
    /// read; the codec writes its own.
    pub headers: Headers,
    /// Whether it can still be edited.
    pub state: HeadState,
}

impl RequestHead {
    /// Path without query.
    pub fn path(&self) -> &str {
        &self.target[..self.path_len]
    }

    /// The path by which routes are chosen: `*` asks about the server as a
    /// whole, which is what serves `/`.
    pub fn routed_path(&self) -> &str {
        if self.is_about_server() { "/" } else { self.path() }
    }

    /// Whether the target is `*`.
    pub fn is_about_server(&self) -> bool {
        self.path() == "*"
    }

    /// Query without `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_len + 1..)
    }

    /// Path and query, as sent upstream.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The request's target as the client sent it: before it was normalized,
    /// and before filters and routes rewrote it.
    pub fn original_target(&self) -> &[u8] {
        if self.original.is_empty() { self.target.as_bytes() } else { &self.original }
    }

    /// For codecs: says that the target was made of what was `sent`.
    pub fn set_original_target(&mut self, sent: &[u8]) {
        self.original.clear();
        self.original.extend_from_slice(sent);
    }

    /// For codecs: forgets the target of a head that is read anew.
    pub fn clear_target(&mut self) {
        self.target.clear();
        self.path_len = 0;
        self.original.clear();
    }

    fn keep_original(&mut self) {
        if self.original.is_empty() && !self.target.is_empty() {
            self.original.extend_from_slice(self.target.as_bytes());
        }
    }

    /// Sets path and query. `target` must be ASCII without controls or blanks;
    /// the codec and [`FilterCx`](crate::FilterCx) check that.
    pub fn set_target(&mut self, target: &str) {
        self.keep_original();
        self.target.clear();
        self.target.push_str(target);
        self.path_len = target.find('?').unwrap_or(target.len());
    }

    /// Sets the path and keeps the query.
    pub fn set_path(&mut self, path: &str) {
        self.keep_original();
        self.target.replace_range(..self.path_len, path);
        self.path_len = path.len();
    }

    /// Makes this one equal to `other`, in the memory it has.
    pub fn copy_from(&mut self, other: &RequestHead) {
        self.method.clone_from(&other.method);
        self.scheme = other.scheme;
        self.authority.clone_from(&other.authority);
        self.target.clone_from(&other.target);
        self.path_len = other.path_len;
        self.original.clone_from(&other.original);
        self.headers.copy_from(&other.headers);
        self.state = other.state;
    }

    fn reset(&mut self) {
        self.method = Method::Get;
        self.scheme = "http";
        self.authority.clear();
        self.clear_target();
        self.state = HeadState::Open;
    }
}

/// Head of a response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Status code; 0 until there is a response.
    pub status: u16,
    /// What the upstream called that status, if it is not the usual phrase.
    pub reason: Reason,
    /// End-to-end fields, names in lower case.
    pub headers: Headers,
    /// Whether it can still be edited.
    pub state: HeadState,
}

impl ResponseHead {
    fn reset(&mut self) {
        self.status = 0;
        self.reason.clear();
        self.state = HeadState::Open;
    }
}

/// Facts of one stream.
#[derive(Debug, Default)]
pub struct StreamInfo {
    /// The downstream connection; `None` only between streams.
    pub connection: Option<Rc<ConnectionInfo>>,
    /// When the first byte of the request was there.
    pub start: Option<Instant>,
    /// Version the client spoke.
    pub protocol: Protocol,
    /// `x-request-id`, made or taken over.
    pub request_id: String,
    /// The matched virtual host and route.
    pub route: Option<RouteLabel>,
    /// Cluster that was chosen. Counted per worker: with `Arc` all workers
    /// would write to one cache line for every stream.
    pub cluster: Option<Rc<str>>,
    /// Host that was chosen.
    pub upstream_host: Option<Arc<PeerText>>,
    /// Hosts that were tried, each as often as it was.
    pub attempts: u32,
    /// Its configured name; only where a log shows it.
    pub upstream_hostname: Option<Arc<str>>,
    /// Number of the connection to it, unique in the process.
    pub upstream_connection: Option<u64>,
    /// What is spoken on it.
    pub upstream_protocol: Protocol,
    /// Our end of the connection to it; only where a log shows it.
    pub upstream_local: Option<Arc<PeerText>>,
    /// What was agreed on in TLS with it, if that is spoken; only where a log
    /// shows it.
    pub upstream_tls: Option<TlsAgreed>,
    /// Who it is, if it speaks TLS and was verified; only where a log shows it.
    pub upstream_peer: Option<Arc<dyn PeerIdentity>>,
    /// Path and query as the client sent them, normalized but before rewrites;
    /// empty unless a log shows them.
    pub original_target: String,
    /// Bytes of the request's head; 0 if it was refused before it was whole.
    pub head_bytes: u32,
    /// Body bytes read from the client.
    pub bytes_received: u64,
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Microseconds from start until the request was read to its end; only
    /// where a log shows it.
    pub received_us: Option<u64>,
    /// Microseconds from start until the request was handed to the upstream
    /// connection that was used last.
    pub forwarded_us: Option<u64>,
    /// Microseconds before that which attempts at other connections took.
    pub lost_us: u64,
    /// Microseconds from start to the first byte of the upstream's response.
    pub upstream_us: Option<u64>,
    /// What went wrong, for logs.
    pub flags: ResponseFlags,
    /// One word more on what went wrong, for logs; a `LocalReply`'s details.
    pub details: &'static str,
    /// The filter that answered, or that failed and so had the proxy answer.
    pub answered_by: Option<AnsweredBy>,
}

/// A filter that ended a stream, and the module it is from.
#[derive(Debug, Clone)]
pub struct AnsweredBy {
    /// Its name.
    pub filter: Arc<str>,
    /// `None` for one that is built in.
    pub module: Option<Arc<str>>,
}

/// `duration` in microseconds. Not `as_micros`, which counts in 128 bits: this
/// runs some times for each stream.
pub fn whole_micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}

impl StreamInfo {
    /// Name of the matched virtual host.
    pub fn virtual_host_name(&self) -> Option<&str> {
        self.route.as_ref()?.virtual_host()
    }

    /// Name or match of the matched route.
    pub fn route_name(&self) -> Option<&str> {
        self.route.as_ref()?.route()
    }

    /// Microseconds from the stream's start to `now`.
    pub fn micros_until(&self, now: Instant) -> Option<u64> {
        Some(whole_micros(now.saturating_duration_since(self.start?)))
    }

    /// Microseconds that the proxy itself took of a stream of `total_us`: until
    /// the request was forwarded, without attempts that failed, and from the
    /// first byte of the response to the end.
    pub fn process_us(&self, total_us: u64) -> u64 {
        let Some(forwarded) = self.forwarded_us else { return total_us };
        let after_response = self.upstream_us.map_or(0, |first_byte| total_us.saturating_sub(first_byte));
        forwarded.saturating_sub(self.lost_us).saturating_add(after_response).min(total_us)
    }

    fn reset(&mut self) {
        self.start = None;
        self.protocol = Protocol::Http11;
        self.request_id.clear();
        self.route = None;
        self.cluster = None;
        self.upstream_host = None;
        self.attempts = 0;
        self.upstream_hostname = None;
        self.upstream_connection = None;
        self.upstream_protocol = Protocol::Http11;
        self.upstream_local = None;
        self.upstream_tls = None;
        self.upstream_peer = None;
        self.original_target.clear();
        self.head_bytes = 0;
        self.bytes_received = 0;
        self.bytes_sent = 0;
        self.received_us = None;
        self.forwarded_us = None;
        self.lost_us = 0;
        self.upstream_us = None;
        self.flags = ResponseFlags::default();
        self.details = "";
        self.answered_by = None;
    }
}

/// The trace id of a `traceparent`: `version-trace-parent-flags`, where a trace
/// of zeros is none.
fn trace_of(value: &[u8]) -> Option<&[u8]> {
    let mut parts = value.split(|byte| *byte == b'-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths = (version.len(), trace.len(), parent.len()) == (2, 32, 16);
    let known = is_hex(version) && version != b"ff" && is_hex(trace) && is_hex(parent);
    (lengths && known && trace.iter().any(|byte| *byte != b'0')).then_some(trace)
}
