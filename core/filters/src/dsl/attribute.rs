//! What expressions may ask of a stream: MOSN's attributes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use sidegate_api::{PeerText, StreamState, Variable, VariableValue, whole_micros};

use super::clock::{Span, Stamp};
use super::kind::{Kind, Map, Value};

/// A fact of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    ConnectionId,
    ConnectionMtls,
    /// Of the client's TLS.
    Connection(Variable),
    ContextProtocol,
    ContextReporterKind,
    ContextTime,
    DestinationIp,
    DestinationPort,
    ServiceHost,
    ServiceName,
    ServiceNamespace,
    OriginIp,
    RequestHeaders,
    RequestHost,
    RequestId,
    RequestMethod,
    RequestPath,
    RequestQueryParams,
    RequestReferer,
    RequestScheme,
    RequestSize,
    RequestTime,
    RequestTotalSize,
    RequestUrlPath,
    RequestUserAgent,
    ResponseCode,
    ResponseDuration,
    ResponseHeaders,
    ResponseSize,
    ResponseTime,
    ResponseTotalSize,
    SourceIp,
}

use Attribute as A;

/// Every attribute, sorted by name.
pub(super) const ATTRIBUTES: &[(&str, Attribute, Kind)] = &[
    ("connection.dns_san_peer_certificate", A::Connection(Variable::TlsPeerDnsSan), Kind::Text),
    ("connection.id", A::ConnectionId, Kind::Text),
    ("connection.mtls", A::ConnectionMtls, Kind::Bool),
    ("connection.requested_server_name", A::Connection(Variable::TlsServerName), Kind::Text),
    ("connection.serial_peer_certificate", A::Connection(Variable::TlsPeerSerial), Kind::Text),
    ("connection.sha256_peer_certificate_digest", A::Connection(Variable::TlsPeerSha256), Kind::Text),
    ("connection.spiffe_id_peer_certificate", A::Connection(Variable::TlsPeerSpiffeId), Kind::Text),
    ("connection.subject_peer_certificate", A::Connection(Variable::TlsPeerSubject), Kind::Text),
    ("connection.tls_version", A::Connection(Variable::TlsVersion), Kind::Text),
    ("connection.uri_san_peer_certificate", A::Connection(Variable::TlsPeerUriSan), Kind::Text),
    ("context.protocol", A::ContextProtocol, Kind::Text),
    ("context.reporter.kind", A::ContextReporterKind, Kind::Text),
    ("context.time", A::ContextTime, Kind::Stamp),
    ("context.timestamp", A::ContextTime, Kind::Stamp),
    ("destination.ip", A::DestinationIp, Kind::Ip),
    ("destination.port", A::DestinationPort, Kind::Int),
    ("destination.service.host", A::ServiceHost, Kind::Text),
    ("destination.service.name", A::ServiceName, Kind::Text),
    ("destination.service.namespace", A::ServiceNamespace, Kind::Text),
    ("origin.ip", A::OriginIp, Kind::Ip),
    ("request.headers", A::RequestHeaders, Kind::Map),
    ("request.host", A::RequestHost, Kind::Text),
    ("request.id", A::RequestId, Kind::Text),
    ("request.method", A::RequestMethod, Kind::Text),
    ("request.path", A::RequestPath, Kind::Text),
    ("request.query_params", A::RequestQueryParams, Kind::Map),
    ("request.referer", A::RequestReferer, Kind::Text),
    ("request.scheme", A::RequestScheme, Kind::Text),
    ("request.size", A::RequestSize, Kind::Int),
    ("request.time", A::RequestTime, Kind::Stamp),
    ("request.total_size", A::RequestTotalSize, Kind::Int),
    ("request.url_path", A::RequestUrlPath, Kind::Text),
    ("request.useragent", A::RequestUserAgent, Kind::Text),
    ("response.code", A::ResponseCode, Kind::Int),
    ("response.duration", A::ResponseDuration, Kind::Span),
    ("response.headers", A::ResponseHeaders, Kind::Map),
    ("response.size", A::ResponseSize, Kind::Int),
    ("response.time", A::ResponseTime, Kind::Stamp),
    ("response.total_size", A::ResponseTotalSize, Kind::Int),
    ("source.ip", A::SourceIp, Kind::Ip),
];

