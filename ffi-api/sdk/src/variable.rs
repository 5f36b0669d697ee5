//! Numbered facts of a stream.

use sidegate_abi as abi;

/// A fact of a stream that has text. Method, path and the like are variables,
/// never headers.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Show {}
/// # impl RequestFilter for Show {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let listener = cx.variable_str(Variable::ListenerName).unwrap_or("?").to_owned();
///     cx.headers_mut().set("x-listener", listener)?;
///     cx.set_variable(Variable::Query, "")?;
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Show>(serde_json::json!({})).unwrap();
/// let request = host.request("GET", "/?q", &[]).variable(Variable::ListenerName, "edge");
/// let upstream = request.run().upstream.unwrap();
/// assert_eq!((upstream.header("x-listener"), upstream.target.as_str()), (Some("edge"), "/"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[non_exhaustive]
pub enum Variable {
    /// Request method; can be set, but not to or from `HEAD` nor to `CONNECT`,
    /// which frame the messages ([`HostError::BadValue`](crate::HostError::BadValue)).
    Method = abi::VAR_METHOD,
    /// Path without query; can be set.
    Path = abi::VAR_PATH,
    /// Query without `?`; can be set.
    Query = abi::VAR_QUERY,
    /// Path and query; can be set.
    Target = abi::VAR_TARGET,
    /// Host and optional port, one value with header `host`; can be set.
    Authority = abi::VAR_AUTHORITY,
    /// `http` or `https`.
    Scheme = abi::VAR_SCHEME,
    /// Protocol version of the client.
    Protocol = abi::VAR_PROTOCOL,
    /// Client's `IP:port`.
    DownstreamRemoteAddress = abi::VAR_DOWNSTREAM_REMOTE_ADDRESS,
    /// The proxy's `IP:port` towards the client.
    DownstreamLocalAddress = abi::VAR_DOWNSTREAM_LOCAL_ADDRESS,
    /// Name of the listener.
    ListenerName = abi::VAR_LISTENER_NAME,
    /// Name of the virtual host.
    VirtualHost = abi::VAR_VIRTUAL_HOST,
    /// Name of the route.
    RouteName = abi::VAR_ROUTE_NAME,
    /// Name of the cluster.
    ClusterName = abi::VAR_CLUSTER_NAME,
    /// Upstream host's `IP:port`.
    UpstreamHost = abi::VAR_UPSTREAM_HOST,
    /// Request id.
    RequestId = abi::VAR_REQUEST_ID,
    /// Client's IP address.
    DownstreamRemoteIp = abi::VAR_DOWNSTREAM_REMOTE_IP,
    /// Subject of the client's TLS certificate. This and all else of it is there
    /// only if the certificate was found good; see [`TlsPeerVerified`](Self::TlsPeerVerified).
    TlsPeerSubject = abi::VAR_TLS_PEER_SUBJECT,
    /// Server name the client asked for in TLS.
    TlsServerName = abi::VAR_TLS_SERVER_NAME,
    /// One word on why the proxy replied itself.
    ResponseDetails = abi::VAR_RESPONSE_DETAILS,
    /// Path and query as the client sent them: before they were normalized,
    /// and before filters and routes rewrote them. ABI 1.1.
    OriginalTarget = abi::VAR_ORIGINAL_TARGET,
    /// Name of the filter that answered, closed or failed. ABI 1.1.
    ReplyFilter = abi::VAR_REPLY_FILTER,
    /// Name of the module of that filter, unless it is built in. ABI 1.1.
    ReplyModule = abi::VAR_REPLY_MODULE,
    /// `true` if the client's certificate was found good, else `false`; none in clear text. ABI 1.1.
    ///
    /// ```
    /// # use sidegate_sdk::{prelude::*, testing::TestHost};
    /// # #[derive(serde::Deserialize)] struct Cart {}
    /// # impl RequestFilter for Cart {
    /// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
    ///     match cx.variable_str(Variable::TlsPeerSpiffeId) {
    ///         Some("spiffe://cluster.local/ns/shop/sa/cart") => Ok(Status::Continue),
    ///         _ => cx.reply(Reply::new(403)),
    ///     }
    /// }
    /// # }
    /// # let host = TestHost::new::<Cart>(serde_json::json!({})).unwrap();
    /// let cart = "spiffe://cluster.local/ns/shop/sa/cart";
    /// assert!(host.request("GET", "/", &[]).variable(Variable::TlsPeerSpiffeId, cart).run().upstream.is_some());
    /// assert!(host.request("GET", "/", &[]).run().upstream.is_none());
    /// ```
    TlsPeerVerified = abi::VAR_TLS_PEER_VERIFIED,
    /// Issuer of the client's certificate. ABI 1.1.
    TlsPeerIssuer = abi::VAR_TLS_PEER_ISSUER,
    /// Its serial number, hexadecimal. ABI 1.1.
    TlsPeerSerial = abi::VAR_TLS_PEER_SERIAL,
    /// SHA-256 of it, hexadecimal. ABI 1.1.
    TlsPeerSha256 = abi::VAR_TLS_PEER_SHA256,
    /// SHA-256 of its public key, base64. ABI 1.1.
    TlsPeerKeySha256 = abi::VAR_TLS_PEER_KEY_SHA256,
    /// URIs among its alternative names, with commas. ABI 1.1.
    TlsPeerUriSan = abi::VAR_TLS_PEER_URI_SAN,
    /// Names of DNS among them, with commas. ABI 1.1.
    TlsPeerDnsSan = abi::VAR_TLS_PEER_DNS_SAN,
    /// Addresses among them, with commas. ABI 1.1.
    TlsPeerIpSan = abi::VAR_TLS_PEER_IP_SAN,
    /// Mail addresses among them, with commas. ABI 1.1.
    TlsPeerEmailSan = abi::VAR_TLS_PEER_EMAIL_SAN,
    /// Its only URI, if that is an identity of SPIFFE. ABI 1.1.
    TlsPeerSpiffeId = abi::VAR_TLS_PEER_SPIFFE_ID,
    /// From when on it is good, RFC 3339. ABI 1.1.
    TlsPeerNotBefore = abi::VAR_TLS_PEER_NOT_BEFORE,
    /// Until when it is good, RFC 3339. ABI 1.1.
    TlsPeerNotAfter = abi::VAR_TLS_PEER_NOT_AFTER,
    /// The certificate in PEM. ABI 1.1.
    TlsPeerPem = abi::VAR_TLS_PEER_PEM,
    /// The same, escaped for URLs. ABI 1.1.
    TlsPeerPemUrl = abi::VAR_TLS_PEER_PEM_URL,
    /// `TLSv1.3` or `TLSv1.2`; none in clear text. ABI 1.1.
    TlsVersion = abi::VAR_TLS_VERSION,
    /// Its cipher, by IANA's name. ABI 1.1.
    TlsCipher = abi::VAR_TLS_CIPHER,
}

impl Variable {
    pub(crate) const ALL: [Variable; 38] = [
        Variable::Method,
        Variable::Path,
        Variable::Query,
        Variable::Target,
        Variable::Authority,
        Variable::Scheme,
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
}

/// A fact of a stream that is a number.
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn on_complete(cx: &mut Complete<'_>) {
///     let sent = cx.number(NumberVariable::BytesSent);
///     sidegate_sdk::info!(cx, "{sent:?} bytes");
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[non_exhaustive]
pub enum NumberVariable {
    /// Response status.
    Status = abi::VAR_STATUS,
    /// Request body bytes so far.
    BytesReceived = abi::VAR_BYTES_RECEIVED,
    /// Response body bytes so far.
    BytesSent = abi::VAR_BYTES_SENT,
    /// Response flags.
    ResponseFlags = abi::VAR_RESPONSE_FLAGS,
}
