//! `cluster_manager`.

use super::{Key, NUMBER, Object, SIZE, Shape, TLS_CONTEXT, key, quiet, refused, required, warned};

pub(crate) static CLUSTER_MANAGER: Object = Object::new(
    "cluster_manager",
    "`cluster_manager`: where requests can go.",
    &[
        key("clusters", Shape::Array(&Shape::Object(&CLUSTER)), "none", "Groups of hosts that do the same."),
        key("tls_context", Shape::Object(&TLS_CONTEXT), "none", "TLS towards hosts."),
        refused("clusters_configs", "clusters are read from `clusters` alone"),
        warned("cluster_pool_enable", "every worker has its own pools"),
        warned("auto_discovery", "MOSN ignores it too"),
        warned("registry_use_health_check", "MOSN ignores it too"),
    ],
);

pub(crate) static CLUSTER: Object =
    Object::new("cluster", "`cluster_manager.clusters[]`: hosts that do the same, and how one is chosen.", KEYS);

static KEYS: &[Key] = &[
    required("name", Shape::Name, "the cluster's name", "Unique; routes refer to it."),
    key("type", Shape::Words(&["", "SIMPLE", "STATIC"]), "`SIMPLE`", "Where hosts come from. Both are the list below."),
    key(
        "lb_type",
        Shape::Words(&["", "LB_RANDOM", "LB_ROUNDROBIN", "LB_WEIGHTED_ROUNDROBIN", "LB_REQUEST_ROUNDROBIN"]),
        "`LB_ROUNDROBIN`",
        "How a host is chosen. The three round robins are the same; all honour weights; round robin begins at a \
         random host on each worker.",
    ),
    key("hosts", Shape::Array(&Shape::Object(&HOST)), "none", "Without one every request gets 502."),
    key(
        "connect_timeout",
        Shape::Duration,
        "10s",
        "504 if the last host that was tried did not answer within it, 502 if it refused. `\"0\"`: the default.",
    ),
    key("idle_timeout", Shape::Duration, "90s", "Close a pooled connection after it; `\"0\"`: never."),
    key(
        "max_request_per_conn",
        Shape::Integer(0, u32::MAX as u64),
        "1024",
        "Close a connection after so many requests. 0: the default.",
    ),
    key(
        "conn_buffer_limit_bytes",
        SIZE,
        "16384",
        "Taken and not used: a streamed body waits in at most one 64 KiB buffer per side.",
    ),
    key("tls_context", Shape::Object(&TLS_CONTEXT), "none", "TLS towards the hosts."),
    key(
        "health_check",
        Shape::Object(&HEALTH_CHECK),
        "none",
        "Hosts are not checked yet: an error with a `service_name`, a warning without.",
    ),
    key(
        "circuit_breakers",
        Shape::Array(&Shape::Object(&CIRCUIT_BREAKER)),
        "none",
        "Limits are not kept yet: an error with one, a warning without. The first element alone counts.",
    ),
    refused("lb_subset_config", "requests would reach hosts outside their subset"),
    refused("spec", "hosts are not discovered, only listed"),
    refused("mark", "packets would not carry the mark"),
    refused("cluster_manager_tls", "connections to the hosts would be in clear text"),
    warned("sub_type", "MOSN ignores it too"),
    warned("slow_start", "a new host gets its full share at once"),
    warned("lbconfig", "the balancers that read it do not exist here"),
    warned("original_dst_lb_config", "clusters of type ORIGINAL_DST do not exist here"),
    warned("keepalive", "it belongs to protocols that do not exist here"),
    warned("cluster_pool_enable", "every worker has its own pools"),
    warned("dns_refresh_rate", "no names are resolved"),
    warned("respect_dns_ttl", "no names are resolved"),
    warned("dns_lookup_family", "no names are resolved"),
    warned("dns_resolvers", "no names are resolved"),
    warned("dns_resolver_file", "no names are resolved"),
    warned("dns_resolver_port", "no names are resolved"),
];

pub(crate) static HOST: Object = Object::new(
    "host",
    "`clusters[].hosts[]`.",
    &[
        required(
            "address",
            Shape::Address,
            "IP:port or unix:/path",
            "`IP:port`, `[v6]:port`, `:port`, `localhost:port` or `unix:/path`; no names. Unique in its cluster.",
        ),
        key("hostname", Shape::Text, "none", "For `auto_host_rewrite`."),
        key("weight", Shape::Integer(1, 128), "1", "Its share, against those of the others."),
        warned("metadata", "there are no subsets that would use it"),
        warned("tls_disable", "there is no TLS to switch off"),
    ],
);

pub(crate) static HEALTH_CHECK: Object = Object::new(
    "health_check",
    "`clusters[].health_check`: not there yet.",
    &[
        key("service_name", Shape::Text, "empty: no checks", "Turns checks on; an error, as there are none."),
        quiet("protocol"),
        quiet("timeout"),
        quiet("interval"),
        quiet("interval_jitter"),
        quiet("initial_delay_seconds"),
        quiet("healthy_threshold"),
        quiet("unhealthy_threshold"),
        quiet("check_config"),
        quiet("check_path"),
        quiet("event_log_path"),
        quiet("common_callbacks"),
    ],
);

pub(crate) static CIRCUIT_BREAKER: Object = Object::new(
    "circuit_breaker",
    "`clusters[].circuit_breakers[0]`: not there yet.",
    &[
        key("max_connections", NUMBER, "0: no limit", "An error above 0."),
        key("max_pending_requests", NUMBER, "0: no limit", "An error above 0."),
        key("max_requests", NUMBER, "0: no limit", "An error above 0."),
        key("max_retries", NUMBER, "0: no limit", "An error above 0."),
        quiet("priority"),
    ],
);
