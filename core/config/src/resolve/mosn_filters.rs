//! Filters that MOSN ships, or shipped, and that are not here: what each is, and
//! what does the same, if anything does. Keys of others that MOSN does not read.

/// Stream filters that MOSN had and took away. It leaves an entry that names one
/// out of the chain, and so do we.
pub(crate) const GONE: [&str; 1] = ["healthcheck"];

/// What is to be said of an entry for such a filter.
pub(super) fn gone(name: &str) -> Option<&'static str> {
    GONE.contains(&name).then_some(
        "this filter is left out: MOSN has none of this name any more, its RPC protocols answer heartbeats themselves \
         (a route's `direct_response`, or `/ready` of the admin interface, answers health checks)",
    )
}

/// What is to be said of a stream filter of MOSN's, if it is one.
pub(super) fn stream_filter(name: &str) -> Option<&'static str> {
    let said = match name {
        "proxywasm" => "filters in WebAssembly (filters here are native modules)",
        "transcoder" | "dubbo_stream" | "grpc_metric" => "for RPC protocols, which are not there yet",
        "fault_tolerance" => "ejection of hosts that fail (`outlier_detection` of a cluster does that)",
        "metadata" => "metadata for choosing hosts, where MOSN runs within Envoy (`header_to_metadata` does that)",
        "echo" => "an example for MOSN within Envoy (a route's `direct_response` answers by itself)",
        "seata" => "distributed transactions (a module can do that)",
        "rbac" => "Istio's access rules (`ip_access` goes by addresses, `jwt_authn` by tokens)",
        "istio.stats" | "mixer" => "Istio's telemetry (metrics are on the admin interface)",
        _ => return None,
    };
    Some(said)
}

/// The same of a network filter.
pub(super) fn network_filter(name: &str) -> Option<&'static str> {
    let said = match name {
        "tcp_proxy" | "udp_proxy" => "traffic that is no HTTP",
        "grpc" | "rpc_proxy" | "x_proxy" | "transcoder" => "for RPC protocols, which are not there yet",
        "tunnel" => "connections through MOSN's tunnel agent",
        "fault_inject" => "delays of connections (the stream filter `fault` delays requests)",
        _ => return None,
    };
    Some(said)
}

/// A key that MOSN's examples have in the configuration of a filter and that
/// MOSN does not read, and the one that was meant.
pub(super) fn unread_key(filter_type: &str) -> Option<(&'static str, &'static str)> {
    (filter_type == "dsl").then_some(("send_router_by_dsl", "send_filter_by_dsl"))
}
