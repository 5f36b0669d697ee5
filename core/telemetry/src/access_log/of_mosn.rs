//! Variables of MOSN's that no log here has: what each is, and what says the
//! same, if anything does.

/// Completes "not in Sidegate: …" for a variable of MOSN's that is not here.
pub(super) fn not_here(name: &str) -> Option<&'static str> {
    Some(match name {
        "x-mosn-direction"
        | "x-mosn-rpc-service"
        | "x-mosn-rpc-method"
        | "x-mosn-req-raw-data"
        | "x-mosn-resp-raw-data"
        | "protocol_config"
        | "connection_pool_index" => "it is of RPC protocols, which are not there yet",
        "ori_remote_addr" | "listener_match_fallback_ip" => "it is of redirected connections, which are not there yet",
        "Http2_request_use_stream" | "Http2_response_use_stream" => {
            "bodies are streamed unless a filter asks for the whole"
        }
        "span_key" | "trace_span" => "it is of traces, which are not there yet; `%trace_id%` is here",
        "stream_id" => "it numbers MOSN's streams; `%request_id%` tells requests apart",
        "upstream_index" => "it is a place in MOSN's list of hosts; `%upstream_host%` is the host's address",
        "listener_type" => "a listener's `type` does nothing here; `%listener%` is its name",
        "proxy_direct_response" | "proxy_hijack_status" => {
            "it is set where MOSN answers by itself; `%response_details%` says why the proxy did, and `%response_code%` how"
        }
        "proxy_try_timeout" | "proxy_global_timeout" | "proxy_disable_retry" | "proxy_gzip_switch" => {
            "it is for filters that run in MOSN"
        }
        "downstream_req_headers" => "it is an object within MOSN; `%request_header_NAME%` is one header",
        "downstream_resp_headers" => "it is an object within MOSN; `%response_header_NAME%` is one header",
        "connection" | "connection_fd" | "connection_event_listeners" => {
            "it is an object within MOSN; `%connection_id%` is the connection's number"
        }
        "conn_default_read_buffer_size"
        | "network_filterchain_factories"
        | "access_logs"
        | "accept_chan"
        | "accept_buffer"
        | "proxy_general_config"
        | "x-mosn-router-meta" => "it is an object within MOSN",
        _ => return None,
    })
}
