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
    /// Subject of the client's TLS certificate.
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
}

impl Variable {
    pub(crate) const ALL: [Variable; 22] = [
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