impl Attribute {
    /// Its value, if there is one now.
    pub(super) fn get(self, stream: &StreamState) -> Option<Value<'_>> {
        let (request, response, info) = (&stream.request, &stream.response, &stream.info);
        let connection = info.connection.as_deref();
        let host = info.upstream_host.as_deref();
        let header = |name: &[u8]| request.headers.get(name).map(String::from_utf8_lossy);
        Some(match self {
            A::ConnectionId => Value::text(connection?.id.to_string()),
            A::ConnectionMtls => Value::Bool(connection?.tls.as_ref()?.peer.is_some()),
            A::Connection(variable) => match variable.get(stream)? {
                VariableValue::Bytes(text) => Value::Text(String::from_utf8_lossy(text)),
                VariableValue::Integer(number) => Value::Int(signed(number)),
            },
            A::ContextProtocol => Value::text("http"),
            A::ContextReporterKind => Value::text(service(stream)?.kind),
            A::ContextTime | A::ResponseTime => Value::Stamp(Stamp::now()),
            A::DestinationIp => Value::Ip(Some(ip(host?)?)),
            A::DestinationPort => Value::Int(host?.address().socket_addr()?.port().into()),
            A::ServiceHost => Value::text(service(stream)?.host),
            A::ServiceName => Value::text(service(stream)?.name()?.0),
            A::ServiceNamespace => Value::text(service(stream)?.name()?.1),
            A::OriginIp => Value::Ip(Some(ip(&connection?.local)?)),
            A::RequestHeaders => Value::Map(Map::RequestHeaders),
            A::RequestHost => Value::Text(there(&request.authority)?),
            A::RequestId => Value::Text(there(&info.request_id)?),
            A::RequestMethod => Value::text(request.method.as_str()),
            A::RequestPath => Value::Text(there(request.path())?),
            A::RequestQueryParams => {
                request.query().filter(|query| !query.is_empty()).map(|_| Value::Map(Map::Query))?
            }
            A::RequestReferer => Value::Text(header(b"referer")?),
            A::RequestScheme => Value::text(request.scheme),
            A::RequestSize => Value::Int(signed(request_size(stream))),
            A::RequestTime => {
                let since = info.start.map(|start| start.elapsed()).unwrap_or_default();
                Value::Stamp(Stamp(Stamp::now().0.saturating_sub(signed(since.as_nanos() as u64))))
            }
            A::RequestTotalSize => Value::Int(signed(request_size(stream) + request.headers.byte_len() as u64)),
            A::RequestUrlPath => Value::Text(there(request.target())?),
            A::RequestUserAgent => Value::Text(header(b"user-agent")?),
            A::ResponseCode => Value::Int(response.status.into()),
            A::ResponseDuration => Value::Span(Span(info.start.map_or(0, |start| {
                signed(whole_micros(Instant::now().saturating_duration_since(start)).saturating_mul(1000))
            }))),
            A::ResponseHeaders => Value::Map(Map::ResponseHeaders),
            A::ResponseSize => Value::Int(signed(info.bytes_sent)),
            A::ResponseTotalSize => Value::Int(signed(info.bytes_sent + response.headers.byte_len() as u64)),
            A::SourceIp => Value::Ip(Some(ip(&connection?.remote)?)),
        })
    }
}

/// What was announced, or else what has come.
fn request_size(stream: &StreamState) -> u64 {
    let announced = stream.request.headers.get(b"content-length");
    let announced: Option<u64> = announced.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    announced.unwrap_or_default().max(stream.info.bytes_received)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn there(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn ip(peer: &PeerText) -> Option<IpAddr> {
    Some(peer.address().ip()?.to_canonical())
}

/// What a cluster's name says of a service: `outbound|port|version|host`.
struct Service<'n> {
    kind: &'n str,
    host: &'n str,
}

impl<'n> Service<'n> {
    /// Name and namespace, the first labels of three or more.
    fn name(&self) -> Option<(&'n str, &'n str)> {
        let (name, rest) = self.host.split_once('.')?;
        Some((name, rest.split_once('.')?.0))
    }
}

fn service(stream: &StreamState) -> Option<Service<'_>> {
    let mut parts = stream.info.cluster.as_deref()?.split('|');
    let (kind, _port, _version, host) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(Service { kind, host })
}

impl Map {
    /// The value of `key`; of fields that repeat the first one's.
    pub(super) fn get<'s>(self, key: &str, stream: &'s StreamState) -> Option<Cow<'s, str>> {
        match self {
            Map::RequestHeaders if key.eq_ignore_ascii_case("host") => there(&stream.request.authority),
            Map::RequestHeaders => header(&stream.request.headers, key),
            Map::ResponseHeaders => header(&stream.response.headers, key),
            Map::Query => crate::query::argument(stream.request.query()?, key),
            Map::Empty => None,
        }
    }
}

fn header<'s>(headers: &'s sidegate_api::Headers, name: &str) -> Option<Cow<'s, str>> {
    // Names in the map are in lower case; few expressions write others.
    let value = if name.bytes().any(|b| b.is_ascii_uppercase()) {
        headers.get(name.to_ascii_lowercase().as_bytes())
    } else {
        headers.get(name.as_bytes())
    };
    value.map(String::from_utf8_lossy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_no_two_are_the_same() {
        assert!(ATTRIBUTES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn services_are_read_from_names_of_clusters() {
        let mut stream = StreamState::default();
        let values = |stream: &StreamState| {
            [A::ContextReporterKind, A::ServiceHost, A::ServiceName, A::ServiceNamespace]
                .map(|one| one.get(stream).and_then(|value| value.into_text().ok().map(Cow::into_owned)))
        };
        stream.info.cluster = Some("outbound|80|v1|shop.default.svc.local".into());
        let expected = ["outbound", "shop.default.svc.local", "shop", "default"].map(|text| Some(text.to_owned()));
        assert_eq!(values(&stream), expected);
        for plain in ["shop", "a|b|c", "a|b|c|d|e"] {
            stream.info.cluster = Some(plain.into());
            assert_eq!(values(&stream), [const { None }; 4], "{plain}");
        }
    }
}
