//! Of a cluster: when its hosts are left out, and how much it may use.

use super::{Object, Shape, key, own, quiet, warned};

pub(crate) static HEALTH_CHECK: Object = Object::new(
    "health_check",
    "`clusters[].health_check`: each host is checked from the control thread. Hosts begin healthy.",
    &[
        key("service_name", Shape::Text, "empty: no checks", "Turns checks on; `service` of `healthcheck_*`."),
        key(
            "protocol",
            Shape::Text,
            "a connection",
            "`Http1` and a `check_config` send a request, in HTTP/2 where the cluster speaks it; anything else checks that a \
             connection can be made.",
        ),
        key("timeout", Shape::Duration, "1s", "For one check; `\"0\"`: the default."),
        key("interval", Shape::Duration, "15s", "From one check of a host to the next; `\"0\"`: the default."),
        key("interval_jitter", Shape::Duration, "5ms", "Up to so much longer, at random; `\"0\"`: the default."),
        key(
            "initial_delay_seconds",
            Shape::Either(&[Shape::Duration, Shape::Integer(0, 86_400)]),
            "0s",
            "Before a host's first check: a duration, or seconds.",
        ),
        key("healthy_threshold", COUNT, "1", "Good checks in a row that bring a host back. 0: the default."),
        key("unhealthy_threshold", COUNT, "1", "Bad checks in a row that take a host out. 0: the default."),
        key("check_config", Shape::Object(&CHECK_CONFIG), "none", "What is asked."),
        key(
            "event_log_path",
            Shape::Text,
            "none",
            "File that gets a line of JSON per change of a host's health. The process log has them anyway.",
        ),
        quiet("check_path"),
        warned("common_callbacks", "there is nothing to call"),
    ],
);

const COUNT: Shape = Shape::Integer(0, u32::MAX as u64);

pub(crate) static CHECK_CONFIG: Object = Object::new(
    "check_config",
    "`health_check.check_config`.",
    &[key("http_check_config", Shape::Object(&HTTP_CHECK), "none", "The request, and what is a good answer.")],
);

pub(crate) static HTTP_CHECK: Object = Object::new(
    "http_check_config",
    "`check_config.http_check_config`: one request on a connection of its own.",
    &[
        own(
            "codec_client_type",
            Shape::Words(&["", "HTTP1", "HTTP2"]),
            "by the cluster",
            "What it is sent in, in Envoy's words: HTTP/1.1, or HTTP/2, by prior knowledge or ALPN. Without it HTTP/2 where \
             `upstream_protocol` of the cluster is `Http2`, HTTP/1.1 elsewhere.",
        ),
        key("port", Shape::Integer(0, u16::MAX as u64), "the host's", "Port to ask. 0: the default."),
        key("timeout", Shape::Duration, "the check's", "The shorter one of this and the check's `timeout` counts."),
        key("path", Shape::Text, "`/`", "Path and query."),
        key("method", Shape::Words(&["", "GET", "HEAD", "OPTIONS", "POST"]), "`GET`", "Method; without a body."),
        key(
            "scheme",
            Shape::Words(&["", "http"]),
            "`http`",
            "Whatever it says, checks go as requests do: in TLS where the cluster speaks it, unless `port` is another one.",
        ),
        key("domain", Shape::Text, "the host's address", "`host` of the request."),
        key("codes", Shape::Array(&Shape::Object(&CODE_RANGE)), "200", "Statuses that are good."),
    ],
);

pub(crate) static CODE_RANGE: Object = Object::new(
    "code_range",
    "`http_check_config.codes[]`: both ends are included.",
    &[
        key("Start", Shape::Integer(0, 999), "0", "The first status."),
        key("End", Shape::Integer(0, 999), "that of `Start`", "The last status."),
    ],
);

