//! What series mean, in a sentence. Prometheus' own rules (`promtool check
//! metrics`) ask for one of every family.

/// What the family called `name` measures; `None` for those of modules.
pub(super) fn help(name: &str) -> Option<&'static str> {
    let (kind, key) = name.split_once('_')?;
    match kind {
        "downstream" => downstream(key),
        "upstream" => upstream(key),
        "healthcheck" => health_check(key),
        "sidegate" => own(key),
        _ => None,
    }
}

fn downstream(key: &str) -> Option<&'static str> {
    Some(match key {
        "connection_total" => "Connections accepted.",
        "connection_destroy" => "Connections closed.",
        "connection_active" => "Connections open now.",
        "bytes_read_total" => "Bytes read from clients, heads and framing included.",
        "bytes_write_total" => "Bytes written to clients, heads and framing included.",
        "request_total" => "Requests begun.",
        "request_active" => "Requests in progress.",
        "request_reset" => "Requests that a side ended early.",
        "request_failed" => "Requests that the proxy itself failed: no route, no host, too large, cut or faulted.",
        "request_mirrored_total" => "Copies of requests sent to another cluster.",
        "request_mirror_dropped_total" => "Copies of requests that were not sent: too large, or too many at once.",
        "request_other_code" => "Responses with a status that has no counter of its own.",
        "http2_refused_slow_head_total" => "HTTP/2 connections ended because a head did not come to its end.",
        "http2_refused_protocol_total" => "HTTP/2 connections ended because the client broke the protocol.",
        _ if key.starts_with("http2_refused_") => {
            "HTTP/2 connections ended for too many frames of the kind in the name."
        }
        "request_time" => "Milliseconds from a request's first byte to the end of the stream.",
        "request_time_total" => "Nanoseconds from a request's first byte to the end of the stream.",
        "process_time" => "Milliseconds that the proxy itself took of a stream.",
        "process_time_total" => "Nanoseconds that the proxy itself took of streams.",
        "http2_streams_total" => "Streams of HTTP/2 that clients opened.",
        "http2_heads_refused_total" => "Heads over HTTP/2 that were no requests, of which no access log has a line.",
        "http2_pings_timed_out_total" => "HTTP/2 connections whose client did not answer a ping.",
        "http2_resets_received_total" => "Streams of HTTP/2 that clients reset.",
        "http2_resets_sent_total" => "Streams of HTTP/2 that were reset for an error.",
        "http2_goaways_received_total" => "GOAWAY frames from clients.",
        "http2_goaways_sent_total" => "GOAWAY frames to clients.",
        "tls_handshakes_total" => "Handshakes of TLS with clients that came to their end.",
        "tls_handshake_failures_total" => "Handshakes of TLS with clients of which nothing came.",
        "tls_session_failures_total" => "TLS sessions with clients that ended by an error.",
        "tls_handshakes_active" => "Handshakes of TLS with clients in progress.",
        "tls_handshakes_waiting" => "Those of them that wait because too many others have begun.",
        "tls_connections_total" => "TLS connections, by what is known of the client's certificate.",
        _ if is_code(key) => "Responses with the status in the name.",
        _ => return None,
    })
}

/// `request_200_total`
fn is_code(key: &str) -> bool {
    let code = key.strip_prefix("request_").and_then(|rest| rest.strip_suffix("_total"));
    code.is_some_and(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()))
}

fn upstream(key: &str) -> Option<&'static str> {
    Some(match key {
        "connection_total" => "Connections made.",
        "connection_close" => "Connections closed.",
        "connection_active" => "Connections open now.",
        "connection_con_fail" => "Connections that could not be made.",
        "connection_exhausted_total" => "Connects given up for lack of descriptors, memory or ports of our own.",
        "connection_local_close" => "Connections closed by the proxy.",
        "connection_remote_close" => "Connections closed by the host.",
        "connection_bytes_read_total" => "Bytes read from hosts, heads and framing included.",
        "connection_bytes_write" => "Bytes written to hosts, heads and framing included.",
        "tls_handshakes_total" => "Handshakes of TLS with hosts that came to their end.",
        "tls_handshake_failures_total" => "Handshakes of TLS with hosts of which nothing came.",
        "tls_session_failures_total" => "TLS sessions with hosts that ended by an error.",
        "tls_handshakes_active" => "Handshakes of TLS with hosts in progress.",
        "request_total" => "Requests sent.",
        "request_active" => "Requests in progress.",
        "request_timeout" => "Requests that ran out of time.",
        "request_remote_reset" => "Requests that the host broke off.",
        "request_local_reset" => "Requests that were given up.",
        "request_retry" => "Requests sent again.",
        "request_retry_overflow" => "Requests not sent again: too many are.",
        "request_pending_overflow" => "Requests refused by a limit of circuit_breakers.",
        "request_duration_time" => "Milliseconds from a request to the end of its response.",
        "request_duration_time_total" => "Nanoseconds from requests to the ends of their responses.",
        "lb_subsets_created" => "Subsets of hosts by lb_subset_config.",
        "lb_subsets_fallback" => "Choices of a host by the fall-back of lb_subset_config.",
        "lb_panic_active" => "1 while too few hosts are well and all are used.",
        "lb_healthy_panic_total" => "Choices of a host while too few were well.",
        "response_success" => "Responses with a status below 500.",
        "response_failed" => "Responses with a status of 500 or more, and requests without one.",
        "ejections_total" => "Hosts left out by outlier_detection.",
        "http2_connections_total" => "HTTP/2 connections made.",
        "http2_streams_total" => "Requests sent over HTTP/2.",
        "http2_goaways_total" => "HTTP/2 connections that the host wanted to end.",
        "http2_refused_streams_total" => "Requests that the host said it had not looked at.",
        "http2_pings_timed_out_total" => "HTTP/2 connections whose host did not answer a ping.",
        "http2_floods_total" => "HTTP/2 connections cut because the host sent too many frames of a kind.",
        "ejections_active" => "Hosts that are left out by outlier_detection now.",
        _ => return None,
    })
}

