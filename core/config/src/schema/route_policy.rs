//! Retries, hashes and mirrors of a route.

use super::{Object, Rule, Shape, key, required, warned};

pub(crate) static RETRY_POLICY: Object = Object::new(
    "retry_policy",
    "`route.retry_policy`: when a request is sent again, to another host if there is one, else to the same after a pause \
     of 25 ms that doubles up to 250 ms. Only methods that may be repeated (GET, HEAD, PUT, DELETE, OPTIONS, TRACE), only \
     bodies up to 64 KiB, never once a byte of the response was passed on, and only as long as the cluster's \
     `max_retries` leaves room. A failed connect needs no policy: up to three hosts are tried for any request.",
    &[
        key(
            "retry_on",
            Shape::Bool,
            "`false`",
            "Also where the connection was lost before the response began, where an attempt took longer than \
             `retry_timeout`, and where the response has one of `status_codes`.",
        ),
        key(
            "retry_timeout",
            Shape::Duration,
            "`\"0\"`: that of the request",
            "How long one attempt may take until its response begins.",
        ),
        key(
            "num_retries",
            Shape::Integer(0, u32::MAX as u64),
            "3",
            "How often at most, after the first attempt. 0: the default. (MOSN makes 3 of 1 and 2, too.)",
        ),
        key("status_codes", Shape::Array(&Shape::Integer(100, 999)), "500 and above", "Statuses that are failures."),
    ],
);

pub(crate) static HASH_POLICY: Object = Object::new(
    "hash_policy",
    "`route.hash_policy[]`: one of three, where `source_ip` is an empty object.",
    &[
        key("header", Shape::Object(&HASH_HEADER), "", "By the value of a request header."),
        key("cookie", Shape::Object(&HASH_COOKIE), "", "By the value of a cookie."),
        key("source_ip", Shape::Object(&SOURCE_IP), "", "By the client's address without port."),
    ],
)
.rules(&[Rule::AtMostOne(&["header", "cookie", "source_ip"])]);

pub(crate) static HASH_HEADER: Object = Object::new(
    "hash_header",
    "`hash_policy[].header`.",
    &[required("key", Shape::Name, "a header name", "The first field of that name counts; `host` is the authority.")],
);

pub(crate) static HASH_COOKIE: Object = Object::new(
    "hash_cookie",
    "`hash_policy[].cookie`.",
    &[
        required("name", Shape::Name, "the name of a cookie", "Which cookie."),
        key("path", Shape::Text, "none", "The path that a cookie made here is for."),
        key(
            "ttl",
            Shape::Duration,
            "`\"0\"`: none is made",
            "A client without the cookie is given one that lives so long. (MOSN makes none.)",
        ),
    ],
);

pub(crate) static SOURCE_IP: Object = Object::new("source_ip", "`hash_policy[].source_ip`: an empty object.", &[]);

pub(crate) static MIRROR_POLICY: Object = Object::new(
    "mirror_policy",
    "`request_mirror_policies` of a route: copies whose responses nobody sees.",
    &[
        required("cluster", Shape::Name, "the cluster that gets the copies", "Must be defined."),
        key("percent", Shape::Integer(0, 100), "0", "How many of the requests are copied, by chance."),
        warned("trace_sampled", "there are no traces"),
    ],
);
