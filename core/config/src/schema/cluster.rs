//! `cluster_manager`.

use super::{
    CIRCUIT_BREAKER, CLUSTER_TLS, DNS_RESOLVERS, HEADER_CASE, HEALTH_CHECK, HTTP2_UPSTREAM, Key, LB_CONFIG, LB_SUBSET,
    METADATA, OUTLIER_DETECTION, Object, Rule, SIZE, SLOW_START, Shape, UPSTREAM_PROTOCOL, key, own, refused, required,
    warned,
};

pub(crate) static CLUSTER_MANAGER: Object = Object::new(
    "cluster_manager",
    "`cluster_manager`: where requests can go.",
    &[
        key("clusters", Shape::Array(&Shape::Object(&CLUSTER)), "none", "Groups of hosts that do the same."),
        key(
            "tls_context",
            Shape::Object(&CLUSTER_TLS),
            "none",
            "TLS towards the hosts of clusters with `cluster_manager_tls`.",
        ),
        key(
            "clusters_configs",
            Shape::Text,
            "none",
            "A directory with one cluster per file (`.json`, `.yaml` or `.yml`, in the order of their names), instead of \
             `clusters`. A relative path begins at the folder of the file.",
        ),
        warned("cluster_pool_enable", "every worker has its own pools"),
        warned("auto_discovery", "MOSN ignores it too"),
        warned("registry_use_health_check", "MOSN ignores it too"),
    ],
)
.rules(&[Rule::AtMostOne(&["clusters", "clusters_configs"])]);

pub(crate) static CLUSTER: Object =
    Object::new("cluster", "`cluster_manager.clusters[]`: hosts that do the same, and how one is chosen.", KEYS);

