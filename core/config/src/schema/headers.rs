//! Headers added and removed by routers, virtual hosts and routes.

use super::{Key, Object, Shape, TEXTS, key, required};

/// The four keys of a `route` action, a virtual host and a router.
pub(super) const HEADER_EDITS: &[Key] = &[
    key("request_headers_to_add", ADDITIONS, "none", "Fields added to the request, after all its filters."),
    key(
        "request_headers_to_remove",
        TEXTS,
        "none",
        "Names of fields taken from the request, after those of this level were added. Not `host`, nor fields of \
         framing and of the connection.",
    ),
    key(
        "response_headers_to_add",
        ADDITIONS,
        "none",
        "Fields added to every answer on the route, also to those of the proxy itself.",
    ),
    key("response_headers_to_remove", TEXTS, "none", "Names of fields taken from the answer."),
];

const ADDITIONS: Shape = Shape::Array(&Shape::Object(&HEADER_ADDITION));

pub(crate) static HEADER_ADDITION: Object = Object::new(
    "header_addition",
    "An entry of `request_headers_to_add` and `response_headers_to_add`.",
    &[
        required("header", Shape::Object(&HEADER), "an object with `key` and `value`", "The field."),
        key(
            "append",
            Shape::Bool,
            "`true`",
            "`true`: one more field follows those that are there; `false`: they are replaced.",
        ),
    ],
);

pub(crate) static HEADER: Object = Object::new(
    "header",
    "The field of a header addition.",
    &[
        required(
            "key",
            Shape::Pattern(super::route::TOKEN),
            "a header name",
            "Its name. `host` of a request is the authority.",
        ),
        required(
            "value",
            Shape::Text,
            "a header value",
            "Text with `%variable%` parts; `%%` is a percent sign. A field whose variables have no value is not added \
             (with `append: false`: removed).",
        ),
    ],
);
