//! What the proxy needs to know of a listener's `proxy` network filter.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{
    AnsweredBy, Counter, FaultPolicy, HeaderCase, Http2Settings, RouteFilterConfig, Spoken, StreamFilterFactory,
};
use sidegate_router::{RouteId, VirtualHostId};
use sidegate_stream::{TargetBytes, UpgradeProtocol};
use sidegate_telemetry::{AccessLog, FilterReplies};
use sidegate_tls::ListenerTls;

/// Everything the streams of one listener use, but for its routes; immutable.
#[derive(Debug)]
pub struct ProxyConfig {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The filter chain, in configured order.
    pub filters: Vec<FilterEntry>,
    /// Access logs, in configured order.
    pub access_logs: Vec<AccessLog>,
    /// What clients speak.
    pub downstream: Spoken,
    /// Settings of HTTP/2 connections.
    pub http2: Http2Settings,
    /// Bounds on what a client may send.
    pub limits: Http1Limits,
    /// How long each part may take.
    pub timeouts: Timeouts,
    /// Close a downstream connection after this long without a request;
    /// `None`: never. The listener's `connection_idle_timeout`.
    pub idle_timeout: Option<Duration>,
    /// Headers that tell the upstream of the client.
    pub forwarding: Forwarding,
    /// Protocols that a client may switch its connection to. Where a request
    /// asks for another one, the `upgrade` field does not travel on.
    pub upgrades: Vec<UpgradeProtocol>,
    /// How names of fields are written for clients.
    pub header_case: HeaderCase,
    /// Which bytes a target may have.
    pub target_bytes: TargetBytes,
    /// TLS towards clients; `None`: clear text.
    pub tls: Option<ListenerTls>,
}

/// One place in the filter chain.
#[derive(Clone)]
pub struct FilterEntry {
    /// Name for `per_filter_config`, metrics and logs.
    pub name: Arc<str>,
    /// What the log calls it where it answered.
    pub answers_as: AnsweredBy,
    /// Makes the filters.
    pub factory: Arc<dyn StreamFilterFactory>,
    /// What a fault does.
    pub on_fault: FaultPolicy,
    /// Counts its faults: `sidegate_filter_faults_total{listener,filter}`.
    pub faults: Counter,
    /// Counts its replies by status.
    pub replies: Arc<FilterReplies>,
}

/// The objects that one filter made of the `per_filter_config` of its
/// listener's routes and virtual hosts.
#[derive(Clone, Default)]
pub struct RouteConfigs {
    /// By number; as long as it has to be.
    by_route: Vec<Option<Arc<dyn RouteFilterConfig>>>,
    /// The same; used where the route has none.
    by_virtual_host: Vec<Option<Arc<dyn RouteFilterConfig>>>,
}

impl RouteConfigs {
    /// Sets the object of a route.
    pub fn set_route(&mut self, id: RouteId, object: Arc<dyn RouteFilterConfig>) {
        set(&mut self.by_route, id.0, object);
    }

    /// Sets the object of a virtual host.
    pub fn set_virtual_host(&mut self, id: VirtualHostId, object: Arc<dyn RouteFilterConfig>) {
        set(&mut self.by_virtual_host, id.0, object);
    }

    /// The object of a route, or else of its virtual host.
    pub fn get(&self, route: RouteId, virtual_host: VirtualHostId) -> Option<&Arc<dyn RouteFilterConfig>> {
        let of_route = self.by_route.get(route.0 as usize).and_then(Option::as_ref);
        of_route.or_else(|| self.by_virtual_host.get(virtual_host.0 as usize)?.as_ref())
    }
}

fn set(objects: &mut Vec<Option<Arc<dyn RouteFilterConfig>>>, number: u32, object: Arc<dyn RouteFilterConfig>) {
    let number = number as usize;
    if objects.len() <= number {
        objects.resize_with(number + 1, || None);
    }
    objects[number] = Some(object);
}

/// Bounds on what a client may send over HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http1Limits {
    /// Request line and fields together, in bytes; 431 above, 414 if the
    /// request line alone is over it.
    pub max_header_bytes: usize,
    /// Number of fields; 431 above.
    pub max_headers: usize,
    /// Number of fields of a response; 502 above.
    pub max_response_headers: usize,
    /// Request body in bytes; 413 above. `None`: unlimited.
    pub max_request_body: Option<u64>,
    /// Bytes of a body that a filter may hold whole: 413 for requests, 502 for
    /// responses.
    pub max_buffered_body: usize,
}

impl Default for Http1Limits {
    fn default() -> Self {
        Http1Limits {
            max_header_bytes: 8192,
            max_headers: 100,
            max_response_headers: 256,
            max_request_body: None,
            max_buffered_body: 1 << 20,
        }
    }
}

/// What a request body is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPace {
    /// Bytes per second on the average; `None`: no bound.
    pub min_rate: Option<NonZeroU64>,
    /// From the first byte of the head to the end of the body; `None`: no
    /// bound.
    pub whole: Option<Duration>,
}

