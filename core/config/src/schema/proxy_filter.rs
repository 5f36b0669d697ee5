//! The `proxy` network filter.

use super::{
    HEADER_CASE, HTTP2_DOWNSTREAM, Key, MAX_SIZE, NUMBER, Object, SIZE, Shape, key, own, refused, required, warned,
};

pub(crate) static PROXY_FILTER: Object = Object::new(
    "proxy",
    "`config` of the network filter `proxy`: how requests are read and what is told to the upstream.",
    &[
        required("router_config_name", Shape::Name, "the name of a router", "The router to use."),
        key(
            "downstream_protocol",
            Shape::Pattern("^$|Http1|Http2|Auto"),
            "`Http1`",
            "What clients speak. `Http1`; `Http2`, in clear text from the first byte (prior knowledge); `Auto`: either, as \
             the first bytes of a connection say. A list such as `Http1,Http2` is `Auto`. Other protocols in a list are \
             warned about, alone they are errors.",
        ),
        key(
            "upstream_protocol",
            Shape::Text,
            "",
            "Not read, as in MOSN; `upstream_protocol` of the route or the cluster counts. A warning if it is neither \
             `Auto` nor the same as `downstream_protocol`.",
        ),
        key("extend_config", Shape::Object(&EXTEND_CONFIG), "", "Limits, flat or in an object per protocol."),
        own(
            "http2_protocol_options",
            Shape::Object(&HTTP2_DOWNSTREAM),
            "",
            "Settings of HTTP/2 connections, under Envoy's names.",
        ),
        own("limits", Shape::Object(&LIMITS), "", "More limits."),
        own("timeouts", Shape::Object(&TIMEOUTS), "", "How long each part of an exchange may take."),
        own(
            "upgrades",
            Shape::Array(&Shape::Name),
            "`[\"websocket\"]`",
            "Protocols that a client may switch its connection to (`Connection: upgrade`, `Upgrade: …`, no body), as \
             `Upgrade` names them. The bytes after the upstream's 101 pass no filter, so each protocol is a decision; \
             `h2c` and HTTP are refused. Requests for others go upstream without `Upgrade`. CONNECT is always \
             answered with 501.",
        ),
        own(
            "header_case",
            HEADER_CASE,
            "`lower`",
            "How names of fields are written in responses, for clients that look for a certain case: `lower` \
             (`content-type`), `title` (`Content-Type`), `preserve` (as the upstream wrote them; fields that it did not \
             send, as with `title`). What filters and routes see is always in lower case.",
        ),
        own(
            "target_bytes",
            Shape::Words(&["strict", "lenient"]),
            "`strict`; `lenient` with `compat: mosn`",
            "`lenient`: UTF-8 that a client sends in a target without percent-encoding passes as sent. `strict`: 400.",
        ),
        own("forwarding", Shape::Object(&FORWARDING), "", "What the upstream is told of the client."),
        own(
            "forward_client_cert_details",
            Shape::Words(&["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"]),
            "`SANITIZE` on a listener that speaks TLS, else `ALWAYS_FORWARD_ONLY`",
            "What becomes of `x-forwarded-client-cert`, as in Envoy. `SANITIZE`: it is taken away. `SANITIZE_SET`: it says \
             who the client is, in place of what the client sent. `APPEND_FORWARD`: the same is appended to that. \
             `FORWARD_ONLY`: what the client sent passes. Those three take it away where the client showed no good \
             certificate. `ALWAYS_FORWARD_ONLY`: it passes whoever sent it.",
        ),
        own(
            "set_current_client_cert_details",
            Shape::Object(&CLIENT_CERT_DETAILS),
            "",
            "What `SANITIZE_SET` and `APPEND_FORWARD` say of the client beside the hash of its certificate.",
        ),
        warned("name", "nothing refers to it"),
        warned("fallback_for_unknown_protocol", "there is one protocol only"),
        warned("router_handler_name", "there is one way to match routes"),
        warned("validate_clusters", "clusters are always checked"),
        warned("concurrency_num", "`processor` says how many workers there are"),
    ],
);

pub(crate) static EXTEND_CONFIG: Object = Object::new(
    "extend_config",
    "`extend_config` of the `proxy` filter: limits for all protocols and for single ones.",
    &[
        key("Http1", Shape::Object(&EXTEND_HTTP1), "", "The same for HTTP/1 alone; goes before those beside it."),
        key("Http2", Shape::Object(&EXTEND_HTTP2), "", "The same for HTTP/2 alone."),
        HTTP2_USE_STREAM,
        refused("sub_protocol", "there is no such protocol"),
        warned("bolt", "there is no bolt"),
        warned("enable_bolt_goaway", "there is no bolt"),
    ],
)
.and(MOSN_LIMITS);

pub(crate) static EXTEND_HTTP1: Object = Object::new("extend_config_http1", "`extend_config.Http1`.", MOSN_LIMITS);

pub(crate) static EXTEND_HTTP2: Object =
    Object::new("extend_config_http2", "`extend_config.Http2`.", &[HTTP2_USE_STREAM]);

