//! What `config` may hold: Envoy's messages, in snake or camel case.

use crate::settings::{Shape, Table, key, refused, required};

pub(super) static JWT_AUTHN: Table = Table::protobuf(
    "Requests must carry JSON Web Tokens, else they are answered 401. Keys are Envoy's, in snake or camel case.",
    &[
        key("providers", Shape::Map(&Shape::Object(&PROVIDER)), "none", "Who issues tokens, by any name."),
        key(
            "rules",
            Shape::Array(&Shape::Object(&RULE)),
            "none",
            "The first rule that has the request decides; without one it passes.",
        ),
        key(
            "requirement_map",
            Shape::Map(&Shape::Object(&REQUIREMENT)),
            "none",
            "Requirements by name, for `requirement_name` of rules.",
        ),
        key(
            "bypass_cors_preflight",
            Shape::Bool,
            "`false`",
            "Lets a browser's preflight requests pass, which never carry a token.",
        ),
        key("stat_prefix", Shape::Text, "none", "Taken and not used."),
        refused("filter_state_rules", "there is no filter state to choose a requirement by"),
        refused("strip_failure_response", "answers always say what was wrong with a token"),
    ],
);

pub(super) static PROVIDER: Table = Table::protobuf(
    "An issuer of tokens.",
    &[
        key("issuer", Shape::Text, "any", "What `iss` of its tokens must be."),
        key("audiences", Shape::Array(&Shape::Name), "any", "One of them must be in `aud`."),
        required("local_jwks", Shape::Object(&LOCAL_JWKS), "an object with `inline_string` or `filename`", "Its keys."),
        key("forward", Shape::Bool, "`false`", "Whether a token that was verified goes upstream."),
        key(
            "from_headers",
            Shape::Array(&Shape::Object(&FROM_HEADER)),
            "`authorization` with `Bearer `",
            "Headers in which tokens are.",
        ),
        key(
            "from_params",
            Shape::Array(&Shape::Name),
            "`access_token`",
            "Query parameters in which tokens are. The defaults count if neither this nor `from_headers` is given. \
             All tokens that are found must be good.",
        ),
        key(
            "forward_payload_header",
            Shape::Name,
            "none",
            "Header that takes the token's payload upstream, in base64url. A client's own is removed.",
        ),
        key("pad_forward_payload_header", Shape::Bool, "`false`", "Whether that is padded with `=`."),
        key(
            "clock_skew_seconds",
            Shape::Integer(0, 86_400),
            "60",
            "How far clocks may be apart when `exp` and `nbf` are checked.",
        ),
        key("require_expiration", Shape::Bool, "`false`", "Whether a token must have `exp`."),
        key("payload_in_metadata", Shape::Text, "none", "Taken and not used."),
        refused("remote_jwks", "keys are not fetched; give them in `local_jwks`"),
        refused("from_cookies", "tokens are not looked for in cookies"),
        refused("claim_to_headers", "single claims are not passed on; see `forward_payload_header`"),
        refused("subjects", "`sub` is not checked"),
        refused("max_lifetime", "the lifetime of tokens is not checked"),
        key("jwt_cache_config", Shape::Object(&ANY_CACHE), "none", "Taken and not used: every token is verified."),
    ],
);

static ANY_CACHE: Table = Table::protobuf(
    "Taken and not used.",
    &[
        key("jwt_cache_size", Shape::Integer(0, u32::MAX as u64), "", "Taken and not used."),
        key("jwt_max_token_size", Shape::Integer(0, u32::MAX as u64), "", "Taken and not used."),
    ],
);

static LOCAL_JWKS: Table = Table::protobuf(
    "A JSON Web Key Set: RSA, EC (P-256, P-384), Ed25519 and symmetric keys. Others in it are passed over.",
    &[
        key("inline_string", Shape::Name, "none", "The set as text."),
        key("filename", Shape::Name, "none", "A file with it, relative to the configuration."),
        refused("inline_bytes", "use `inline_string`"),
        refused("environment_variable", "use `inline_string` or `filename`"),
    ],
)
.exactly_one(&["inline_string", "filename"]);

static FROM_HEADER: Table = Table::protobuf(
    "A header with a token.",
    &[
        required("name", Shape::Name, "a header name", "Its name."),
        key("value_prefix", Shape::Text, "none", "What stands before the token; values without it are passed over."),
    ],
);

pub(super) static RULE: Table = Table::protobuf(
    "Which requests need which tokens.",
    &[
        required("match", Shape::Object(&MATCH), "an object with `prefix`, `path` or `safe_regex`", "Which requests."),
        key("requires", Shape::Object(&REQUIREMENT), "nothing", "What they need."),
        key("requirement_name", Shape::Name, "none", "The same, by its name in `requirement_map`."),
    ],
)
.at_most_one(&["requires", "requirement_name"]);

