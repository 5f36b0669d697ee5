//! `servers[0].listeners[]`.

use super::admin::SOCKET_MODE;
use super::server::LOG_ROLLER;
use super::{
    Key, LISTENER_TLS, Object, PROXY_FILTER, ROUTER, Rule, STREAM_FILTER, Shape, key, own, refused, required, warned,
};

pub(crate) static LISTENER: Object =
    Object::new("listener", "`servers[0].listeners[]`: a socket and what is done with its requests.", KEYS);

static KEYS: &[Key] = &[
    key("name", Shape::Text, "the address", "Unique."),
    required(
        "address",
        Shape::Name,
        "IP:port or unix:/path",
        "`IP:port`, `[v6]:port`, `:port` (all IPv4 addresses), `localhost:port` or `unix:/path`. Unique. Port 0 takes \
         a free one.",
    ),
    key(
        "network",
        Shape::AnyCase(&["", "tcp", "unix"]),
        "by address",
        "With `unix` the address may be a bare path. UDP is not there yet.",
    ),
    key(
        "connection_idle_timeout",
        Shape::Duration,
        "90s",
        "Close a client's connection after this long without a request; `\"0\"`: never.",
    ),
    key("reuseport", Shape::Bool, "`false`", "One socket per worker instead of one accept point for all."),
    own(
        "reuseport_overlap",
        Shape::Bool,
        "`false`",
        "With `reuseport`: whether another process of the same user may listen on the port too, as during a restart in \
         which both overlap. Without it a start fails if anybody does.",
    ),
    own(
        "mode",
        Shape::Pattern(SOCKET_MODE),
        "by the umask",
        "Permission bits of a Unix socket's file, in octal digits, as a string: `\"0660\"`. Who may write to it may \
         connect.",
    ),
    key(
        "inspector",
        Shape::Bool,
        "`false`",
        "With a TLS context: serve clients that speak clear text too, on the same port.",
    ),
    own(
        "tls_handshake_timeout",
        Shape::PositiveDuration,
        "10s",
        "A client that is not done with its TLS handshake by then is turned away.",
    ),
    own(
        "tls_handshake_max_bytes",
        Shape::Integer(1024, 1 << 20),
        "65536",
        "A client that sends more than this before its TLS handshake is over is turned away.",
    ),
    own(
        "tls_handshakes",
        Shape::Integer(1, 1 << 20),
        "4096",
        "Handshakes of TLS at a time, on each worker, once something has come of them. Others wait for their turn in \
         the order in which they came, within their own time; meanwhile one that does not go on for a second is \
         turned away.",
    ),
    own(
        "tls_handshakes_waiting",
        Shape::Integer(0, 1 << 20),
        "4096",
        "Handshakes that wait so on each worker; one more is turned away at once.",
    ),
    own(
        "tls_handshake_steps",
        Shape::Integer(1, 1024),
        "2",
        "Steps of handshakes that a worker takes before it looks again at connections that are open: few keep these \
         fast while many clients connect.",
    ),
    key("bind_port", Shape::Only(true), "`true`", "Redirected connections are not there yet."),
    required(
        "filter_chains",
        Shape::Array(&Shape::Object(&FILTER_CHAIN)),
        "an array with one filter chain",
        "Exactly one.",
    ),
    key(
        "stream_filters",
        Shape::Array(&Shape::Object(&STREAM_FILTER)),
        "none",
        "The filters that requests and responses pass, in order.",
    ),
    key("access_logs", Shape::Array(&Shape::Object(&ACCESS_LOG)), "none", "One line per request in each."),
    refused("use_original_dst", "redirected connections would not reach their original destination"),
    refused("original_dst", "redirected connections would not reach their original destination"),
    refused("listener_filters", "what they do to connections would not happen"),
    warned("type", "ingress and egress are treated alike"),
    warned("default_read_buffer_size", "buffers grow as needed"),
    warned("log_path", "MOSN ignores it too; access logs are set with `access_logs`"),
    warned("log_level", "MOSN ignores it too"),
    warned("disable_conn_io", "MOSN ignores it too"),
    warned("access_log_path", "MOSN ignores it too; access logs are set with `access_logs`"),
];

pub(crate) static FILTER_CHAIN: Object = Object::new(
    "filter_chain",
    "`listeners[].filter_chains[0]`.",
    &[
        required(
            "filters",
            Shape::Array(&Shape::Object(&NETWORK_FILTER)),
            "an array with one `proxy` filter",
            "Exactly one `proxy`; a `connection_manager` beside it may define a router.",
        ),
        key("tls_context", Shape::Object(&LISTENER_TLS), "none", "TLS towards clients."),
        key("tls_context_set", Shape::Array(&Shape::Object(&LISTENER_TLS)), "none", "Several of them."),
        warned("match", "there is one filter chain"),
    ],
)
.rules(&[Rule::AtMostOne(&["tls_context", "tls_context_set"])]);

pub(crate) static NETWORK_FILTER: Object = Object::new(
    "network_filter",
    "`filter_chains[0].filters[]`.",
    &[
        required(
            "type",
            Shape::Words(&["proxy", "connection_manager"]),
            "a network filter's type",
            "`proxy` serves HTTP; `connection_manager` only carries a router.",
        ),
        key(
            "config",
            Shape::Either(&[Shape::Object(&PROXY_FILTER), Shape::Object(&ROUTER)]),
            "",
            "That of the `proxy` filter (required there), or a router.",
        ),
        refused("go_plugin_config", "there are no Go plugins"),
    ],
)
.rules(&[
    Rule::Requires { key: "type", word: "proxy", then: "config" },
    Rule::When { key: "type", word: "proxy", then: "config", shape: Shape::Object(&PROXY_FILTER) },
    Rule::When { key: "type", word: "connection_manager", then: "config", shape: Shape::Object(&ROUTER) },
]);

pub(crate) static ACCESS_LOG: Object = Object::new(
    "access_log",
    "`listeners[].access_logs[]`: one line per finished request, also for those whose head was refused.",
    &[
        key(
            "log_path",
            Shape::Name,
            "",
            "A file, `stdout` or `stderr`; relative paths as for `default_log_path`.",
        ),
        own("plugin", Shape::Free, "", "In place of `log_path`: a plugin that takes the lines. Its keys are in [access logs to plugins](#access-logs-to-plugins)."),
        key(
            "log_format",
            Shape::Text,
            "a line with everything",
            "Text with `%variable%` parts; `%%` is a percent sign, and so is one that begins no name; absent values are `-`.",
        ),
        own(
            "json_format",
            Shape::Free,
            "lines of text",
            "An object whose strings are such text: lines are JSON. A string that is one variable alone becomes its \
             value, a number where it is one, `null` where it is absent.",
        ),
        own(
            "log_roller",
            LOG_ROLLER,
            "`global_log_roller`",
            "When this log's file is set aside, in the words of `global_log_roller`; `off`: never.",
        ),
    ],
)
.rules(&[Rule::ExactlyOne(&["log_path", "plugin"]), Rule::AtMostOne(&["log_format", "json_format"])]);
