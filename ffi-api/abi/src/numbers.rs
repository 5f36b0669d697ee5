//! Every number of the ABI. Append-only: a number is never changed or reused.

/// Major version: a change of it breaks modules, so there is none within 1.x.
pub const ABI_MAJOR: u16 = 1;
/// Minor version: counts appended functions, fields and numbers.
pub const ABI_MINOR: u16 = 1;

/// First bytes of a module's record.
pub const RECORD_MAGIC: [u8; 8] = *b"SIDEGATE";
/// Symbol of the [`ModuleRecord`](crate::ModuleRecord).
pub const SYMBOL_RECORD: &str = "sidegate_module_v1";
/// Symbol of the [`CreateFilterFactory`](crate::CreateFilterFactory) function.
pub const SYMBOL_CREATE: &str = "sidegate_create_filter_factory_v1";
/// Symbol of the optional [`ThreadDetach`](crate::ThreadDetach) function.
pub const SYMBOL_THREAD_DETACH: &str = "sidegate_thread_detach_v1";
/// Symbol of the optional [`LayoutFn`](crate::LayoutFn) function.
pub const SYMBOL_LAYOUT: &str = "sidegate_layout_v1";

/// Symbol of the optional [`Manifest`](crate::Manifest) data.
pub const SYMBOL_MANIFEST: &str = "sidegate_manifest_v1";
/// First bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"SGMANIF1";
/// Bytes that the text of a manifest may have.
pub const MANIFEST_MAX: u32 = 1 << 18;

/// Panic strategy: the module has no unwinding (C).
pub const PANIC_NONE: u16 = 0;
/// Panic strategy: panics unwind and are caught by the SDK.
pub const PANIC_UNWIND: u16 = 1;
/// Panic strategy: a panic aborts the process; refused unless allowed.
pub const PANIC_ABORT: u16 = 2;

/// Done.
pub const OK: u32 = 0;
/// No such header, variable, filter.
pub const NOT_FOUND: u32 = 1;
/// Not possible in this hook: not there yet, already sent, or not declared.
pub const NOT_NOW: u32 = 2;
/// The header or variable name is not allowed.
pub const BAD_NAME: u32 = 3;
/// The value is not allowed.
pub const BAD_VALUE: u32 = 4;
/// Framing and hop-by-hop fields belong to the host.
pub const RESERVED: u32 = 5;
/// A limit of the stream, filter or module was reached.
pub const LIMIT: u32 = 6;
/// This peer does not know the function, map, variable or kind.
pub const UNSUPPORTED: u32 = 7;
/// The stream has ended or moved on.
pub const GONE: u32 = 8;
/// It was done before.
pub const ALREADY: u32 = 9;
/// A pointer, length or number is not valid.
pub const BAD_ARGUMENT: u32 = 10;
/// The module failed; it said why in its error buffer or log.
pub const FAILED: u32 = 11;
/// The module's code panicked or threw; it said where in its error buffer.
pub const PANICKED: u32 = 12;

/// Status of a hook: go on.
pub const STATUS_CONTINUE: u32 = 0;
/// Status of a hook: end this phase's remaining filters, with the reply that
/// was set or else going on.
pub const STATUS_STOP: u32 = 1;
/// Status of a hook: wait for a resume.
pub const STATUS_PENDING: u32 = 2;
/// Status of a hook: close the stream without a reply.
pub const STATUS_TERMINATE: u32 = 3;
/// Status of a header hook after the route: match the route again.
pub const STATUS_REMATCH_ROUTE: u32 = 4;
/// Status of a header hook after the host: choose a host again.
pub const STATUS_RECHOOSE_HOST: u32 = 5;
/// Status of a hook: the filter failed, the fault policy decides.
pub const STATUS_FAULT: u32 = 6;

/// Receiver phase before the route is matched.
pub const PHASE_BEFORE_ROUTE: u32 = 1;
/// Receiver phase after the route is matched.
pub const PHASE_AFTER_ROUTE: u32 = 2;
/// Receiver phase after a host is chosen; once per upstream attempt.
pub const PHASE_AFTER_CHOOSE_HOST: u32 = 3;
/// The response and everything after it.
pub const PHASE_SEND: u32 = 4;
/// A value that a newer host knows and this minor does not.
pub const PHASE_OTHER: u32 = u32::MAX;