static KEYS: &[Key] = &[
    required("name", Shape::Name, "the cluster's name", "Unique; routes refer to it."),
    key(
        "type",
        Shape::Words(&["", "SIMPLE", "STATIC", "STRICT_DNS", "DYNAMIC", "EDS"]),
        "`SIMPLE`",
        "Where hosts come from. `SIMPLE` and `STATIC`: the list below. `STRICT_DNS`: addresses may be names, and every \
         address that a name has is a host. `DYNAMIC` and `EDS` are the list below too, with a warning: nothing \
         discovers other hosts; without a list they are an error.",
    ),
    key(
        "lb_type",
        Shape::Words(&[
            "",
            "LB_RANDOM",
            "LB_ROUNDROBIN",
            "LB_WEIGHTED_ROUNDROBIN",
            "LB_REQUEST_ROUNDROBIN",
            "LB_LEAST_REQUEST",
            "LB_LEAST_CONNECTION",
            "LB_PEAK_EWMA",
            "LB_MAGLEV",
        ]),
        "`LB_ROUNDROBIN`",
        "How a host is chosen; all but `LB_REQUEST_ROUNDROBIN` honour weights. `LB_ROUNDROBIN` and \
         `LB_WEIGHTED_ROUNDROBIN` are the same and begin at a random host on each worker. `LB_REQUEST_ROUNDROBIN` begins \
         at the first host for each request: the others are tried, in their order, if it is out or was tried already. \
         `LB_LEAST_REQUEST`, `LB_LEAST_CONNECTION` and `LB_PEAK_EWMA` compare a few hosts drawn at random \
         (`lbconfig.choice_count`) by their requests in progress, connections, or latest latencies times requests in \
         progress, over all workers. `LB_MAGLEV` goes by the route's `hash_policy`, without one at random; a host that \
         is out leaves its share to the others until it is back.",
    ),
    key("lbconfig", Shape::Object(&LB_CONFIG), "none", "Numbers for `lb_type`."),
    key("hosts", Shape::Array(&Shape::Object(&HOST)), "none", "Without one every request gets 502."),
    key(
        "connect_timeout",
        Shape::Duration,
        "10s",
        "504 if the last host that was tried did not answer within it, 502 if it refused. Also bounds waiting for room \
         under `max_connections` (503). `\"0\"`: the default.",
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
        "65536",
        "Bytes of a response body that are read at once and wait in memory until the client takes them. Between 16384 and \
         65536, whatever is given. (MOSN: 16384.)",
    ),
    own(
        "upstream_protocol",
        UPSTREAM_PROTOCOL,
        "`Auto`",
        "What hosts are spoken to in, unless the route says so itself. `Http1`; `Http2`, in clear text without asking \
         (prior knowledge); `Auto`: each request goes on in what it came in, as in MOSN.",
    ),
    own("http2_protocol_options", Shape::Object(&HTTP2_UPSTREAM), "", "Settings of HTTP/2 connections to the hosts."),
    own(
        "header_case",
        HEADER_CASE,
        "`lower`",
        "How names of fields are written in requests, for hosts that look for a certain case: `lower`, `title` or \
         `preserve`, as in the `proxy` filter.",
    ),
    own(
        "bare_line_feeds",
        Shape::Bool,
        "false",
        "Take responses whose lines end with LF alone, as some old servers write them; 502 otherwise. For hosts that are \
         trusted: where a message ends is then a matter of opinion.",
    ),
    key("tls_context", Shape::Object(&CLUSTER_TLS), "none", "TLS towards the hosts."),
    key(
        "cluster_manager_tls",
        Shape::Bool,
        "`false`",
        "Without a `tls_context` of its own that counts: take that of `cluster_manager`.",
    ),
    key("health_check", Shape::Object(&HEALTH_CHECK), "none", "Active checks: hosts that fail them are left out."),
    own(
        "outlier_detection",
        Shape::Object(&OUTLIER_DETECTION),
        "none: no host is ejected",
        "Passive checks: hosts whose answers are bad are left out for a while.",
    ),
    own(
        "healthy_panic_threshold",
        Shape::Integer(0, 100),
        "50",
        "While fewer than so many percent of the hosts are well (neither failing their checks nor ejected), all are used: \
         few hosts would break under the load of all, and what is said of so many is rarely true. Of a cluster with \
         subsets, for each subset by itself. 0: never; if all hosts are out, requests get 502 with the flag `UH`. (MOSN \
         has no such thing.)",
    ),
    key(
        "circuit_breakers",
        Shape::Array(&Shape::Object(&CIRCUIT_BREAKER)),
        "none, but for `retry_budget`",
        "How much the cluster may use at once. The first element alone counts, as in MOSN.",
    ),
    key(
        "slow_start",
        Shape::Object(&SLOW_START),
        "none",
        "New hosts, and hosts that are back, get their share slowly.",
    ),
    key("lb_subset_config", Shape::Object(&LB_SUBSET), "none", "Hosts by their metadata."),
    key(
        "dns_refresh_rate",
        Shape::Duration,
        "5s",
        "How often names of a `STRICT_DNS` cluster are resolved; `\"0\"`: the default. While a name cannot be resolved \
         its hosts stay.",
    ),
    key(
        "respect_dns_ttl",
        Shape::Bool,
        "false",
        "Resolve a name again a second after its answer has run out, instead of after `dns_refresh_rate`.",
    ),
    key("dns_lookup_family", Shape::Words(&["", "V4_ONLY", "V6_ONLY"]), "`V4_ONLY`", "Which addresses a name is for."),
    key("dns_resolvers", Shape::Object(&DNS_RESOLVERS), "those of `dns_resolver_file`", "Who resolves names."),
    key(
        "dns_resolver_file",
        Shape::Text,
        "`/etc/resolv.conf`",
        "Names servers, in that file's format. Read when the cluster is made.",
    ),
    key(
        "dns_resolver_port",
        Shape::Either(&[Shape::Text, Shape::Integer(0, u16::MAX as u64)]),
        "53",
        "Port of the servers of `dns_resolver_file`.",
    ),
    refused("spec", "hosts are not discovered, only listed"),
    refused("mark", "packets would not carry the mark"),
    warned("sub_type", "MOSN ignores it too"),
    warned("original_dst_lb_config", "clusters of type ORIGINAL_DST do not exist here"),
    warned(
        "keepalive",
        "MOSN reads it and uses it nowhere; `http2_protocol_options.connection_keepalive` pings HTTP/2 hosts",
    ),
    warned("cluster_pool_enable", "every worker has its own pools"),
];

pub(crate) static HOST: Object = Object::new(
    "host",
    "`clusters[].hosts[]`.",
    &[
        required(
            "address",
            Shape::Either(&[Shape::Address, Shape::Pattern("^[A-Za-z0-9_.-]+$")]),
            "IP:port or unix:/path",
            "`IP:port`, `[v6]:port`, `:port`, `localhost:port` or `unix:/path`; in a `STRICT_DNS` cluster also \
             `name:port` or `name` (port 80). Unique in its cluster.",
        ),
        key("hostname", Shape::Text, "none; of a name, the name", "For `auto_host_rewrite`."),
        key("weight", Shape::Integer(1, 128), "1", "Its share, against those of the others."),
        key("metadata", Shape::Object(&METADATA), "none", "For subsets."),
        key("tls_disable", Shape::Bool, "`false`", "Speak clear text with this host, whatever its cluster does."),
    ],
);
