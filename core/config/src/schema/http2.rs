//! `http2_protocol_options`: Envoy's names, and plain ones where it has none.

use super::{Key, Object, Shape, own, own_required};

/// RFC 9113 section 6.9.1.
const MAX_WINDOW: u64 = (1 << 31) - 1;

/// RFC 9113 section 6.9.2: a connection's window begins with it and only grows.
const LEAST_CONNECTION_WINDOW: u64 = 65_535;

const STREAM_WINDOW: Shape = Shape::Integer(1024, MAX_WINDOW);

const CONNECTION_WINDOW: Shape = Shape::Integer(LEAST_CONNECTION_WINDOW, MAX_WINDOW);

pub(crate) static HTTP2_DOWNSTREAM: Object = Object::new(
    "http2_protocol_options",
    "`http2_protocol_options` of the `proxy` filter: what HTTP/2 connections of clients may do. Connections that are \
     open keep what they began with.",
    &[
        own(
            "max_concurrent_streams",
            Shape::Integer(1, MAX_WINDOW),
            "100",
            "Requests of a connection that may be open at once; one more is refused with `REFUSED_STREAM`, which \
             clients may send again.",
        ),
        own(
            "initial_stream_window_size",
            STREAM_WINDOW,
            "262144",
            "Bytes of a request body that may be on the way or wait to be taken by the host. Its memory, and, over the \
             time there and back, its speed.",
        ),
        own(
            "initial_connection_window_size",
            CONNECTION_WINDOW,
            "1048576",
            "The same for all request bodies of a connection together: what one client may have held.",
        ),
        own(
            "max_connection_duration_grace",
            Shape::Duration,
            "10s",
            "How long streams may go on after `max_connection_duration`; then they are cut.",
        ),
    ],
)
.and(COMMON);

pub(crate) static HTTP2_UPSTREAM: Object = Object::new(
    "http2_cluster_options",
    "`http2_protocol_options` of a cluster: what its HTTP/2 connections are like. Which protocol is spoken, \
     `upstream_protocol` says.",
    &[
        own(
            "max_concurrent_streams",
            Shape::Integer(1, MAX_WINDOW),
            "100",
            "Requests that one connection has at once, if the host does not bound it further; more go on another \
             connection.",
        ),
        own(
            "initial_stream_window_size",
            STREAM_WINDOW,
            "1048576",
            "Bytes of a response body that may be on the way or wait to be taken by the client.",
        ),
        own(
            "initial_connection_window_size",
            CONNECTION_WINDOW,
            "16777216",
            "The same for all response bodies of a connection together. Well above the one of a stream, so that a client \
             that takes nothing does not hold up those that share the connection.",
        ),
    ],
)
.and(COMMON);

const COMMON: &[Key] = &[
    own(
        "max_frame_size",
        Shape::Integer(16_384, (1 << 24) - 1),
        "16384",
        "Bytes of a frame that the peer may send. Large ones hold up other streams.",
    ),
    own(
        "max_header_list_size",
        Shape::Integer(1024, 1 << 24),
        "65536",
        "Bytes of a head, and of trailers, as RFC 9113 counts them: name, value and 32 for each field.",
    ),
    own(
        "connection_keepalive",
        Shape::Object(&HTTP2_KEEPALIVE),
        "none",
        "Pings that find peers that are gone without a word. Servers of gRPC may take frequent ones amiss.",
    ),
    own(
        "max_connection_duration",
        Shape::Duration,
        "no bound",
        "Age at which a connection takes no further request (`GOAWAY`); it ends with its last stream. `\"0\"`: no bound.",
    ),
    own(
        "frame_limits",
        Shape::Object(&HTTP2_FRAME_LIMITS),
        "",
        "How many frames that carry no body the peer may send; above, the connection ends with `ENHANCE_YOUR_CALM`.",
    ),
];

pub(crate) static HTTP2_KEEPALIVE: Object = Object::new(
    "connection_keepalive",
    "`http2_protocol_options.connection_keepalive`.",
    &[
        own_required("interval", Shape::PositiveDuration, "a duration", "Silence after which a `PING` is sent."),
        own(
            "timeout",
            Shape::PositiveDuration,
            "20s",
            "How long it may stay without an answer; then the connection is closed.",
        ),
    ],
);

const FRAME_LIMIT: Shape = Shape::Object(&HTTP2_FRAME_LIMIT);

pub(crate) static HTTP2_FRAME_LIMITS: Object = Object::new(
    "frame_limits",
    "`http2_protocol_options.frame_limits`, for each connection. Peers in use stay far below the defaults.",
    &[
        own(
            "resets",
            FRAME_LIMIT,
            "200, 20 a second",
            "`RST_STREAM`; one for every other request is free, for clients that ask twice and drop the slower answer.",
        ),
        own(
            "provoked_resets",
            FRAME_LIMIT,
            "200, 20 a second",
            "Streams that the peer had reset by breaking the protocol on them; and twenty times as many frames for streams \
             that are gone.",
        ),
        own(
            "pings",
            FRAME_LIMIT,
            "200, 20 a second",
            "`PING`; one for each `DATA` frame that it was sent is free, as some measure the bandwidth with them.",
        ),
        own("settings", FRAME_LIMIT, "50, 2 a second", "`SETTINGS`."),
        own(
            "other",
            FRAME_LIMIT,
            "500, 50 a second",
            "`PRIORITY`, `GOAWAY`, answers to pings and frames of unknown type; four for each request are free.",
        ),
        own(
            "window_updates",
            FRAME_LIMIT,
            "2000, 1000 a second",
            "`WINDOW_UPDATE`; four for each request, and for each `DATA` frame of some size that the peer was sent, are \
             free.",
        ),
        own("empty_data", FRAME_LIMIT, "100, 10 a second", "`DATA` without bytes that does not end its stream."),
        own(
            "headers",
            FRAME_LIMIT,
            "1000, 100 a second",
            "`HEADERS` from a host; three for each request are free. Those of clients are requests, which other limits bound.",
        ),
        own(
            "continuations",
            Shape::Integer(1, 1024),
            "32, or more for large heads",
            "`CONTINUATION` frames in a row; by default a quarter more than `max_header_list_size` fills of \
             `max_frame_size`, and no less than 32. It takes four for a head of 64 KiB. However large, no more than 6, or, if that \
             is more, a quarter above what `max_header_list_size` fills of `max_frame_size`.",
        ),
    ],
);

pub(crate) static HTTP2_FRAME_LIMIT: Object = Object::new(
    "frame_limit",
    "`frame_limits.*`: a bound that lets bursts pass.",
    &[
        own("burst", Shape::Integer(1, u32::MAX as u64), "as above", "So many at once,"),
        own("per_second", Shape::Integer(0, u32::MAX as u64), "as above", "and so many each second in the long run."),
    ],
);
