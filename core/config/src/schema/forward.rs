//! `route` of a route.

use super::headers::HEADER_EDITS;
use super::metadata::METADATA;
use super::route_policy::{HASH_POLICY, RETRY_POLICY};
use super::{Object, Rule, Shape, UPSTREAM_PROTOCOL, key, required, warned};

pub(crate) static ROUTE_ACTION: Object = Object::new(
    "route_action",
    "`route` of a route: send the request to a cluster.",
    &[
        key("cluster_name", Shape::Text, "", "The cluster. Required without the next three."),
        key(
            "weighted_clusters",
            Shape::Array(&Shape::Object(&WEIGHTED_CLUSTER)),
            "",
            "One of several clusters by chance, each as often as its weight says. `cluster_name` is then ignored, with \
             a warning.",
        ),
        key(
            "cluster_header",
            Shape::Text,
            "",
            "The cluster that this request header names. 503 if the header is missing or names none.",
        ),
        key(
            "cluster_variable",
            Shape::Text,
            "",
            "The cluster that this variable names, such as `filter_NAME` for one that a filter set. 503 as above.",
        ),
        key("metadata_match", Shape::Object(&METADATA), "every host", "What a host's `metadata` must say."),
        key("timeout", Shape::Duration, "`timeouts.response`", "Takes its place; `\"0\"` does not."),
        key("prefix_rewrite", Shape::Text, "", "Takes the place of the matched `prefix` or `path`; needs one of them."),
        key(
            "regex_rewrite",
            Shape::Object(&REGEX_REWRITE),
            "",
            "Replaces in the path. Ignored beside `prefix_rewrite`.",
        ),
        key("host_rewrite", Shape::Text, "", "The authority that is sent; goes before the next two."),
        key("auto_host_rewrite_header", Shape::Text, "", "The authority is that request header's value."),
        key("auto_host_rewrite", Shape::Bool, "`false`", "The authority is the chosen host's `hostname`."),
        key(
            "upstream_protocol",
            UPSTREAM_PROTOCOL,
            "that of the cluster",
            "What the host is spoken to in: `Http1`, `Http2`, or `Auto`, what the request came in.",
        ),
        key(
            "retry_policy",
            Shape::Object(&RETRY_POLICY),
            "none",
            "When a request is sent again. Without one only another host is tried where connecting failed.",
        ),
        key(
            "hash_policy",
            Shape::Array(&Shape::Object(&HASH_POLICY)),
            "the client's address",
            "Which requests are alike, for `LB_MAGLEV`. The first that says something of a request counts (MOSN reads \
             the first entry alone).",
        ),
    ],
)
.and(HEADER_EDITS)
.rules(&[
    Rule::AtLeastOne(&["cluster_name", "weighted_clusters", "cluster_header", "cluster_variable"]),
    Rule::First(&["prefix_rewrite", "regex_rewrite"]),
    Rule::AtMostOne(&["cluster_name", "cluster_header", "cluster_variable"]),
    Rule::AtMostOne(&["weighted_clusters", "cluster_header", "cluster_variable"]),
]);

pub(crate) static REGEX_REWRITE: Object = Object::new(
    "regex_rewrite",
    "`route.regex_rewrite`: replaces every match in the path.",
    &[
        required("pattern", Shape::Object(&REGEX_PATTERN), "an object with `regex`", "What is replaced."),
        key("substitution", Shape::Text, "nothing", "By what; groups are `$1`, `${name}`."),
    ],
);

pub(crate) static REGEX_PATTERN: Object = Object::new(
    "regex_pattern",
    "`regex_rewrite.pattern`.",
    &[
        required("regex", Shape::Text, "a regular expression", "The pattern."),
        warned("google_re2", "the size of patterns is bounded for all of them"),
    ],
);

pub(crate) static WEIGHTED_CLUSTER: Object = Object::new(
    "weighted_cluster",
    "`route.weighted_clusters[]`.",
    &[required("cluster", Shape::Object(&WEIGHTED), "an object with `name` and `weight`", "The cluster.")],
);

pub(crate) static WEIGHTED: Object = Object::new(
    "weighted",
    "`route.weighted_clusters[].cluster`.",
    &[
        required("name", Shape::Name, "a cluster", "Must be defined."),
        required("weight", Shape::Integer(0, u32::MAX as u64), "its share", "Its share, against those of the others."),
        key(
            "metadata_match",
            Shape::Object(&METADATA),
            "that of the route",
            "What a host's `metadata` must say; goes before that of the route, key by key.",
        ),
    ],
);
