//! One entry of `virtual_hosts[].routers`.

use super::forward::ROUTE_ACTION;
use super::route_policy::MIRROR_POLICY;
use super::router::PER_FILTER_CONFIG;
use super::{Object, Rule, Shape, key, own, refused, required, warned};

/// A header name, for JSON Schema.
pub(super) const TOKEN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

pub(crate) static ROUTE: Object = Object::new(
    "route",
    "`virtual_hosts[].routers[]`: which requests it takes and what becomes of them.",
    &[
        own("name", Shape::Text, "the match as text", "For logs."),
        key("match", Shape::Object(&MATCH), "every request", "The requests it takes."),
        key("route", Shape::Object(&ROUTE_ACTION), "", "Send the request to a cluster."),
        key("redirect", Shape::Object(&REDIRECT), "", "Answer with another place."),
        key("direct_response", Shape::Object(&DIRECT_RESPONSE), "", "Answer at once."),
        PER_FILTER_CONFIG,
        key(
            "request_mirror_policies",
            Shape::Object(&MIRROR_POLICY),
            "none",
            "Send copies of forwarded requests to another cluster, too. One object in spite of the name.",
        ),
        warned("metadata", "MOSN does not read it either"),
    ],
)
.rules(&[Rule::ExactlyOne(&["route", "redirect", "direct_response"])]);

pub(crate) static MATCH: Object = Object::new(
    "match",
    "`match` of a route. The path as `prefix`, `path` or `regex` says, and all \
     `headers`. Paths are judged with dot segments resolved and escaped letters, digits, `-`, `.`, \
     `_`, `~` decoded.",
    &[
        key("prefix", Shape::Text, "", "The path begins with it; `/api` also takes `/apix`."),
        key("path", Shape::Text, "", "The path is it, without regard to case."),
        key("regex", Shape::Text, "", "Found anywhere in the path; anchor it with `^` and `$`."),
        key("headers", Shape::Array(&Shape::Object(&HEADER_MATCH)), "none", "All must agree."),
        key(
            "variables",
            Shape::Array(&Shape::Object(&VARIABLE_MATCH)),
            "",
            "Conditions on variables, each linked to the next by its `model`; `and` binds closer than `or`. `headers` \
             are then ignored, with a warning, as in MOSN.",
        ),
        refused("dsl_expressions", "the route would match other requests"),
    ],
)
.rules(&[Rule::First(&["prefix", "path", "regex", "variables"])]);

pub(crate) static VARIABLE_MATCH: Object = Object::new(
    "variable_match",
    "`match.variables[]`. A variable is named as in values of headers, without percent signs; unknown names are errors, \
     and so are those of the response. One that has no value counts as empty.",
    &[
        required("name", Shape::Name, "the name of a variable", "Such as `request_header_NAME` or `cookie_NAME`."),
        key("value", Shape::Text, "", "The variable is it. Either this or `regex`, which goes before it."),
        key("regex", Shape::Text, "", "Found anywhere in the variable; anchor it with `^` and `$`."),
        key("model", Shape::Words(&["", "and", "or"]), "`and`", "How it is linked to the next."),
    ],
);

pub(crate) static HEADER_MATCH: Object = Object::new(
    "header_match",
    "`match.headers[]`. Beside `prefix`, `path` or `regex` the name `method` means the HTTP method; `host` is the \
     authority.",
    &[
        required("name", Shape::Name, "a header name", "The first field of that name counts."),
        required("value", Shape::Text, "the header's value", "The value, or a pattern that is found in it."),
        key("regex", Shape::Bool, "`false`", "Whether `value` is a pattern."),
    ],
);

pub(crate) static REDIRECT: Object = Object::new(
    "redirect",
    "`redirect` of a route: parts of the request's URL to replace, at least one of the three.",
    &[
        key("response_code", Shape::Codes(&[0, 301, 302, 303, 307, 308]), "301", "The status. 0: the default."),
        key("path_redirect", Shape::Text, "", "The path; the query stays unless it has one."),
        key("host_redirect", Shape::Text, "", "Host and port."),
        key("scheme_redirect", Shape::Text, "", "`http` or `https`."),
    ],
);

pub(crate) static DIRECT_RESPONSE: Object = Object::new(
    "direct_response",
    "`direct_response` of a route.",
    &[
        required("status", Shape::Integer(200, 599), "a status code", "The status."),
        key("body", Shape::Text, "empty", "Sent as `text/plain`."),
    ],
);
