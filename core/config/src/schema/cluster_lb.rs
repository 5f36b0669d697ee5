//! Of a cluster: numbers for balancing, subsets, and the resolution of names.

use super::{Object, Shape, TEXTS, key, warned};

pub(crate) static LB_CONFIG: Object = Object::new(
    "lbconfig",
    "`clusters[].lbconfig`.",
    &[
        key(
            "choice_count",
            Shape::Integer(0, 1000),
            "2",
            "Hosts that are compared for the least load. 0: the default.",
        ),
        key(
            "active_request_bias",
            Shape::Decimal,
            "1",
            "Power that requests in progress are raised to before hosts are compared by them: 0 leaves the weights.",
        ),
        warned("client_error_bias", "responses do not weigh here; see `outlier_detection`"),
        warned("server_error_bias", "responses do not weigh here; see `outlier_detection`"),
    ],
);

pub(crate) static LB_SUBSET: Object = Object::new(
    "lb_subset_config",
    "`clusters[].lb_subset_config`: a route's `metadata_match` names the hosts that may get its requests.",
    &[
        key(
            "subset_selectors",
            Shape::Array(&TEXTS),
            "none",
            "Sets of keys. Hosts that have all keys of a set are grouped by their values; a request goes to the group \
             with exactly the keys and values of its `metadata_match`, and only there, even if all its hosts are out.",
        ),
        key(
            "fall_back_policy",
            Shape::Codes(&[0, 1, 2]),
            "0",
            "For requests that ask for metadata which no group has. 0: 502. 1: any host. 2: hosts with `default_subset`.",
        ),
        key(
            "default_subset",
            Shape::Map(&Shape::Text),
            "none",
            "Metadata of the hosts that `fall_back_policy` 2 means.",
        ),
    ],
);

pub(crate) static DNS_RESOLVERS: Object = Object::new(
    "dns_resolvers",
    "`clusters[].dns_resolvers`: servers to ask, instead of those of `dns_resolver_file`.",
    &[
        key("servers", TEXTS, "none", "IP addresses, asked in this order."),
        key("search", TEXTS, "none", "Domains that are tried behind short names."),
        key("port", Shape::Either(&[Shape::Text, Shape::Integer(0, u16::MAX as u64)]), "53", "Their port."),
        key(
            "ndots",
            Shape::Integer(0, 15),
            "1",
            "Names with so many dots are tried as they are first. 0: the default.",
        ),
        key("timeout", Shape::Integer(0, 3600), "5", "Seconds for one question to one server. 0: the default."),
        key("attempts", Shape::Integer(0, 100), "2", "Rounds of questions before it is given up. 0: the default."),
    ],
);
