//! What series mean, in a sentence.

/// What is measured, where the name leaves room for doubt.
pub(super) fn help(name: &str) -> Option<&'static str> {
    Some(match name {
        "downstream_connection_total" => "Connections accepted.",
        "downstream_connection_destroy" => "Connections closed.",
        "downstream_connection_active" => "Connections open now.",
        "downstream_bytes_read_total" => "Bytes read from clients.",
        "downstream_bytes_write_total" => "Bytes written to clients.",
        "downstream_request_total" => "Requests begun.",
        "downstream_request_active" => "Requests in progress.",
        "downstream_request_reset" => "Requests that a side ended early.",
        "downstream_request_failed" => "Requests answered with 5xx or not at all.",
        "downstream_request_other_code" => "Responses with a status that has no counter of its own.",
        "downstream_request_time" => "Milliseconds from a request's first byte to the end of the stream.",
        "downstream_request_time_total" => "Nanoseconds from a request's first byte to the end of the stream.",
        "downstream_process_time" => "Milliseconds that the proxy itself took of a stream.",
        "downstream_process_time_total" => "Nanoseconds that the proxy itself took of streams.",
        "sidegate_access_log_dropped_total" => "Access log lines lost because the log took them too slowly.",
        "sidegate_process_log_dropped_total" => "Lines of the process log lost because it took them too slowly.",
        "downstream_request_time_percentile" => "Estimated percentiles of all requests so far, in milliseconds.",
        "sidegate_build_info" => "Always 1; the label tells the version.",
        _ => return None,
    })
}
