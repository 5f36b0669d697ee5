//! Facts of a stream by the names that configurations give them.

use sidegate_api::{Headers, StreamState, TlsFact, Variable, VariableValue, is_token};

use crate::header_name::{HeaderName, HeaderNameError};

/// Something of a stream that has a name in the configuration: one of
/// [`VARIABLE_NAMES`], or `request_header_NAME`, `response_header_NAME`,
/// `cookie_NAME`, `request_arg_NAME` (of the query, as it was sent),
/// `filter_NAME` (a variable that a filter set), or `connection_id`,
/// `upstream_connection_id`, `trace_id`, or one of [`TlsFact::NAMES`]. MOSN's names that begin with
/// `Http1_` or `Http2_` mean the same without that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamVariable(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Numbered(Variable),
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    Cookie(Box<str>),
    Argument(Box<str>),
    Filter(Box<str>),
    ConnectionId,
    UpstreamConnectionId,
    TraceId,
    Tls(TlsFact),
}

/// A text names nothing of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Nothing has that name.
    #[error("`{0}` is no variable")]
    Unknown(Box<str>),
    /// It says something of the response, or of the choice itself.
    #[error("variable `{0}` has no value yet when a route or cluster is chosen")]
    TooLate(Box<str>),
    /// `request_header_` or `response_header_` without a header's name.
    #[error(transparent)]
    Header(#[from] HeaderNameError),
}

/// Names of variables, MOSN's and our own.
pub const VARIABLE_NAMES: [(&str, Variable); 47] = [
    ("method", Variable::Method),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("request_uri", Variable::Target),
    ("host", Variable::Authority),
    ("scheme", Variable::Scheme),
    ("protocol", Variable::Protocol),
    ("request_id", Variable::RequestId),
    ("response_code", Variable::Status),
    ("bytes_received", Variable::BytesReceived),
    ("bytes_sent", Variable::BytesSent),
    ("downstream_remote_address", Variable::DownstreamRemoteAddress),
    ("downstream_remote_ip", Variable::DownstreamRemoteIp),
    ("downstream_local_address", Variable::DownstreamLocalAddress),
    ("listener", Variable::ListenerName),
    ("virtual_host", Variable::VirtualHost),
    ("route_name", Variable::RouteName),
    ("cluster", Variable::ClusterName),
    ("upstream_cluster", Variable::ClusterName),
    ("upstream_host", Variable::UpstreamHost),
    ("requested_server_name", Variable::TlsServerName),
    ("tls_peer_subject", Variable::TlsPeerSubject),
    ("tls_peer_verified", Variable::TlsPeerVerified),
    ("tls_peer_issuer", Variable::TlsPeerIssuer),
    ("tls_peer_serial", Variable::TlsPeerSerial),
    ("tls_peer_sha256", Variable::TlsPeerSha256),
    ("tls_peer_key_sha256", Variable::TlsPeerKeySha256),
    ("tls_peer_uri_san", Variable::TlsPeerUriSan),
    ("tls_peer_dns_san", Variable::TlsPeerDnsSan),
    ("tls_peer_ip_san", Variable::TlsPeerIpSan),
    ("tls_peer_email_san", Variable::TlsPeerEmailSan),
    ("tls_peer_spiffe_id", Variable::TlsPeerSpiffeId),
    ("tls_peer_not_before", Variable::TlsPeerNotBefore),
    ("tls_peer_not_after", Variable::TlsPeerNotAfter),
    ("tls_peer_pem", Variable::TlsPeerPem),
    ("tls_peer_pem_url", Variable::TlsPeerPemUrl),
    ("x-mosn-method", Variable::Method),
    ("x-mosn-path", Variable::Path),
    ("x-mosn-querystring", Variable::Query),
    ("x-mosn-host", Variable::Authority),
    ("response_details", Variable::ResponseDetails),
    ("original_target", Variable::OriginalTarget),
    ("request_method", Variable::Method),
    ("request_path", Variable::Path),
    ("request_arg", Variable::Query),
    ("request_scheme", Variable::Scheme),
    ("x-mosn-scheme", Variable::Scheme),
];