const HTTP2_USE_STREAM: Key = key(
    "http2_use_stream",
    Shape::Bool,
    "true",
    "Bodies are streamed, whatever is said here; those alone that a filter asks for as a whole are held.",
);

const MOSN_LIMITS: &[Key] = &[
    key(
        "max_header_size",
        SIZE,
        "8192",
        "Bytes of a request head; 431 above, 414 if the request line alone is over it. 0: the default.",
    ),
    key("max_request_body_size", NUMBER, "no bound", "Bytes of a request body; 413 above. 0: no bound."),
];

pub(crate) static LIMITS: Object = Object::new(
    "limits",
    "`limits` of the `proxy` filter.",
    &[
        own("max_headers", Shape::Integer(1, 10_000), "100", "Fields of a request head; 431 above."),
        own(
            "max_response_headers",
            Shape::Integer(1, 4096),
            "256",
            "Fields of an upstream's response head; 502 above.",
        ),
        own(
            "max_buffered_body",
            Shape::Integer(1, MAX_SIZE),
            "1048576",
            "Bytes of a body that a filter may hold whole; above, 413 for requests and 502 for responses.",
        ),
        own(
            "min_body_rate",
            NUMBER,
            "500",
            "Bytes per second that a request body with a `Content-Length` has to bring on the average, once the proxy has \
             waited for the client for `timeouts.body_rate_grace`; 408. Time in which the upstream or a filter is waited \
             for does not count. 0: no bound.",
        ),
        own(
            "min_chunked_body_rate",
            NUMBER,
            "no bound",
            "The same for chunked bodies, which may be streams that last.",
        ),
    ],
);

pub(crate) static TIMEOUTS: Object = Object::new(
    "timeouts",
    "`timeouts` of the `proxy` filter. `\"0\"` is no bound.",
    &[
        own(
            "request_header",
            Shape::Duration,
            "10s",
            "From a request's first byte to the end of its head; 408. A new connection that says nothing is closed \
             after this or `connection_idle_timeout`, whichever is shorter.",
        ),
        own("request_body", Shape::Duration, "60s", "Between two pieces of a request body; 408."),
        own(
            "body_rate_grace",
            Shape::Duration,
            "20s",
            "How long a client may let the proxy wait in all before `limits.min_body_rate` counts.",
        ),
        own(
            "request",
            Shape::Duration,
            "3600s",
            "From a request's first byte to the end of its body, if that has a `Content-Length`; 408.",
        ),
        own(
            "chunked_request",
            Shape::Duration,
            "no bound",
            "The same for chunked bodies, which may be streams that last.",
        ),
        own("response_write", Shape::Duration, "60s", "Between two pieces that the client takes; then cut."),
        own(
            "response",
            Shape::Duration,
            "60s",
            "From the end of the request to the response head (504), between two pieces of its body (then cut), and \
             between two pieces of the request that the host takes. A route's `timeout` takes its place. All attempts at \
             a request share it. A client may shorten it for a request by `x-mosn-global-timeout`, and a route's \
             `retry_timeout` by `x-mosn-try-timeout` (milliseconds); it cannot lengthen them.",
        ),
        own(
            "tunnel_idle",
            Shape::Duration,
            "300s",
            "Between two bytes, in whichever direction, of a connection that has switched to another protocol \
             (`upgrades`); then closed.",
        ),
        own(
            "filter_pending",
            Shape::PositiveDuration,
            "15s",
            "How long a hook may be pending, however often it is resumed; then a fault. Above zero.",
        ),
    ],
);

pub(crate) static CLIENT_CERT_DETAILS: Object = Object::new(
    "set_current_client_cert_details",
    "`set_current_client_cert_details` of the `proxy` filter.",
    &[
        own("subject", Shape::Bool, "`false`", "`Subject`, as in RFC 2253."),
        own("cert", Shape::Bool, "`false`", "`Cert`: the certificate in PEM, escaped for URLs."),
        own(
            "uri",
            Shape::Bool,
            "`false`",
            "`URI`: each URI among its alternative names; SPIFFE's identities are such.",
        ),
        own("dns", Shape::Bool, "`false`", "`DNS`: each name of DNS among them."),
        refused("chain", "no more than the client's own certificate is kept; `cert` is that"),
    ],
);

pub(crate) static FORWARDING: Object = Object::new(
    "forwarding",
    "`forwarding` of the `proxy` filter.",
    &[
        own(
            "x_forwarded_for",
            Shape::Words(&["append", "replace", "remove", "pass"]),
            "`append`",
            "`append` the client's address, `replace` what is there by it, `remove`, `pass` (leave alone). `replace` \
             and `remove` also take away `forwarded`, `x-real-ip`, `x-forwarded-host`, `x-forwarded-proto` and \
             `x-forwarded-port`.",
        ),
        own(
            "x_request_id",
            Shape::Words(&["keep", "make", "pass"]),
            "`keep`",
            "`keep` (make one if there is none), `make` (always), `pass` (leave alone).",
        ),
    ],
);
