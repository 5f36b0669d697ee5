//! The variables without parameters.

use std::time::SystemTime;

use sidegate_api::{Completion, PeerFact, ResetBy, ResponseFlags, StreamState, TlsFact, Variable, VariableValue};

use super::needs::LogNeeds;
use super::value::Value;

/// A variable that stands for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    StartTime,
    Duration,
    RequestReceived,
    RequestForwarded,
    ResponseReceived,
    Process,
    RequestLength,
    BytesReceived,
    BytesSent,
    ResponseCode,
    ResponseFlags,
    ResetBy,
    OriginalPath,
    ListenerPort,
    UpstreamLocalAddress,
    UpstreamFailure,
    UpstreamAttempts,
    ConnectionId,
    UpstreamConnectionId,
    TraceId,
    UpstreamProtocol,
    /// Of the client's connection.
    Tls(TlsFact),
    /// Of the connection to the host.
    UpstreamTls(TlsFact),
    /// Of the host that was reached.
    UpstreamPeer(PeerFact),
    /// A variable that filters know too.
    Stream(Variable),
}

impl Fact {
    /// MOSN's names and our own. Where there are several for one thing, the
    /// first is the one to recommend.
    pub(super) const NAMES: [(&str, Fact); 104] = [
        ("start_time", Fact::StartTime),
        ("duration", Fact::Duration),
        ("request_finished_duration", Fact::Duration),
        ("request_received_duration", Fact::RequestReceived),
        ("request_forwarded_duration", Fact::RequestForwarded),
        ("response_received_duration", Fact::ResponseReceived),
        ("process_time_duration", Fact::Process),
        ("process_duration", Fact::Process),
        ("request_length", Fact::RequestLength),
        ("bytes_received", Fact::BytesReceived),
        ("bytes_sent", Fact::BytesSent),
        ("protocol", Fact::Stream(Variable::Protocol)),
        ("downstream_protocol", Fact::Stream(Variable::Protocol)),
        ("upstream_protocol", Fact::UpstreamProtocol),
        ("connection_id", Fact::ConnectionId),
        ("upstream_connection_id", Fact::UpstreamConnectionId),
        ("trace_id", Fact::TraceId),
        ("method", Fact::Stream(Variable::Method)),
        ("request_method", Fact::Stream(Variable::Method)),
        ("x-mosn-method", Fact::Stream(Variable::Method)),
        ("scheme", Fact::Stream(Variable::Scheme)),
        ("request_scheme", Fact::Stream(Variable::Scheme)),
        ("x-mosn-scheme", Fact::Stream(Variable::Scheme)),
        ("authority", Fact::Stream(Variable::Authority)),
        ("x-mosn-host", Fact::Stream(Variable::Authority)),
        ("path", Fact::Stream(Variable::Path)),
        ("request_path", Fact::Stream(Variable::Path)),
        ("x-mosn-path", Fact::Stream(Variable::Path)),
        ("original_path", Fact::OriginalPath),
        ("request_path_original", Fact::OriginalPath),
        ("x-mosn-path-original", Fact::OriginalPath),
        ("original_target", Fact::Stream(Variable::OriginalTarget)),
        ("query", Fact::Stream(Variable::Query)),
        ("request_arg", Fact::Stream(Variable::Query)),
        ("x-mosn-querystring", Fact::Stream(Variable::Query)),
        ("target", Fact::Stream(Variable::Target)),
        ("request_uri", Fact::Stream(Variable::Target)),
        ("response_code", Fact::ResponseCode),
        ("x-mosn-status", Fact::ResponseCode),
        ("response_flag", Fact::ResponseFlags),
        ("response_flags", Fact::ResponseFlags),
        ("response_details", Fact::Stream(Variable::ResponseDetails)),
        ("reply_filter", Fact::Stream(Variable::ReplyFilter)),
        ("reply_module", Fact::Stream(Variable::ReplyModule)),
        ("reset_by", Fact::ResetBy),
        ("request_id", Fact::Stream(Variable::RequestId)),
        ("listener", Fact::Stream(Variable::ListenerName)),
        ("listener_name", Fact::Stream(Variable::ListenerName)),
        ("listener_port", Fact::ListenerPort),
        ("virtual_host", Fact::Stream(Variable::VirtualHost)),
        ("route", Fact::Stream(Variable::RouteName)),
        ("route_name", Fact::Stream(Variable::RouteName)),
        ("upstream_cluster", Fact::Stream(Variable::ClusterName)),
        ("upstream_host", Fact::Stream(Variable::UpstreamHost)),
        ("upstream_local_address", Fact::UpstreamLocalAddress),
        ("upstream_attempts", Fact::UpstreamAttempts),
        ("upstream_transport_failure_reason", Fact::UpstreamFailure),
        ("downstream_remote_address", Fact::Stream(Variable::DownstreamRemoteAddress)),
        ("downstream_remote_ip", Fact::Stream(Variable::DownstreamRemoteIp)),
        ("downstream_local_address", Fact::Stream(Variable::DownstreamLocalAddress)),
        ("requested_server_name", Fact::Stream(Variable::TlsServerName)),
        ("tls_version", Fact::Tls(TlsFact::Version)),
        ("tls_cipher", Fact::Tls(TlsFact::Cipher)),
        ("tls_group", Fact::Tls(TlsFact::Group)),
        ("tls_alpn", Fact::Tls(TlsFact::Alpn)),
        ("tls_resumed", Fact::Tls(TlsFact::Resumed)),
        ("tls_session_reused", Fact::Tls(TlsFact::Resumed)),
        ("upstream_tls_version", Fact::UpstreamTls(TlsFact::Version)),
        ("upstream_tls_cipher", Fact::UpstreamTls(TlsFact::Cipher)),
        ("upstream_tls_group", Fact::UpstreamTls(TlsFact::Group)),
        ("upstream_tls_alpn", Fact::UpstreamTls(TlsFact::Alpn)),
        ("upstream_tls_resumed", Fact::UpstreamTls(TlsFact::Resumed)),
        ("upstream_tls_session_reused", Fact::UpstreamTls(TlsFact::Resumed)),
        ("tls_peer_subject", Fact::Stream(Variable::TlsPeerSubject)),
        ("tls_peer_verified", Fact::Stream(Variable::TlsPeerVerified)),
        ("tls_peer_issuer", Fact::Stream(Variable::TlsPeerIssuer)),
        ("tls_peer_serial", Fact::Stream(Variable::TlsPeerSerial)),
        ("tls_peer_sha256", Fact::Stream(Variable::TlsPeerSha256)),
        ("tls_peer_key_sha256", Fact::Stream(Variable::TlsPeerKeySha256)),
        ("tls_peer_uri_san", Fact::Stream(Variable::TlsPeerUriSan)),
        ("tls_peer_dns_san", Fact::Stream(Variable::TlsPeerDnsSan)),
        ("tls_peer_ip_san", Fact::Stream(Variable::TlsPeerIpSan)),
        ("tls_peer_email_san", Fact::Stream(Variable::TlsPeerEmailSan)),
        ("tls_peer_spiffe_id", Fact::Stream(Variable::TlsPeerSpiffeId)),
        ("tls_peer_not_before", Fact::Stream(Variable::TlsPeerNotBefore)),
        ("tls_peer_not_after", Fact::Stream(Variable::TlsPeerNotAfter)),
        ("tls_peer_pem", Fact::Stream(Variable::TlsPeerPem)),
        ("tls_peer_pem_url", Fact::Stream(Variable::TlsPeerPemUrl)),
        ("upstream_tls_peer_subject", Fact::UpstreamPeer(PeerFact::Subject)),
        ("upstream_tls_peer_issuer", Fact::UpstreamPeer(PeerFact::Issuer)),
        ("upstream_tls_peer_serial", Fact::UpstreamPeer(PeerFact::Serial)),
        ("upstream_tls_peer_sha256", Fact::UpstreamPeer(PeerFact::Sha256)),
        ("upstream_tls_peer_uri_san", Fact::UpstreamPeer(PeerFact::Uris)),
        ("upstream_tls_peer_dns_san", Fact::UpstreamPeer(PeerFact::DnsNames)),
        ("upstream_tls_peer_ip_san", Fact::UpstreamPeer(PeerFact::Addresses)),
        ("upstream_tls_peer_spiffe_id", Fact::UpstreamPeer(PeerFact::SpiffeId)),
        ("upstream_tls_peer_not_after", Fact::UpstreamPeer(PeerFact::NotAfter)),
        // MOSN registers these once more for the protocol; those of `Http2_` are the same.
        ("Http1_request_length", Fact::RequestLength),
        ("Http1_request_method", Fact::Stream(Variable::Method)),
        ("Http1_request_scheme", Fact::Stream(Variable::Scheme)),
        ("Http1_request_path", Fact::Stream(Variable::Path)),
        ("Http1_request_path_original", Fact::OriginalPath),
        ("Http1_request_uri", Fact::Stream(Variable::Target)),
        ("Http1_request_arg", Fact::Stream(Variable::Query)),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let of_http2 = name.strip_prefix("Http2_");
        let is_it = |known: &str| match of_http2 {
            Some(name) => known.strip_prefix("Http1_") == Some(name),
            None => known == name,
        };
        Self::NAMES.iter().find(|(known, _)| is_it(known)).map(|(_, fact)| *fact)
    }

