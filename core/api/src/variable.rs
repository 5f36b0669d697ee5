//! Numbered and named variables of a stream.

use crate::{ConnectionInfo, HeaderLimit, Headers, PeerFact, StreamState};

/// A fact of a stream that filters, access logs and matchers can name. The
/// numbers are those of the module ABI; they are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Variable {
    /// Request method.
    Method = 1,
    /// Path without query.
    Path = 2,
    /// Query without `?`.
    Query = 3,
    /// Path and query.
    Target = 4,
    /// Host and optional port.
    Authority = 5,
    /// `http` or `https`.
    Scheme = 6,
    /// Response status; absent until there is a response.
    Status = 7,
    /// `HTTP/1.0` or `HTTP/1.1`.
    Protocol = 8,
    /// Client's `IP:port`.
    DownstreamRemoteAddress = 9,
    /// Our `IP:port` on the client's side.
    DownstreamLocalAddress = 10,
    /// Name of the listener.
    ListenerName = 11,
    /// Name of the virtual host.
    VirtualHost = 12,
    /// Name or match of the route.
    RouteName = 13,
    /// Name of the cluster.
    ClusterName = 14,
    /// Upstream host's `IP:port`.
    UpstreamHost = 15,
    /// `x-request-id`.
    RequestId = 16,
    /// Client's IP address.
    DownstreamRemoteIp = 17,
    /// Subject of the client's TLS certificate, if it was found good; absent
    /// without TLS.
    TlsPeerSubject = 18,
    /// Server name the client asked for in TLS; absent without TLS.
    TlsServerName = 19,
    /// Request body bytes so far.
    BytesReceived = 20,
    /// Response body bytes so far.
    BytesSent = 21,
    /// Response flags as bits.
    ResponseFlags = 22,
    /// One word on why the proxy replied itself.
    ResponseDetails = 23,
    /// The target as the client sent it.
    OriginalTarget = 24,
    /// Name of the filter that answered or failed.
    ReplyFilter = 25,
    /// Name of the module of that filter; absent if it is built in.
    ReplyModule = 26,
    /// `true` if the client's TLS certificate was found good, else `false`;
    /// absent without TLS.
    TlsPeerVerified = 27,
    /// Issuer of the client's TLS certificate. This and all of the client's
    /// certificate is absent unless it was found good.
    TlsPeerIssuer = 28,
    /// Its serial number, hexadecimal.
    TlsPeerSerial = 29,
    /// SHA-256 of it, hexadecimal.
    TlsPeerSha256 = 30,
    /// SHA-256 of its public key, base64.
    TlsPeerKeySha256 = 31,
    /// URIs among its alternative names, with commas.
    TlsPeerUriSan = 32,
    /// Names of DNS among them, with commas.
    TlsPeerDnsSan = 33,
    /// Addresses among them, with commas.
    TlsPeerIpSan = 34,
    /// Mail addresses among them, with commas.
    TlsPeerEmailSan = 35,
    /// Its only URI, if that is an identity of SPIFFE.
    TlsPeerSpiffeId = 36,
    /// From when on it is good: RFC 3339.
    TlsPeerNotBefore = 37,
    /// Until when: RFC 3339.
    TlsPeerNotAfter = 38,
    /// The certificate in PEM.
    TlsPeerPem = 39,
    /// The same, escaped for URLs.
    TlsPeerPemUrl = 40,
    /// `TLSv1.3` or `TLSv1.2`; absent without TLS.
    TlsVersion = 41,
    /// The cipher, as in the IANA registry; absent without TLS.
    TlsCipher = 42,
}

/// Value of a numbered variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableValue<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number.
    Integer(u64),
}

impl Variable {
    /// All variables, for documentation and lookup.
    pub const ALL: [Variable; 42] = [
        Variable::Method,
        Variable::Path,
        Variable::Query,
        Variable::Target,
        Variable::Authority,
        Variable::Scheme,
        Variable::Status,
        Variable::Protocol,
        Variable::DownstreamRemoteAddress,
        Variable::DownstreamLocalAddress,
        Variable::ListenerName,
        Variable::VirtualHost,
        Variable::RouteName,
        Variable::ClusterName,
        Variable::UpstreamHost,
        Variable::RequestId,
        Variable::DownstreamRemoteIp,
        Variable::TlsPeerSubject,
        Variable::TlsServerName,
        Variable::BytesReceived,
        Variable::BytesSent,
        Variable::ResponseFlags,
        Variable::ResponseDetails,
        Variable::OriginalTarget,
        Variable::ReplyFilter,
        Variable::ReplyModule,
        Variable::TlsPeerVerified,
        Variable::TlsPeerIssuer,
        Variable::TlsPeerSerial,
        Variable::TlsPeerSha256,
        Variable::TlsPeerKeySha256,
        Variable::TlsPeerUriSan,
        Variable::TlsPeerDnsSan,
        Variable::TlsPeerIpSan,
        Variable::TlsPeerEmailSan,
        Variable::TlsPeerSpiffeId,
        Variable::TlsPeerNotBefore,
        Variable::TlsPeerNotAfter,
        Variable::TlsPeerPem,
        Variable::TlsPeerPemUrl,
        Variable::TlsVersion,
        Variable::TlsCipher,
    ];

