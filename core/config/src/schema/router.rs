//! `routers[]`, and the `connection_manager` filters that define routers too.

use super::headers::HEADER_EDITS;
use super::{Key, Object, ROUTE, Rule, Shape, TEXTS, key, own, required, warned};

pub(crate) static ROUTER: Object = Object::new(
    "router",
    "`servers[0].routers[]`: virtual hosts by domain, each with its routes.",
    &[
        required("router_config_name", Shape::Name, "the router's name", "Unique; `proxy` filters refer to it."),
        key(
            "virtual_hosts",
            Shape::Array(&Shape::Object(&VIRTUAL_HOST)),
            "none",
            "The one with the closest domain is asked; the others are not searched after it.",
        ),
        key(
            "router_configs",
            Shape::Text,
            "none",
            "A directory with one virtual host per file (`.json`, `.yaml` or `.yml`, in the order of their names), \
             instead of `virtual_hosts`. A relative path begins at the folder of the file.",
        ),
        own(
            "merge_slashes",
            Shape::Bool,
            "`true`",
            "Whether slashes that follow each other in a path become one, as in MOSN: after dot segments were resolved \
             and before any filter or route sees the path, which goes upstream like that. `%2f` and the query stay as \
             sent. With `false` a rule for `/admin` does not see `//admin`; keys of objects and signed URLs may need it.",
        ),
    ],
)
.and(HEADER_EDITS)
.rules(&[Rule::AtMostOne(&["virtual_hosts", "router_configs"])]);

pub(crate) static VIRTUAL_HOST: Object = Object::new(
    "virtual_host",
    "`routers[].virtual_hosts[]`.",
    &[
        key("name", Shape::Text, "the first domain", "For logs; unique in its router."),
        required(
            "domains",
            TEXTS,
            "an array of domains",
            "At least one. Tried as `host:port`, `host`, `*.suffix:port`, `*.suffix`, `*`, the longest suffix first, \
             without regard to case. `host` alone and `host:*` take any port.",
        ),
        key(
            "routers",
            Shape::Array(&Shape::Object(&ROUTE)),
            "none",
            "The routes. The first that agrees decides; without one the answer is 404.",
        ),
        PER_FILTER_CONFIG,
        warned("require_tls", "MOSN does not read it either"),
    ],
)
.and(HEADER_EDITS);

/// Of routes and virtual hosts.
pub(super) const PER_FILTER_CONFIG: Key = key(
    "per_filter_config",
    Shape::Map(&Shape::Anything),
    "none",
    "Configurations by filter `name`, for filters that take one; that of a route goes before that of its virtual host. \
     A name that no filter of a listener with this router has is an error.",
);