    pub(super) fn needs(self) -> LogNeeds {
        LogNeeds {
            received: self == Fact::RequestReceived,
            upstream_local: self == Fact::UpstreamLocalAddress,
            upstream_tls: matches!(self, Fact::UpstreamTls(_)),
            original_target: self == Fact::OriginalPath,
            upstream_peer: matches!(self, Fact::UpstreamPeer(_)),
            ..LogNeeds::default()
        }
    }

    pub(super) fn of<'a>(self, stream: &'a StreamState, completion: &Completion) -> Value<'a> {
        let info = &stream.info;
        match self {
            // The stream's own clock is monotonic and knows no date.
            Fact::StartTime => {
                let now = SystemTime::now();
                Value::Time(now.checked_sub(completion.duration).unwrap_or(now))
            }
            Fact::Duration => Value::Duration(completion.duration),
            Fact::RequestReceived => Value::micros(info.received_us),
            Fact::RequestForwarded => Value::micros(info.forwarded_us),
            Fact::ResponseReceived => completion.upstream_duration.map_or(Value::Absent, Value::Duration),
            Fact::Process => Value::Duration(completion.process_duration),
            Fact::RequestLength => {
                let length = u64::from(info.head_bytes) + completion.bytes_received;
                Value::integer(Some(length).filter(|length| *length != 0))
            }
            Fact::BytesReceived => Value::Integer(completion.bytes_received),
            Fact::BytesSent => Value::Integer(completion.bytes_sent),
            Fact::ResponseCode => Value::integer(Some(completion.status.into()).filter(|status| *status != 0)),
            Fact::ResponseFlags => Value::Flags(completion.flags),
            Fact::ResetBy => match completion.reset_by {
                ResetBy::Nobody => Value::Absent,
                ResetBy::Downstream => Value::Name("downstream"),
                ResetBy::Upstream => Value::Name("upstream"),
                ResetBy::Filter => Value::Name("filter"),
                ResetBy::Proxy => Value::Name("proxy"),
            },
            Fact::OriginalPath => {
                let path = info.original_target.split('?').next().filter(|path| !path.is_empty());
                Value::word(path.map(str::as_bytes))
            }
            Fact::ListenerPort => {
                let local = info.connection.as_ref().and_then(|connection| connection.local.address().socket_addr());
                Value::integer(local.map(|address| address.port().into()))
            }
            Fact::UpstreamLocalAddress => {
                Value::word(info.upstream_local.as_ref().map(|address| address.as_str().as_bytes()))
            }
            Fact::UpstreamAttempts => Value::integer(Some(info.attempts.into()).filter(|count| *count != 0)),
            Fact::ConnectionId => Value::integer(info.connection.as_ref().map(|connection| connection.id)),
            Fact::UpstreamConnectionId => Value::integer(info.upstream_connection),
            Fact::TraceId => Value::word(stream.trace_id()),
            Fact::UpstreamProtocol if info.upstream_connection.is_some() => {
                Value::Name(info.upstream_protocol.as_str())
            }
            Fact::UpstreamProtocol => Value::Absent,
            Fact::Tls(fact) => {
                let tls = info.connection.as_ref().and_then(|connection| connection.tls.as_ref());
                tls.and_then(|tls| fact.of(&tls.agreed)).map_or(Value::Absent, Value::Name)
            }
            Fact::UpstreamTls(fact) => {
                info.upstream_tls.as_ref().and_then(|agreed| fact.of(agreed)).map_or(Value::Absent, Value::Name)
            }
            Fact::UpstreamFailure if is_upstream_failure(completion.flags) && !info.details.is_empty() => {
                Value::Name(info.details)
            }
            Fact::UpstreamFailure => Value::Absent,
            Fact::UpstreamPeer(fact) => {
                Value::text(info.upstream_peer.as_ref().and_then(|peer| peer.get(fact)).map(str::as_bytes))
            }
            Fact::Stream(variable) => match variable.get(stream) {
                Some(VariableValue::Bytes(bytes)) => Value::Word(bytes),
                Some(VariableValue::Integer(number)) => Value::Integer(number),
                None => Value::Absent,
            },
        }
    }
}

fn is_upstream_failure(flags: ResponseFlags) -> bool {
    let of_upstream = [
        ResponseFlags::NO_HEALTHY_UPSTREAM,
        ResponseFlags::UPSTREAM_CONNECT,
        ResponseFlags::UPSTREAM_CLOSED,
        ResponseFlags::UPSTREAM_TIMEOUT,
        ResponseFlags::UPSTREAM_PROTOCOL,
        ResponseFlags::OVERFLOW,
    ];
    of_upstream.into_iter().any(|flag| flags.contains(flag))
}