/// Flag of a hook: nothing follows in this direction. After a header hook a
/// body hook of mode `STREAM` or `WHOLE` follows all the same, once, with no
/// bytes and both flags.
pub const HOOK_END: u32 = 1;
/// Flag of a body hook: the body ends with these bytes; trailers may follow.
pub const HOOK_BODY_END: u32 = 2;

/// Body interest: none.
pub const BODY_NONE: u32 = 0;
/// Body interest: chunk by chunk, unchanged.
pub const BODY_OBSERVE: u32 = 1;
/// Body interest: chunk by chunk, may be changed.
pub const BODY_STREAM: u32 = 2;
/// Body interest: whole, may be changed.
pub const BODY_WHOLE: u32 = 3;

/// Hook wanted: request trailers.
pub const WANT_REQUEST_TRAILERS: u32 = 1;
/// Hook wanted: response headers.
pub const WANT_RESPONSE_HEADERS: u32 = 1 << 1;
/// Hook wanted: response trailers.
pub const WANT_RESPONSE_TRAILERS: u32 = 1 << 2;
/// Hook wanted: `on_complete`.
pub const WANT_COMPLETE: u32 = 1 << 3;

/// Header map: request.
pub const MAP_REQUEST: u32 = 0;
/// Header map: request trailers.
pub const MAP_REQUEST_TRAILERS: u32 = 1;
/// Header map: response.
pub const MAP_RESPONSE: u32 = 2;
/// Header map: response trailers.
pub const MAP_RESPONSE_TRAILERS: u32 = 3;

/// Body direction: from the client.
pub const BODY_REQUEST: u32 = 0;
/// Body direction: to the client.
pub const BODY_RESPONSE: u32 = 1;

/// Variable: request method. Never set to or from HEAD, nor to CONNECT.
pub const VAR_METHOD: u32 = 1;
/// Variable: path without query.
pub const VAR_PATH: u32 = 2;
/// Variable: query without `?`.
pub const VAR_QUERY: u32 = 3;
/// Variable: path and query.
pub const VAR_TARGET: u32 = 4;
/// Variable: host and optional port; one value with header `host`.
pub const VAR_AUTHORITY: u32 = 5;
/// Variable: `http` or `https`.
pub const VAR_SCHEME: u32 = 6;
/// Variable: response status, an integer.
pub const VAR_STATUS: u32 = 7;
/// Variable: protocol version of the client.
pub const VAR_PROTOCOL: u32 = 8;
/// Variable: client's `IP:port`.
pub const VAR_DOWNSTREAM_REMOTE_ADDRESS: u32 = 9;
/// Variable: our `IP:port` towards the client.
pub const VAR_DOWNSTREAM_LOCAL_ADDRESS: u32 = 10;
/// Variable: name of the listener.
pub const VAR_LISTENER_NAME: u32 = 11;
/// Variable: name of the virtual host.
pub const VAR_VIRTUAL_HOST: u32 = 12;
/// Variable: name of the route.
pub const VAR_ROUTE_NAME: u32 = 13;
/// Variable: name of the cluster.
pub const VAR_CLUSTER_NAME: u32 = 14;
/// Variable: upstream host's `IP:port`.
pub const VAR_UPSTREAM_HOST: u32 = 15;
/// Variable: request id.
pub const VAR_REQUEST_ID: u32 = 16;
/// Variable: client's IP address.
pub const VAR_DOWNSTREAM_REMOTE_IP: u32 = 17;
/// Variable: subject of the client's TLS certificate.
pub const VAR_TLS_PEER_SUBJECT: u32 = 18;
/// Variable: server name the client asked for in TLS.
pub const VAR_TLS_SERVER_NAME: u32 = 19;
/// Variable: request body bytes so far, an integer.
pub const VAR_BYTES_RECEIVED: u32 = 20;
/// Variable: response body bytes so far, an integer.
pub const VAR_BYTES_SENT: u32 = 21;
/// Variable: response flags, an integer.
pub const VAR_RESPONSE_FLAGS: u32 = 22;
/// Variable: one word on why the proxy replied itself.
pub const VAR_RESPONSE_DETAILS: u32 = 23;
/// Variable of minor 1: path and query as the client sent them, before they
/// were normalized or rewritten.
pub const VAR_ORIGINAL_TARGET: u32 = 24;
/// Variable of minor 1: name of the filter that answered, closed or failed.
pub const VAR_REPLY_FILTER: u32 = 25;
/// Variable of minor 1: name of the module of that filter.
pub const VAR_REPLY_MODULE: u32 = 26;
/// Variable of minor 1: `true` if the client's certificate was found good, else `false`; none in clear text.
pub const VAR_TLS_PEER_VERIFIED: u32 = 27;
/// Variable of minor 1: issuer of the client's certificate.
pub const VAR_TLS_PEER_ISSUER: u32 = 28;
/// Variable of minor 1: its serial number, hexadecimal.
pub const VAR_TLS_PEER_SERIAL: u32 = 29;
/// Variable of minor 1: SHA-256 of it, hexadecimal.
pub const VAR_TLS_PEER_SHA256: u32 = 30;
/// Variable of minor 1: SHA-256 of its public key, base64.
pub const VAR_TLS_PEER_KEY_SHA256: u32 = 31;
/// Variable of minor 1: URIs among its alternative names, with commas.
pub const VAR_TLS_PEER_URI_SAN: u32 = 32;
/// Variable of minor 1: names of DNS among them, with commas.
pub const VAR_TLS_PEER_DNS_SAN: u32 = 33;
/// Variable of minor 1: addresses among them, with commas.
pub const VAR_TLS_PEER_IP_SAN: u32 = 34;
/// Variable of minor 1: mail addresses among them, with commas.
pub const VAR_TLS_PEER_EMAIL_SAN: u32 = 35;
/// Variable of minor 1: its only URI, if that is an identity of SPIFFE.
pub const VAR_TLS_PEER_SPIFFE_ID: u32 = 36;
/// Variable of minor 1: from when on it is good, RFC 3339.
pub const VAR_TLS_PEER_NOT_BEFORE: u32 = 37;
/// Variable of minor 1: until when it is good, RFC 3339.
pub const VAR_TLS_PEER_NOT_AFTER: u32 = 38;
/// Variable of minor 1: the certificate in PEM.
pub const VAR_TLS_PEER_PEM: u32 = 39;
/// Variable of minor 1: the same, escaped for URLs.
pub const VAR_TLS_PEER_PEM_URL: u32 = 40;
/// Variable of minor 1: `TLSv1.3` or `TLSv1.2`; none in clear text.
pub const VAR_TLS_VERSION: u32 = 41;
/// Variable of minor 1: its cipher, by IANA's name.
pub const VAR_TLS_CIPHER: u32 = 42;

