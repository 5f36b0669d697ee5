//! The top of the file and its only server.

use super::{
    ADMIN, CLUSTER_MANAGER, Key, LISTENER, METRICS, MODULES, OVERLOAD, Object, ROUTER, Shape, key, own, refused,
    required, warned,
};

pub(crate) static TOP: Object = Object::new(
    "top",
    "The whole file.",
    &[
        required("servers", Shape::Array(&Shape::Object(&SERVER)), "an array with one server", "Exactly one entry."),
        key("cluster_manager", Shape::Object(&CLUSTER_MANAGER), "no clusters", "The hosts that requests go to."),
        key(
            "admin",
            Shape::Object(&ADMIN),
            "no admin interface",
            "The admin interface: metrics, state, log levels, modules.",
        ),
        key(
            "metrics",
            Shape::Object(&METRICS),
            "metrics are on the admin interface alone",
            "What is shown of statistics, and where.",
        ),
        own(
            "compat",
            Shape::Words(&["off", "mosn"]),
            "`off`",
            "`mosn`: what a file cannot tell is done as in MOSN. Access logs are written as MOSN writes them, those without a \
             format in its default one; see the [page on MOSN](mosn.md#access-logs). `target_bytes` of the `proxy` filter \
             is `lenient` unless it says otherwise.",
        ),
        own("modules", Shape::Object(&MODULES), "nothing is permitted", "What is permitted to modules."),
        key("plugin", Shape::Object(&PLUGIN), "", "What plugins that are processes of their own are told."),
        own("overload", Shape::Object(&OVERLOAD), "limits by default", "What the process may use at most."),
        refused("dynamic_resources", "there is no xDS, the configuration is this file alone"),
        refused("stream_filters", "filters belong to listeners; put them into `servers[0].listeners[].stream_filters`"),
        refused("static_resources", "clusters are read from `cluster_manager` alone"),
        warned("disable_upgrade", "there is no live upgrade to switch off"),
        warned("close_graceful", "there is no live upgrade to switch off"),
        warned("tracing", "there are no traces"),
        warned("pprof", "there is no Go runtime to profile; nothing listens on its port"),
        warned("third_part_codec", "there are no loadable codecs"),
        warned("third_part_codecs", "there are no loadable codecs"),
        warned("node", "there is no xDS"),
        warned("extends", "none of MOSN's extensions exist"),
        warned("wasm_global_plugins", "there is no Wasm"),
        warned("layered_runtime", "MOSN ignores it too"),
        warned("pid", "no pid file is written"),
        warned("uds_dir", "there is no live upgrade"),
        warned("inherit_old_mosnconfig", "there is no live upgrade"),
    ],
);

pub(crate) static PLUGIN: Object = Object::new(
    "plugin",
    "`plugin`: what [plugins](plugins.md) are told.",
    &[key(
        "log_base",
        Shape::Text,
        "`logs/`",
        "`MOSN_LOGBASE`: the folder for logs of plugins that are made for MOSN.",
    )],
);

pub(crate) static SERVER: Object = Object::new("server", "`servers[0]`: logs, workers, routers and listeners.", KEYS);

/// The words of a rotation, or `off`.
pub(super) const LOG_ROLLER: Shape = Shape::Pattern(
    r"^(off|\s*((time|size|age|keep)=[0-9]+|compress=(on|off))(\s+((time|size|age|keep)=[0-9]+|compress=(on|off)))*\s*)?$",
);

static KEYS: &[Key] = &[
    key(
        "default_log_path",
        Shape::Text,
        "`stderr`",
        "The process log: a file, `stdout` or `stderr`. Missing folders are made. A relative path leads to what exists \
         below the folder of the configuration or the working directory, else below the first, as that of a module \
         does.",
    ),
    key(
        "default_log_level",
        Shape::AnyCase(&["", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]),
        "`INFO`",
        "Events below it are not logged. `FATAL` is the same as `ERROR`; case does not matter.",
    ),
    key(
        "global_log_roller",
        LOG_ROLLER,
        "`off` (MOSN: every midnight)",
        "When log files are set aside, as words: `time=` every so many hours, 1 to 24; `size=` before a file is larger \
         than so many MiB; `keep=` so many files, 0 for all; `age=` for so many days, 0 for ever; `compress=on`. \
         Without `time`, `size=1000 age=7 keep=10` is what is not given; with it, all that is given counts, where MOSN \
         looks at `time` alone. Files set aside are called like the log, a dot and the time in UTC.",
    ),
    key(
        "graceful_timeout",
        Shape::Duration,
        "30s",
        "How long streams may take to finish on SIGTERM. `\"0\"` is the default.",
    ),
    key(
        "drain_delay",
        Shape::Duration,
        "`\"0\"`",
        "How long everything is served as before on SIGTERM, with `/ready` at 503 already, until `graceful_timeout` begins. \
         For load balancers that take a while to notice.",
    ),
    key(
        "processor",
        Shape::Either(&[Shape::Integer(0, 1024), Shape::Pattern("^(auto|[0-9]+)?$")]),
        "`auto`",
        "Number of workers, 1 to 1024. `auto` and 0: one per core that the process may use. \
         `sidegate run --workers` goes before it.",
    ),
    key("routers", Shape::Array(&Shape::Object(&ROUTER)), "none", "Tables that choose what happens to a request."),
    key("listeners", Shape::Array(&Shape::Object(&LISTENER)), "none", "Sockets that clients connect to."),
    warned("mosn_server_name", "nothing shows the name"),
    warned("use_netpoll_mode", "there is one way to poll"),
];