    /// The variable with this ABI number.
    pub fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    /// Its value in `stream`, if it has one now.
    pub fn get(self, stream: &StreamState) -> Option<VariableValue<'_>> {
        let info = &stream.info;
        let connection = info.connection.as_deref();
        let text = match self {
            Variable::Method => stream.request.method.as_str(),
            Variable::Path => stream.request.path(),
            Variable::Query => stream.request.query()?,
            Variable::Target => stream.request.target(),
            Variable::Authority => &stream.request.authority,
            Variable::Scheme => stream.request.scheme,
            Variable::Protocol => info.protocol.as_str(),
            Variable::DownstreamRemoteAddress => connection?.remote.as_str(),
            Variable::DownstreamLocalAddress => connection?.local.as_str(),
            Variable::DownstreamRemoteIp => connection?.remote.ip(),
            Variable::ListenerName => &connection?.listener,
            Variable::VirtualHost => info.virtual_host_name()?,
            Variable::RouteName => info.route_name()?,
            Variable::ClusterName => info.cluster.as_deref()?,
            Variable::UpstreamHost => info.upstream_host.as_deref()?.as_str(),
            Variable::RequestId if info.request_id.is_empty() => return None,
            Variable::RequestId => &info.request_id,
            Variable::TlsPeerVerified => match connection?.tls.as_ref()?.peer {
                Some(_) => "true",
                None => "false",
            },
            Variable::TlsVersion => connection?.tls.as_ref()?.agreed.version,
            Variable::TlsCipher => connection?.tls.as_ref()?.agreed.cipher,
            Variable::TlsPeerSubject => peer(connection, PeerFact::Subject)?,
            Variable::TlsPeerIssuer => peer(connection, PeerFact::Issuer)?,
            Variable::TlsPeerSerial => peer(connection, PeerFact::Serial)?,
            Variable::TlsPeerSha256 => peer(connection, PeerFact::Sha256)?,
            Variable::TlsPeerKeySha256 => peer(connection, PeerFact::KeySha256)?,
            Variable::TlsPeerUriSan => peer(connection, PeerFact::Uris)?,
            Variable::TlsPeerDnsSan => peer(connection, PeerFact::DnsNames)?,
            Variable::TlsPeerIpSan => peer(connection, PeerFact::Addresses)?,
            Variable::TlsPeerEmailSan => peer(connection, PeerFact::Emails)?,
            Variable::TlsPeerSpiffeId => peer(connection, PeerFact::SpiffeId)?,
            Variable::TlsPeerNotBefore => peer(connection, PeerFact::NotBefore)?,
            Variable::TlsPeerNotAfter => peer(connection, PeerFact::NotAfter)?,
            Variable::TlsPeerPem => peer(connection, PeerFact::Pem)?,
            Variable::TlsPeerPemUrl => peer(connection, PeerFact::PemUrl)?,
            Variable::TlsServerName => {
                let name = &*connection?.tls.as_ref()?.server_name;
                (!name.is_empty()).then_some(name)?
            }
            Variable::ResponseDetails if info.details.is_empty() => return None,
            Variable::ResponseDetails => info.details,
            Variable::OriginalTarget => return Some(VariableValue::Bytes(stream.request.original_target())),
            Variable::ReplyFilter => &info.answered_by.as_ref()?.filter,
            Variable::ReplyModule => info.answered_by.as_ref()?.module.as_deref()?,
            Variable::Status => {
                let status = stream.response.status;
                return (status != 0).then_some(VariableValue::Integer(status.into()));
            }
            Variable::BytesReceived => return Some(VariableValue::Integer(info.bytes_received)),
            Variable::BytesSent => return Some(VariableValue::Integer(info.bytes_sent)),
            Variable::ResponseFlags => return Some(VariableValue::Integer(info.flags.bits().into())),
        };
        Some(VariableValue::Bytes(text.as_bytes()))
    }
}

/// What is known of the client by its certificate.
fn peer(connection: Option<&ConnectionInfo>, fact: PeerFact) -> Option<&str> {
    connection?.tls.as_ref()?.peer.as_ref()?.get(fact)
}

/// The name that `text` begins with, as formats and header values name
/// variables: a letter, then what may stand in a header's name but `%`. Empty:
/// it begins with none.
pub fn variable_name(text: &str) -> &str {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return "";
    }
    let is_part = |byte: u8| byte != b'%' && crate::is_token(&[byte]);
    let end = text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len());
    &text[..end]
}

/// Variables that filters of one stream share, by name.
#[derive(Debug, Default)]
pub struct NamedVariables(Headers);

impl NamedVariables {
    /// Value of `name`, compared without case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Sets `name` to `value`.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderLimit> {
        self.0.set(name, value)
    }

    /// Number of bytes held.
    pub fn byte_len(&self) -> usize {
        self.0.byte_len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink(4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_their_places() {
        for (index, variable) in Variable::ALL.into_iter().enumerate() {
            assert_eq!(variable as usize, index + 1);
            assert_eq!(Variable::from_number(variable as u32), Some(variable));
        }
        assert_eq!(Variable::from_number(0), None);
        assert_eq!(Variable::from_number(99), None);
    }
}