pub(crate) static OUTLIER_DETECTION: Object = Object::new(
    "outlier_detection",
    "`clusters[].outlier_detection`: passive ejection, in Envoy's terms. Failures to connect, timeouts and resets count \
     as 5xx and as gateway failures too (`split_external_local_origin_errors` is not there). Whatever is configured is \
     enforced: there are no `enforcing_*` percentages. The last host that may be chosen is never ejected.",
    &[
        own(
            "consecutive_5xx",
            COUNT,
            "5",
            "Eject after so many responses with 500 or above in a row. 0: do not count.",
        ),
        own("consecutive_gateway_failure", COUNT, "0", "The same for 502, 503 and 504. 0: do not count."),
        own(
            "consecutive_local_origin_failure",
            COUNT,
            "5",
            "The same for failures to connect, timeouts and resets. 0: do not count.",
        ),
        own("interval", Shape::PositiveDuration, "10s", "How often it is looked whether a host's time is up."),
        own(
            "base_ejection_time",
            Shape::PositiveDuration,
            "30s",
            "How long the first ejection lasts. The second lasts twice as long, and so on; an interval without \
             ejection takes one back.",
        ),
        own("max_ejection_time", Shape::PositiveDuration, "300s", "The longest ejection, unless the base is longer."),
        own(
            "max_ejection_percent",
            Shape::Integer(0, 100),
            "10",
            "While this share of the hosts is ejected no other one is. One host may always be, unless this is 0.",
        ),
    ],
);

pub(crate) static CIRCUIT_BREAKER: Object = Object::new(
    "circuit_breaker",
    "`clusters[].circuit_breakers[0]`: limits over all workers, exact. Above one the client gets 503 with the flag `UO`; \
     a retry does not happen.",
    &[
        key(
            "max_connections",
            COUNT,
            "0: no limit",
            "Connections to the hosts, in use or pooled. At the limit a request waits for one: first come, first served, \
             over all workers, which give up what they keep idle at once. It waits as long as `connect_timeout`, then \
             it gets 503. (MOSN: 503 at once.)",
        ),
        key(
            "max_pending_requests",
            COUNT,
            "0: no limit",
            "Requests that wait for a connection: for one to be made, or for `max_connections` to have room.",
        ),
        key("max_requests", COUNT, "0: no limit", "Requests in progress."),
        key(
            "max_retries",
            COUNT,
            "0: `retry_budget`",
            "Retries in progress: a fixed number instead of a share. (MOSN: 0 is no limit.)",
        ),
        own(
            "retry_budget",
            Shape::Object(&RETRY_BUDGET),
            "20 %, at least 3",
            "Retries in progress, as a share of the requests in progress, so that a failing cluster is not drowned in \
             repetitions. Goes before `max_retries`.",
        ),
        quiet("priority"),
    ],
);

pub(crate) static RETRY_BUDGET: Object = Object::new(
    "retry_budget",
    "`clusters[].circuit_breakers[0].retry_budget`, in Envoy's terms. A retry that it does not allow does not happen: the \
     client gets what the attempt before had. The next host after one that cannot be reached is no retry: nothing was sent.",
    &[
        own(
            "budget_percent",
            Shape::Integer(0, 100),
            "20",
            "Retries in progress, in percent of the cluster's requests in progress. 100: as many as there are requests.",
        ),
        own("min_retry_concurrency", COUNT, "3", "So many retries are allowed with however few requests."),
    ],
);

pub(crate) static SLOW_START: Object = Object::new(
    "slow_start",
    "`clusters[].slow_start`: for hosts that are new or come back. Consistent hashing takes no notice.",
    &[
        key("mode", Shape::Words(&["", "duration"]), "`duration`", "The share grows with time."),
        key("slow_start_duration", Shape::Duration, "0s: off", "How long it takes to the full share."),
        key("aggression", Shape::Decimal, "1", "1: evenly; above 1 the share grows faster in the beginning. 0: 1."),
        key("min_weight_percent", Shape::Decimal, "10", "Share to begin with, in percent of the full one. 0: 10."),
    ],
);
