//! `metrics`.

use super::{Object, Shape, TEXTS, key, own, quiet, refused, required, warned};

pub(crate) static METRICS: Object = Object::new(
    "metrics",
    "`metrics`: pages of metrics beside the one of the admin interface, and what statistics are shown.",
    &[
        key("sinks", Shape::Array(&Shape::Object(&METRICS_SINK)), "none", "Where metrics are served."),
        key(
            "stats_matcher",
            Shape::Object(&STATS_MATCHER),
            "everything",
            "What is left out, on the admin interface too.",
        ),
        warned("shm_zone", "there is no live upgrade that statistics would have to survive"),
        warned("shm_size", "there is no live upgrade that statistics would have to survive"),
        warned("flush_mosn", "the version is shown as `sidegate_build_info`"),
        warned("lazy_flush", "a series costs nothing until it is shown"),
        warned("sample", "histograms count all observations"),
        warned("ewma", "nothing balances by it"),
        warned("flush_interval", "MOSN ignores it too; metrics are shown when they are asked for"),
    ],
);

pub(crate) static METRICS_SINK: Object = Object::new(
    "metrics_sink",
    "`metrics.sinks[]`.",
    &[
        required("type", Shape::Words(&["prometheus"]), "\"prometheus\"", "What kind it is."),
        required("config", Shape::Object(&PROMETHEUS), "an object with `port`", "Where it is."),
        refused("go_plugin_config", "there are no Go plugins"),
    ],
);

pub(crate) static PROMETHEUS: Object = Object::new(
    "prometheus",
    "`metrics.sinks[].config`: an HTTP server with one page. Histograms are Prometheus's own; MOSN's `_min` and `_max` \
     are not there, as those of a whole process's life say nothing.",
    &[
        required("port", Shape::Integer(0, 65_535), "a port", "0 takes a free one; the ready file tells which."),
        own("address", Shape::Text, "all IPv4 addresses", "An IP address or `localhost`."),
        key("endpoint", Shape::Pattern("^(/[!-\"$->@-~]*)?$"), "`/metrics`", "Path of the page."),
        key(
            "percentiles",
            Shape::Array(&Shape::Integer(1, 100)),
            "none",
            "Estimated from each histogram's buckets over the process's life, as MOSN shows them: `NAME{percentile=\"P99\"}` in nanoseconds, in place of the histogram. \
             `histogram_quantile` of Prometheus tells more.",
        ),
        key("disable_collect_process", Shape::Bool, "`false`", "Leave out `process_*`."),
        quiet("disable_collect_go"),
    ],
);

pub(crate) static STATS_MATCHER: Object = Object::new(
    "stats_matcher",
    "`metrics.stats_matcher`: statistics that are not shown. They are counted all the same, so that this saves the \
     reader's memory and not the proxy's time.",
    &[
        key("reject_all", Shape::Bool, "`false`", "Show none."),
        key(
            "exclusion_labels",
            TEXTS,
            "none",
            "Names of labels, such as `host`: series that have one are left out. Without `listener`, sums over \
             listeners (`proxy=\"global\"`) stay.",
        ),
        key(
            "exclusion_keys",
            TEXTS,
            "none",
            "Names of series without their first word, as in MOSN, or whole: `request_time` leaves out \
             `downstream_request_time`.",
        ),
    ],
);