fn health_check(key: &str) -> Option<&'static str> {
    Some(match key {
        "attempt" => "Health checks made.",
        "success" => "Health checks passed.",
        "failure" => "Health checks failed.",
        "active_failure" => "Health checks failed by an answer.",
        "network_failure" => "Health checks failed for lack of an answer.",
        "healty" => "Hosts that are in.",
        _ => return None,
    })
}

fn own(key: &str) -> Option<&'static str> {
    Some(match key {
        "tls_reload_total" => "TLS contexts read again because their files changed, by what came of it.",
        "tls_loader_refreshes_total" => "Questions for certificates that plugins were asked, by what came of them.",
        "tls_loader_failing" => "Whether the last question for certificates came to nothing.",
        "tls_stale_contexts" => "TLS contexts whose files are no good; those before serve on.",
        "tls_expiry_timestamp_seconds" => "When the first certificate, CA or list of a listener or cluster expires.",
        "build_info" => "Always 1; the label tells the version.",
        "config_number" => "Number of the configuration that runs; it counts those that were taken.",
        "config_info" => "1 for the configuration that runs; the label is the SHA-256 of what was read.",
        "config_reload_total" => "Changes of the configuration that were asked for, by what came of them.",
        "config_last_reload_successful" => "Whether the last configuration that was read was taken, or was the same.",
        "config_last_reload_success_timestamp_seconds" => "When a configuration was last read and good, since 1970.",
        "plugin_up" => "Whether the plugin can be called.",
        "plugin_calls_total" => "Calls of the plugin that ended, well or not.",
        "plugin_call_failures_total" => "Calls of the plugin that came to nothing, by why.",
        "plugin_calls_cancelled_total" => "Calls of the plugin whose streams ended first.",
        "plugin_calls_in_flight" => "Calls of the plugin in progress.",
        "plugin_call_seconds" => "How long calls of the plugin took that were answered.",
        "plugin_faults_total" => "Ends of the plugin's process or connection that nobody wanted, by what was wrong.",
        "plugin_restarts_total" => "Starts of the plugin after the first.",
        "module_reload_total" => "Modules that were to be loaded anew, by what came of it.",
        "live_edit_total" => "Edits of hosts through the admin interface, by what came of them.",
        "live_edited_clusters" => "Clusters whose hosts were edited and are not those of the file.",
        "access_log_plugin_lines_total" => "Access log lines that plugins have taken.",
        "access_log_plugin_dropped_total" => "Access log lines that plugins did not take, by why.",
        "access_log_plugin_waiting" => "Access log lines that wait for their plugin or are on their way.",
        "access_log_dropped_total" => "Access log lines lost because the log took them too slowly.",
        "process_log_dropped_total" => "Lines of the process log lost because it took them too slowly.",
        "dsl_failures_total" => "Failures of expressions of the filter dsl, and edits of theirs that were refused.",
        "filter_faults_total" => "Faults of filters, by place in a chain.",
        "filter_slow_hooks_total" => "Calls of hooks that took as long as slow_hook: all of them, not a sample.",
        "flow_control_refused_total" => "Requests refused by rules of flowControlFilter, by resource.",
        "filter_hook_seconds" => {
            "Seconds in hooks of modules' filters, from one stream in about 64, which stands for those since the last one."
        }
        "filter_replies_total" => "Replies that filters made in place of the upstream, by status.",
        "module_faults_total" => "Faults of all filters of a module.",
        "module_filters_quarantined" => "Places in chains where a filter is in quarantine.",
        "module_generations" => "Loaded copies of a module, by where in their life they are.",
        "module_generations_kept_total" => "Copies of a module that nothing uses and that could not be unmapped.",
        "module_generations_unmapped_total" => "Copies of a module that have left the process.",
        "module_handovers_total" => {
            "State that a filter of a module was to take over from its predecessor, by what came of it."
        }
        "module_log_lines_lost_total" => "Log lines of a module beyond what it may write.",
        "module_quarantines_total" => "Times that a filter was taken out of service, or was so again after a trial.",
        "overload_used" => "How much of a limit is used.",
        "overload_limit" => "What a limit came to; 0: there is none.",
        "overload_active" => "1 while an action against overload runs.",
        "overload_actions_total" => "How often an action against overload began.",
        "overload_closed_idle_total" => "Idle connections closed to make room.",
        "overload_refused_connections_total" => "Connections refused by a limit.",
        "overload_refused_streams_total" => "Requests refused by a limit.",
        "overload_reset_streams_total" => "Streams reset for the memory that they held.",
        "route_request_duration_seconds" => "Seconds from a request's first byte to the end of the stream, by route.",
        "route_requests_total" => "Requests by route and class of their status.",
        "worker_connections_active" => "Connections of each worker.",
        "worker_stuck" => "1 while a worker hangs.",
        "worker_stuck_total" => "How often a worker hung.",
        _ => return None,
    })
}