impl StreamVariable {
    /// The variable called `name`.
    pub fn parse(name: &str) -> Result<Self, VariableError> {
        let unknown = || VariableError::Unknown(name.into());
        let name = name.strip_prefix("Http1_").or_else(|| name.strip_prefix("Http2_")).unwrap_or(name);
        if let Some((_, variable)) = VARIABLE_NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(StreamVariable(Kind::Numbered(*variable)));
        }
        let own = match name {
            "connection_id" => Some(Kind::ConnectionId),
            "upstream_connection_id" => Some(Kind::UpstreamConnectionId),
            "trace_id" => Some(Kind::TraceId),
            _ => TlsFact::named(name).map(Kind::Tls),
        };
        if let Some(kind) = own {
            return Ok(StreamVariable(kind));
        }
        let kind = if let Some(header) = name.strip_prefix("request_header_") {
            Kind::RequestHeader(HeaderName::parse_readable(header)?)
        } else if let Some(header) = name.strip_prefix("response_header_") {
            Kind::ResponseHeader(HeaderName::parse_readable(header)?)
        } else if let Some(cookie) = name.strip_prefix("cookie_").filter(|cookie| is_token(cookie.as_bytes())) {
            Kind::Cookie(cookie.into())
        } else if let Some(argument) = name.strip_prefix("request_arg_").filter(|argument| !argument.is_empty()) {
            Kind::Argument(argument.into())
        } else if let Some(shared) = name.strip_prefix("filter_").filter(|shared| !shared.is_empty()) {
            Kind::Filter(shared.into())
        } else {
            return Err(unknown());
        };
        Ok(StreamVariable(kind))
    }

    /// The same, if the variable can have a value before the route is known.
    pub fn parse_early(name: &str) -> Result<Self, VariableError> {
        let variable = Self::parse(name)?;
        match &variable.0 {
            Kind::ResponseHeader(_)
            | Kind::UpstreamConnectionId
            | Kind::Numbered(
                Variable::Status
                | Variable::VirtualHost
                | Variable::RouteName
                | Variable::ClusterName
                | Variable::UpstreamHost
                | Variable::BytesReceived
                | Variable::BytesSent
                | Variable::ResponseFlags
                | Variable::ResponseDetails,
            ) => Err(VariableError::TooLate(name.into())),
            _ => Ok(variable),
        }
    }

    /// Its value now, if it has one.
    pub fn get<'s>(&self, stream: &'s StreamState) -> Option<VariableValue<'s>> {
        let bytes = match &self.0 {
            Kind::Numbered(variable) => return variable.get(stream),
            Kind::RequestHeader(name) if name.is_host() => stream.request.authority.as_bytes(),
            Kind::RequestHeader(name) => stream.request.headers.get(name.as_bytes())?,
            Kind::ResponseHeader(name) => stream.response.headers.get(name.as_bytes())?,
            Kind::Cookie(name) => cookie(&stream.request.headers, name.as_bytes())?,
            Kind::Argument(name) => argument(stream.request.query()?, name)?,
            Kind::Filter(name) => stream.named.get(name.as_bytes())?,
            Kind::TraceId => stream.trace_id()?,
            Kind::Tls(fact) => fact.of(&stream.info.connection.as_ref()?.tls.as_ref()?.agreed)?.as_bytes(),
            Kind::ConnectionId => return Some(VariableValue::Integer(stream.info.connection.as_ref()?.id)),
            Kind::UpstreamConnectionId => return Some(VariableValue::Integer(stream.info.upstream_connection?)),
        };
        Some(VariableValue::Bytes(bytes))
    }
}

/// The value of the first cookie called `name` that a request carries.
pub(crate) fn cookie<'h>(headers: &'h Headers, name: &[u8]) -> Option<&'h [u8]> {
    let pairs = headers.get_all(b"cookie").flat_map(|value| value.split(|b| *b == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

fn argument<'q>(query: &'q str, name: &str) -> Option<&'q [u8]> {
    query.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (found == name).then_some(value.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, stream: &StreamState) -> Option<String> {
        match StreamVariable::parse(name).unwrap().get(stream)? {
            VariableValue::Bytes(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            VariableValue::Integer(number) => Some(number.to_string()),
        }
    }

    #[test]
    fn every_kind_has_its_value() {
        let mut stream = StreamState::default();
        stream.request.set_target("/a?x=1&y&xy=2&x=3");
        stream.request.authority.push_str("a.b");
        for (name, value) in [("cookie", "ab=1; a=2"), ("cookie", "c=; d==4"), ("h", "v")] {
            stream.request.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        stream.named.set(b"tenant", b"blue").unwrap();
        stream.info.upstream_connection = Some(9);
        let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        stream.request.headers.add(b"traceparent", parent).unwrap();
        for (name, value) in [
            ("Http1_request_path", Some("/a")),
            ("x-mosn-path", Some("/a")),
            ("request_header_H", Some("v")),
            ("request_header_host", Some("a.b")),
            ("request_header_none", None),
            ("cookie_a", Some("2")),
            ("cookie_c", Some("")),
            ("cookie_d", Some("=4")),
            ("cookie_b", None),
            ("request_arg_x", Some("1")),
            ("Http1_request_arg_y", Some("")),
            ("Http2_request_path", Some("/a")),
            ("request_arg_z", None),
            ("filter_Tenant", Some("blue")),
            ("filter_none", None),
            ("response_code", None),
            ("connection_id", None),
            ("upstream_connection_id", Some("9")),
            ("trace_id", Some("4bf92f3577b34da6a3ce929d0e0e4736")),
        ] {
            assert_eq!(shown(name, &stream).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "nope", "cookie_", "cookie_a b", "request_arg_", "filter_", "Path"] {
            assert_eq!(StreamVariable::parse(name), Err(VariableError::Unknown(name.into())), "{name}");
        }
        let error = StreamVariable::parse("request_header_").unwrap_err();
        assert_eq!(error, VariableError::Header(HeaderNameError::NotAToken));
        for name in ["response_code", "upstream_host", "cluster", "response_header_a"] {
            assert_eq!(StreamVariable::parse_early(name), Err(VariableError::TooLate(name.into())), "{name}");
        }
        assert!(StreamVariable::parse_early("downstream_remote_ip").is_ok());
    }

    #[test]
    fn every_name_is_listed_once() {
        for (index, (name, _)) in VARIABLE_NAMES.iter().enumerate() {
            assert!(VARIABLE_NAMES[..index].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
