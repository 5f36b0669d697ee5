//! Filters that MOSN ships and that are not here: what each is, and what to do
//! instead or whether it comes.

/// What is to be said of a stream filter of MOSN's, if it is one.
pub(super) fn stream_filter(name: &str) -> Option<&'static str> {
    let said = match name {
        "dsl" => "conditions and actions in CEL; it is known and not there yet",
        "proxywasm" => "filters in WebAssembly; it is known and not there yet (filters here are native modules)",
        "transcoder" | "dubbo_stream" | "grpc_metric" => {
            "for RPC protocols; it is known and not there yet, and comes with them"
        }
        "fault_tolerance" => {
            "ejection of hosts that fail; it does not come (`outlier_detection` of a cluster does that)"
        }
        "healthcheck" => {
            "an answer for health checks; it does not come (a route's `direct_response`, or `/ready` of the \
                          admin interface, answers them)"
        }
        "metadata" => "metadata for choosing hosts; it does not come (`header_to_metadata` does that)",
        "seata" => "distributed transactions; it does not come (a module can do that)",
        "istio.stats" | "mixer" => "Istio's telemetry; it does not come (metrics are on the admin interface)",
        _ => return None,
    };
    Some(said)
}

/// The same of a network filter.
pub(super) fn network_filter(name: &str) -> Option<&'static str> {
    let said = match name {
        "tcp_proxy" | "udp_proxy" => "traffic that is no HTTP; it is known and not there yet",
        "grpc" | "rpc_proxy" | "x_proxy" | "transcoder" => {
            "for RPC protocols; it is known and not there yet, and comes with them"
        }
        "tunnel" => "connections through MOSN's tunnel agent; it does not come",
        "fault_inject" => "delays of connections; it does not come (the stream filter `fault` delays requests)",
        _ => return None,
    };
    Some(said)
}
