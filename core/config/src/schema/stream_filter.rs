//! One entry of `stream_filters`.

use super::{Object, Rule, Shape, key, own, own_required, required, warned};

/// RFC 6901.
const POINTER: &str = "^(/([^~]|~[01])*)?$";

/// `on_fault`
const ON_FAULT: Shape = Shape::Words(&["reply-500", "pass", "reset"]);

pub(crate) static STREAM_FILTER: Object = Object::new(
    "stream_filter",
    "`listeners[].stream_filters[]`: a built-in filter, or one from a module.",
    &[
        required(
            "type",
            Shape::Name,
            "a stream filter's type",
            "A built-in filter; any word if the entry names a module.",
        ),
        key("config", Shape::Free, "`{}`", "For the filter."),
        own("name", Shape::Name, "the module's name, else the type", "For `per_filter_config`, metrics and logs."),
        own(
            "on_fault",
            ON_FAULT,
            "`reply-500`",
            "What a fault of the filter does to its stream: reply 500, `pass` (go on without the filter; cut if it \
             had changed body bytes), or `reset` the connection.",
        ),
        own("so_config", Shape::Object(&SO_CONFIG), "", "The module that the filter comes from."),
        key(
            "go_plugin_config",
            Shape::Object(&GO_PLUGIN_CONFIG),
            "",
            "MOSN's way to name a module. A Go plugin itself is no module and is refused.",
        ),
    ],
)
.rules(&[Rule::AtMostOne(&["so_config", "go_plugin_config"])]);

pub(crate) static SO_CONFIG: Object = Object::new(
    "so_config",
    "`so_config`: the module of a stream filter.",
    &[
        own(
            "so_path",
            Shape::Name,
            "",
            "The file. A relative path is looked up in the folder of the configuration file, then in the working \
             directory.",
        ),
        own(
            "module",
            Shape::Pattern("^[A-Za-z0-9._-]+$"),
            "",
            "In place of `so_path`: the name of a module in one of `modules.directories`, which is its file's without \
             `.so`.",
        ),
        own(
            "name",
            Shape::Pattern("^[A-Za-z0-9._-]+$"),
            "the file's name without extension",
            "The module's name: letters, digits, `.`, `_`, `-`. One file has one name, one name one file.",
        ),
        own("filter", Shape::Text, "its only one", "Which filter of the module."),
        own("sha256", Shape::Pattern("^[0-9A-Fa-f]{64}$"), "not pinned", "Refuse any other file. Hexadecimal."),
        own(
            "secrets",
            Shape::Array(&Shape::Pattern(POINTER)),
            "what is told by its name",
            "What `config_dump` does not show of `config` and of `per_filter_config`: JSON Pointers such as \
             `/upstream/pin`; `\"\"` is all of it. Everything below a marked place is hidden. Strings are hidden \
             anyway whose key ends with `token`, `secret`, `password`, `api_key`, `authorization` and the like.",
        ),
        own("on_fault", ON_FAULT, "", "As beside `so_config`; in one of the two places."),
        own("quarantine", Shape::Object(&QUARANTINE), "none", "What follows when the filter faults too often."),
        own(
            "slow_hook",
            Shape::PositiveDuration,
            "`10ms`",
            "A hook that takes as long holds up every stream of its worker: it is counted \
             (`sidegate_filter_slow_hooks_total`) and told in the log, a line per hook in ten seconds.",
        ),
        own(
            "watch",
            Shape::Bool,
            "`false`",
            "Reload the module when its file changes. A file that is refused changes nothing, and is logged.",
        ),
        own(
            "generation_timeout",
            Shape::PositiveDuration,
            "as long as they take",
            "How long a tunnel may keep a filter that waits for `on_complete` once there is a newer generation of the \
             module, or none is in use. Then the filter is told (`reset_by` is the proxy, `response_details` `generation_timeout`, bytes \
             are those so far), and the tunnel goes on without it. Other streams keep their filters to their end.",
        ),
        own(
            "plugins",
            Shape::Map(&Shape::Free),
            "none",
            "Plugins that the filter may call, by the names that it has for them, and no others. Each is described as \
             by `config` of the filter `plugin`: `command` or `address`, `args`, `env`, `directory`, `limits`, `name` \
             (default: the name here), `timeout` (default: `1s`), `max_in_flight` and the bounds of its life.",
        ),
    ],
)
.rules(&[Rule::ExactlyOne(&["so_path", "module"]), Rule::AtMostOne(&["module", "name"])]);

pub(crate) static QUARANTINE: Object = Object::new(
    "quarantine",
    "`so_config.quarantine`: after so many faults within so long. A reload ends it.",
    &[
        own_required("faults", Shape::Integer(1, 1_000_000), "a number of faults", "How many."),
        own_required("within", Shape::PositiveDuration, "a duration", "The window they are counted in."),
        own_required(
            "then",
            Shape::Words(&["closed", "bypass"]),
            "\"closed\" or \"bypass\"",
            "`closed`: 500 for every stream; `bypass`: go on without the filter.",
        ),
        own(
            "for",
            Shape::PositiveDuration,
            "until a reload",
            "How long. Then one stream tries the filter; once it has ended without a fault, or has run for `within`, \
             all have it again. The first fault of the trial, or within `within` after it, renews the quarantine.",
        ),
    ],
);

pub(crate) static GO_PLUGIN_CONFIG: Object = Object::new(
    "go_plugin_config",
    "`go_plugin_config`: MOSN's key for the module of a stream filter.",
    &[
        required("so_path", Shape::Name, "the path of a shared library", "As in `so_config`."),
        warned("factory_method", "a module's entry point has a fixed name"),
    ],
);