/// Log level.
pub const LOG_ERROR: u32 = 1;
/// Log level.
pub const LOG_WARN: u32 = 2;
/// Log level.
pub const LOG_INFO: u32 = 3;
/// Log level.
pub const LOG_DEBUG: u32 = 4;
/// Log level.
pub const LOG_TRACE: u32 = 5;

/// Metric kind: only grows.
pub const METRIC_COUNTER: u32 = 1;
/// Metric kind: goes up and down.
pub const METRIC_GAUGE: u32 = 2;
/// Metric kind: distribution.
pub const METRIC_HISTOGRAM: u32 = 3;

/// Who reset a stream: nobody.
pub const RESET_NOBODY: u32 = 0;
/// Who reset a stream: the client.
pub const RESET_DOWNSTREAM: u32 = 1;
/// Who reset a stream: the upstream.
pub const RESET_UPSTREAM: u32 = 2;
/// Who reset a stream: a filter.
pub const RESET_FILTER: u32 = 3;
/// Who reset a stream: the proxy.
pub const RESET_PROXY: u32 = 4;
/// Who reset a stream: something a newer host knows.
pub const RESET_OTHER: u32 = u32::MAX;

/// How a call of a plugin ended: with an answer.
pub const PLUGIN_ANSWERED: u32 = 0;
/// Without: not in time.
pub const PLUGIN_TIMEOUT: u32 = 1;
/// Without: the plugin does not run.
pub const PLUGIN_DOWN: u32 = 2;
/// Without: somebody disabled the plugin.
pub const PLUGIN_DISABLED: u32 = 3;
/// Without: the plugin ended in the call.
pub const PLUGIN_LOST: u32 = 4;
/// Without: the plugin answered with an error.
pub const PLUGIN_ERROR: u32 = 5;
/// A value that a newer host knows and this minor does not.
pub const PLUGIN_OTHER: u32 = u32::MAX;

/// A duration that is not known.
pub const NO_DURATION: u64 = u64::MAX;
