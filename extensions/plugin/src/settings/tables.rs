//! The keys of filters that ask plugins.

use sidegate_settings::{Shape, Table, key};

use super::of_plugin;
use crate::streaming::STREAMING;

pub(crate) static PLUGIN: Table = Table::new(
    "Asks a plugin about each request: a program that is started beside the proxy, or one that listens at an address. \
     It is spoken to by gRPC, as MOSN speaks to its plugins.",
    &[
        key(
            "command",
            Shape::Name,
            "",
            "The program. A relative path is looked up in the folder of the configuration file, then in the working \
             directory; a name without a slash then in `PATH`.",
        ),
        of_plugin::ARGS,
        key(
            "directory",
            Shape::Name,
            "the folder of the configuration file",
            "Its working directory, where relative names of files among `args` begin; itself it begins at the folder \
             of the configuration file.",
        ),
        of_plugin::ENV,
        key(
            "address",
            Shape::Name,
            "",
            "In place of `command`: where a plugin listens that somebody else starts, `unix:/path` or a loopback \
             address with a port.",
        ),
        key(
            "name",
            Shape::Name,
            "the program's file name, or the address",
            "For status, metrics and logs. One name is one process, however many filters use it.",
        ),
        key("timeout", Shape::Duration, "1s", "Bound of a call, the wait for a plugin that starts again included."),
        key(
            "on_error",
            Shape::Words(&["deny", "allow"]),
            "deny",
            "What a call that fails makes of its stream: `deny` answers 500, `allow` lets it go on as if nothing had \
             been asked.",
        ),
        key(
            "direction",
            Shape::Words(&["request", "response", "both"]),
            "request",
            "What the plugin is asked about; `type` of a call says which it is.",
        ),
        key(
            "send_body",
            Shape::Bool,
            "false",
            "Whether the plugin sees and may replace bodies and trailers. Bodies are held back until they are whole.",
        ),
        key(
            "header_names",
            Shape::Words(&["canonical", "lower"]),
            "canonical",
            "How names of fields are written in calls: `User-Agent`, as MOSN does, or `user-agent`.",
        ),
        key(
            "pseudo_headers",
            Shape::Bool,
            "true",
            "Whether calls have `:method`, `:path`, `:scheme`, `:authority` and `:status` beside the fields.",
        ),
        key(
            "protocol",
            Shape::Words(&["mosn", "sidegate", "auto"]),
            "mosn",
            "How it is spoken to: by MOSN's call, by the streaming protocol `sidegate.plugin.v1`, or by that where the \
             plugin serves it and else by MOSN's call.",
        ),
        key("streaming", Shape::Object(&STREAMING), "none", "Of the streaming protocol."),
        of_plugin::MAX_PROCS,
        key("max_in_flight", Shape::Integer(1, 100_000), "1024", "Calls of this filter at once; what is more fails."),
        of_plugin::LIMITS,
        key(
            "max_timeouts",
            Shape::Integer(0, 1_000_000),
            "30",
            "Calls one after the other without an answer in time, over a second or more, after which it is taken for \
             one that hangs and started again; 0: whatever their number.",
        ),
        of_plugin::START_TIMEOUT,
        of_plugin::STOP_TIMEOUT,
        of_plugin::RESTART_BACKOFF,
        of_plugin::RESTART_BACKOFF_MAX,
        of_plugin::COOKIE,
    ],
)
.exactly_one(&["command", "address"]);

pub(crate) static COOKIE: Table = Table::new(
    "A variable of go-plugin's handshake.",
    &[key("key", Shape::Name, "`MOSN_PLUGIN`", "Its name."), key("value", Shape::Name, "`ON`", "Its value.")],
);

pub(crate) static DEMO_PLUGIN: Table = Table::new(
    "MOSN's example of a filter with a plugin: runs the program `checker`, which lies beside the proxy's own, and \
     answers 403 where that says so.",
    &[key("config_path", Shape::Text, "none", "The program's argument `-c`.")],
);

pub(crate) static PLUGIN_FILTER: Table = Table::new(
    "MOSN's example of a plugin that changes requests: runs the program `pluginfilter`, which lies beside the proxy's \
     own, for 10ms at most, and goes on if that fails.",
    &[],
);