impl BodyPace {
    /// No bound: for bodies of unknown length, which may be streams that last.
    pub const NONE: BodyPace = BodyPace { min_rate: None, whole: None };
    /// What holds for bodies of a known length unless said otherwise; the rate
    /// is that of Apache's `mod_reqtimeout`.
    pub const USUAL: BodyPace = BodyPace { min_rate: NonZeroU64::new(500), whole: Some(Duration::from_secs(3600)) };
}

/// How long the parts of a stream may take; `None`: no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a connection's or request's first byte to the end of its head
    /// (408).
    pub request_header: Option<Duration>,
    /// Between two reads of a request body (408).
    pub request_body_idle: Option<Duration>,
    /// What bodies of a known length are held to (408).
    pub body_pace: BodyPace,
    /// What chunked bodies are held to (408).
    pub chunked_pace: BodyPace,
    /// So long a client may wait in all before its rate counts.
    pub body_rate_grace: Duration,
    /// Between two writes that the client takes.
    pub response_write_idle: Option<Duration>,
    /// From the end of the request to the head of the response, and the whole
    /// stream upstream, unless the route says otherwise (504). MOSN: 60 s.
    pub response: Option<Duration>,
    /// Between two bytes of a tunnel, in whichever direction.
    pub tunnel_idle: Option<Duration>,
    /// How long a hook may be `Pending`, however often it is resumed, before
    /// that is a fault.
    pub filter_pending: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            request_header: Some(Duration::from_secs(10)),
            request_body_idle: Some(Duration::from_secs(60)),
            body_pace: BodyPace::USUAL,
            chunked_pace: BodyPace::NONE,
            body_rate_grace: Duration::from_secs(20),
            response_write_idle: Some(Duration::from_secs(60)),
            response: Some(Duration::from_secs(60)),
            tunnel_idle: Some(Duration::from_secs(300)),
            filter_pending: Duration::from_secs(15),
        }
    }
}

impl ProxyConfig {
    /// What `upgrades` is unless said otherwise: what browsers ask for. Bytes
    /// of a tunnel pass no filter, so each further protocol is a decision.
    pub fn default_upgrades() -> Vec<UpgradeProtocol> {
        UpgradeProtocol::parse(UpgradeProtocol::WEBSOCKET).into_iter().collect()
    }
}

/// Headers about the client that the proxy adds to upstream requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// `x-forwarded-for`.
    pub forwarded_for: ForwardedFor,
    /// `x-request-id`.
    pub request_id: RequestIdPolicy,
    /// `x-forwarded-client-cert`; `None`: it passes as it is.
    pub client_cert: Option<ForwardClientCert>,
}

/// What happens to `x-forwarded-for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedFor {
    /// The client's address is appended to what the client sent.
    #[default]
    Append,
    /// What the client sent is replaced by its address; `forwarded`,
    /// `x-real-ip` and the other `x-forwarded-*` fields are removed.
    Replace,
    /// What the client sent is removed, the fields above too.
    Remove,
    /// It passes as it is.
    Pass,
}

/// What happens to `x-forwarded-client-cert`, in Envoy's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardClientCert {
    /// Whose word counts.
    pub mode: ClientCertMode,
    /// What is said beside who the proxy is and the certificate's hash: a bit
    /// for each [`ClientCertPart`].
    parts: u8,
}

/// Whose word on a client's certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertMode {
    /// Nobody's: the field is removed.
    Sanitize,
    /// That of a client whose certificate was found good; the field is removed
    /// otherwise, as in the next two.
    ForwardOnly,
    /// The same, and what we know is appended.
    AppendForward,
    /// What we know takes its place.
    SanitizeSet,
    /// Anybody's.
    AlwaysForwardOnly,
}

/// Something of a client's certificate that the upstream may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertPart {
    /// The certificate itself, in PEM.
    Cert,
    /// Its subject.
    Subject,
    /// URIs among its alternative names.
    Uri,
    /// Names of DNS among them.
    Dns,
}

impl ForwardClientCert {
    /// With nothing said beside the hash.
    pub fn new(mode: ClientCertMode) -> Self {
        ForwardClientCert { mode, parts: 0 }
    }

    /// Says this too.
    #[must_use]
    pub fn with(self, part: ClientCertPart) -> Self {
        ForwardClientCert { parts: self.parts | 1 << part as u8, ..self }
    }

    /// Whether that is said.
    pub fn shows(&self, part: ClientCertPart) -> bool {
        self.parts & 1 << part as u8 != 0
    }
}

/// What happens to `x-request-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestIdPolicy {
    /// Made where the client sent none.
    #[default]
    KeepOrMake,
    /// Always made.
    Make,
    /// Left alone.
    Pass,
}

impl fmt::Debug for RouteConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |objects: &[Option<_>]| objects.iter().flatten().count();
        f.debug_struct("RouteConfigs")
            .field("of_routes", &count(&self.by_route))
            .field("of_virtual_hosts", &count(&self.by_virtual_host))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FilterEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterEntry").field("name", &self.name).field("factory", &self.factory).finish_non_exhaustive()
    }
}