static MATCH: Table = Table::protobuf(
    "Exactly one of `prefix`, `path`, `path_separated_prefix` and `safe_regex`, and all of `headers`. The path is \
     matched without its query.",
    &[
        key("prefix", Shape::Text, "none", "What the path starts with."),
        key("path", Shape::Text, "none", "What the path is."),
        key("path_separated_prefix", Shape::Name, "none", "What the path starts with, in whole segments."),
        key("safe_regex", Shape::Object(&REGEX), "none", "What the whole path looks like."),
        key("case_sensitive", Shape::Bool, "`true`", "Whether case counts, but for patterns."),
        key("headers", Shape::Array(&Shape::Object(&HEADER)), "none", "Conditions on headers."),
        refused("regex", "use `safe_regex: {regex}`"),
        refused("query_parameters", "rules do not look at the query"),
        refused("connect_matcher", "CONNECT is not served"),
    ],
)
.exactly_one(&["prefix", "path", "path_separated_prefix", "safe_regex"]);

static REGEX: Table = Table::protobuf(
    "A regular expression.",
    &[
        required("regex", Shape::Name, "a regular expression", "The pattern; it is anchored at both ends."),
        key("google_re2", Shape::Object(&EMPTY), "none", "Taken and not used."),
    ],
);

const CONDITIONS: &[&str] = &[
    "exact_match",
    "prefix_match",
    "suffix_match",
    "contains_match",
    "safe_regex_match",
    "present_match",
    "string_match",
];

static HEADER: Table = Table::protobuf(
    "A condition on a header; without one of the `_match` keys it must be there.",
    &[
        required("name", Shape::Name, "a header name", "Its name; `:method` and `:authority` or `host` are known too."),
        key("exact_match", Shape::Text, "none", "What it is."),
        key("prefix_match", Shape::Name, "none", "What it starts with."),
        key("suffix_match", Shape::Name, "none", "What it ends with."),
        key("contains_match", Shape::Name, "none", "What is in it."),
        key("safe_regex_match", Shape::Object(&REGEX), "none", "What all of it looks like."),
        key("present_match", Shape::Bool, "none", "Whether it is there."),
        key("string_match", Shape::Object(&STRING_MATCH), "none", "The same as an object."),
        key("invert_match", Shape::Bool, "`false`", "Whether the opposite must hold."),
        refused("range_match", "numbers are not compared"),
        refused("treat_missing_header_as_empty", "a missing header never agrees"),
    ],
)
.at_most_one(CONDITIONS);

static STRING_MATCH: Table = Table::protobuf(
    "A condition on a text: exactly one of these, beside `ignore_case`.",
    &[
        key("exact", Shape::Text, "none", "What it is."),
        key("prefix", Shape::Name, "none", "What it starts with."),
        key("suffix", Shape::Name, "none", "What it ends with."),
        key("contains", Shape::Name, "none", "What is in it."),
        key("safe_regex", Shape::Object(&REGEX), "none", "What all of it looks like."),
        key("ignore_case", Shape::Bool, "`false`", "Whether case does not count, but for patterns."),
    ],
)
.exactly_one(&["exact", "prefix", "suffix", "contains", "safe_regex"]);

pub(super) static REQUIREMENT: Table = Table::protobuf(
    "What a request needs: exactly one of these, or nothing.",
    &[
        key("provider_name", Shape::Name, "none", "A token of this provider."),
        key("requires_any", Shape::Object(&REQUIREMENTS), "none", "At least one of several."),
        key("requires_all", Shape::Object(&REQUIREMENTS), "none", "All of several."),
        key(
            "allow_missing",
            Shape::Object(&EMPTY),
            "none",
            "No token. One that is there must be good: for a provider of the same `requires_any`, or for any.",
        ),
        key("allow_missing_or_failed", Shape::Object(&EMPTY), "none", "Nothing; good tokens are still handed on."),
        refused("provider_and_audiences", "give the audiences to a provider of their own"),
    ],
)
.at_most_one(&["provider_name", "requires_any", "requires_all", "allow_missing", "allow_missing_or_failed"]);

static REQUIREMENTS: Table = Table::protobuf(
    "Several requirements.",
    &[required("requirements", Shape::Array(&Shape::Object(&REQUIREMENT)), "a list of requirements", "Which.")],
);

static EMPTY: Table = Table::protobuf("An empty object.", &[]);
