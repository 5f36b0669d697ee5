//! What a configuration file may hold: one table per object, the single source
//! of what is accepted, of the JSON Schema and of the reference page.
//!
//! A reader opens an object with its table (`cursor.object(&schema::LISTENER)`)
//! and asks for values by key. Tables and readers cannot drift apart: asking
//! for a key or a shape that the table does not have is an assertion in debug
//! builds, and a test resolves a file with every key of every table in it and
//! finds keys that nobody asked for.

mod admin;
mod cluster;
mod cluster_health;
mod cluster_lb;
mod forward;
mod headers;
mod http2;
mod json;
mod listener;
mod markdown;
mod metadata;
mod metrics;
mod modules;
mod overload;
mod proxy_filter;
mod route;
mod route_policy;
mod router;
mod server;
mod stream_filter;
mod tls;

#[cfg(test)]
mod tests;

pub use json::json_schema;
pub use markdown::reference;

pub(crate) use admin::{ADMIN, ADMIN_ADDRESS, SOCKET_ADDRESS};
pub(crate) use cluster::{CLUSTER, CLUSTER_MANAGER, HOST};
pub(crate) use cluster_health::{
    CHECK_CONFIG, CIRCUIT_BREAKER, CODE_RANGE, HEALTH_CHECK, HTTP_CHECK, OUTLIER_DETECTION, RETRY_BUDGET, SLOW_START,
};
pub(crate) use cluster_lb::{DNS_RESOLVERS, LB_CONFIG, LB_SUBSET};
pub(crate) use forward::{REGEX_PATTERN, REGEX_REWRITE, ROUTE_ACTION, WEIGHTED, WEIGHTED_CLUSTER};
pub(crate) use headers::{HEADER, HEADER_ADDITION};
pub(crate) use http2::{HTTP2_DOWNSTREAM, HTTP2_FRAME_LIMIT, HTTP2_FRAME_LIMITS, HTTP2_KEEPALIVE, HTTP2_UPSTREAM};
pub(crate) use listener::{ACCESS_LOG, FILTER_CHAIN, LISTENER, NETWORK_FILTER};
pub(crate) use metadata::{FILTER_METADATA, METADATA};
pub(crate) use metrics::{METRICS, METRICS_SINK, PROMETHEUS, STATS_MATCHER};
pub(crate) use modules::MODULES;
pub(crate) use overload::{OVERLOAD, OVERLOAD_ACTIONS, OVERLOAD_CONNECTIONS};
pub(crate) use proxy_filter::{
    CLIENT_CERT_DETAILS, EXTEND_CONFIG, EXTEND_HTTP1, EXTEND_HTTP2, FORWARDING, LIMITS, PROXY_FILTER, TIMEOUTS,
};
pub(crate) use route::{DIRECT_RESPONSE, HEADER_MATCH, MATCH, REDIRECT, ROUTE, VARIABLE_MATCH};
pub(crate) use route_policy::{HASH_COOKIE, HASH_HEADER, HASH_POLICY, MIRROR_POLICY, RETRY_POLICY, SOURCE_IP};
pub(crate) use router::{ROUTER, VIRTUAL_HOST};
pub(crate) use server::{PLUGIN, SERVER, TOP};
pub(crate) use stream_filter::{GO_PLUGIN_CONFIG, QUARANTINE, SO_CONFIG, STREAM_FILTER};
pub(crate) use tls::{CLUSTER_TLS, LISTENER_TLS, SAN_MATCH, SAN_MATCHER};

/// How names of fields are written.
pub(crate) const HEADER_CASE: Shape = Shape::Words(&["lower", "title", "preserve"]);

/// What hosts are spoken to in; empty is absent.
pub(crate) const UPSTREAM_PROTOCOL: Shape = Shape::Words(&["", "Http1", "Http2", "Auto"]);

/// The whole file.
pub(crate) static DOCUMENT: Shape = Shape::Object(&TOP);

/// The keys of one kind of object. Tables are `static`, not `const`: readers
/// compare their addresses.
#[derive(Debug)]
pub(crate) struct Object {
    /// Unique; the name of its JSON Schema definition and of its section in
    /// the reference.
    pub name: &'static str,
    /// One or two sentences in Markdown, for the reference.
    pub doc: &'static str,
    keys: &'static [Key],
    /// Keys that several tables have.
    shared: &'static [Key],
    /// What holds between keys.
    pub rules: &'static [Rule],
}

/// One key and its value.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it is written; readers ignore case.
    pub name: &'static str,
    /// What stands there.
    pub shape: Shape,
    /// What counts if the key is absent.
    pub absent: Absent,
    /// Markdown: what it does, with units. For keys that do nothing: why.
    pub doc: &'static str,
    /// Where it comes from and what becomes of it.
    pub standing: Standing,
}

/// What an absent key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// An error, which says that this was expected.
    Error(&'static str),
    /// This, as text; empty if there is nothing to say.
    Default(&'static str),
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// MOSN's, and read.
    Mosn,
    /// Sidegate's own, and read.
    Own,
    /// MOSN's, without effect here and without a word: another key decides
    /// whether that matters.
    Quiet,
    /// MOSN's, without effect: going on without it changes nothing that anybody
    /// relies on, so it is a warning.
    Warned,
    /// MOSN's, not available: going on without it would send traffic elsewhere,
    /// in clear text, or unguarded, so it is an error unless its value says
    /// nothing (`null`, `false`, 0, empty).
    Refused,
}

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any string.
    Text,
    /// A string that is not empty.
    Name,
    /// A string like `127.0.0.1:80`, `:80`, `localhost:80` or `unix:/path`.
    Address,
    /// A string of a form that a regular expression (of JSON Schema) can tell,
    /// at least roughly.
    Pattern(&'static str),
    /// One of a few strings.
    Words(&'static [&'static str]),
    /// The same in any case.
    AnyCase(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// One of the two alone; readers say what is wrong with the other.
    Only(bool),
    /// From the first to the second, both included.
    Integer(u64, u64),
    /// A number that is not negative, with or without a fraction.
    Decimal,
    /// One of a few integers.
    Codes(&'static [u64]),
    /// A string such as `1.5s`.
    Duration,
    /// The same, above zero.
    PositiveDuration,
    /// Elements of one shape.
    Array(&'static Shape),
    /// An object with a table.
    Object(&'static Object),
    /// An object whose keys are names that the user chose.
    Map(&'static Shape),
    /// An object that somebody else reads.
    Free,
    /// Several shapes fit.
    Either(&'static [Shape]),
    /// Nobody looks.
    Anything,
}

/// What JSON Schema can say beyond single keys.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Exactly one of these keys.
    ExactlyOne(&'static [&'static str]),
    /// At least one of these keys.
    AtLeastOne(&'static [&'static str]),
    /// At most one of these keys.
    AtMostOne(&'static [&'static str]),
    /// Of these keys the first that is there counts, the others are warned
    /// about.
    First(&'static [&'static str]),
    /// If the string of `key` is `word`, `then` must be there.
    Requires { key: &'static str, word: &'static str, then: &'static str },
    /// If the string of `key` is `word`, `then` has `shape`.
    When { key: &'static str, word: &'static str, then: &'static str, shape: Shape },
}

/// Sizes are bounded so that sums of them cannot overflow.
pub(crate) const MAX_SIZE: u64 = 1 << 40;

/// A number without a bound of its own.
pub(crate) const NUMBER: Shape = Shape::Integer(0, u64::MAX);

/// Bytes; zero is Go's absent value.
pub(crate) const SIZE: Shape = Shape::Integer(0, MAX_SIZE);

/// Strings.
pub(crate) const TEXTS: Shape = Shape::Array(&Shape::Text);

impl Object {
    pub(crate) const fn new(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Object {
        Object { name, doc, keys, shared: &[], rules: &[] }
    }

    /// With keys that other tables have too.
    pub(crate) const fn and(self, shared: &'static [Key]) -> Object {
        Object { shared, ..self }
    }

    /// With what holds between keys.
    pub(crate) const fn rules(self, rules: &'static [Rule]) -> Object {
        Object { rules, ..self }
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().chain(self.shared)
    }

    /// `doc` and the rules.
    pub fn description(&self) -> String {
        let rules = self.rules.iter().filter_map(Rule::sentence);
        std::iter::once(self.doc.to_owned()).chain(rules).collect::<Vec<_>>().join(" ")
    }

    /// The key that is called `name` but for case.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name.eq_ignore_ascii_case(name))
    }
}

/// A key of MOSN's that is read. `default` is what counts without it, as text.
const fn key(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, shape, absent: Absent::Default(default), doc, standing: Standing::Mosn }
}

/// The same, but its absence is an error that says that `expected` was.
const fn required(name: &'static str, shape: Shape, expected: &'static str, doc: &'static str) -> Key {
    Key { name, shape, absent: Absent::Error(expected), doc, standing: Standing::Mosn }
}

/// A key that MOSN does not have.
const fn own(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, shape, absent: Absent::Default(default), doc, standing: Standing::Own }
}

/// The same, but its absence is an error.
const fn own_required(name: &'static str, shape: Shape, expected: &'static str, doc: &'static str) -> Key {
    Key { name, shape, absent: Absent::Error(expected), doc, standing: Standing::Own }
}

/// A key of MOSN's that does nothing; `why` completes "does nothing here: …".
const fn warned(name: &'static str, why: &'static str) -> Key {
    Key { name, shape: Shape::Anything, absent: Absent::Default(""), doc: why, standing: Standing::Warned }
}

/// A key of MOSN's that is an error; `why` completes "not available yet: …".
const fn refused(name: &'static str, why: &'static str) -> Key {
    Key { name, shape: Shape::Anything, absent: Absent::Default(""), doc: why, standing: Standing::Refused }
}

/// A key of MOSN's that is passed over.
const fn quiet(name: &'static str) -> Key {
    Key { name, shape: Shape::Anything, absent: Absent::Default(""), doc: "", standing: Standing::Quiet }
}

impl Rule {
    /// The rule in Markdown, if the keys' own texts leave it unsaid.
    pub fn sentence(&self) -> Option<String> {
        let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Rule::ExactlyOne(names) => Some(format!("Exactly one of {}.", list(names))),
            Rule::AtLeastOne(names) => Some(format!("At least one of {}.", list(names))),
            Rule::AtMostOne(names) => Some(format!("At most one of {}.", list(names))),
            Rule::First(names) => {
                Some(format!("Of {} the first that is there counts, the others are warned about.", list(names)))
            }
            Rule::When { .. } | Rule::Requires { .. } => None,
        }
    }
}

impl Standing {
    /// Whether somebody reads the value.
    pub fn is_read(self) -> bool {
        matches!(self, Standing::Mosn | Standing::Own)
    }
}

impl Shape {
    /// This shape, or the ones it is one of.
    fn alternatives(&'static self) -> &'static [Shape] {
        match self {
            Shape::Either(shapes) => shapes,
            one => std::slice::from_ref(one),
        }
    }

    /// Whether `fits` holds for it, or for one of its alternatives.
    pub fn any(&'static self, fits: impl Fn(&'static Shape) -> bool) -> bool {
        self.alternatives().iter().any(fits)
    }

    /// The bounds of an integer.
    pub fn bounds(&'static self) -> Option<(u64, u64)> {
        self.alternatives().iter().find_map(|shape| match shape {
            Shape::Integer(low, high) => Some((*low, *high)),
            Shape::Codes(_) => Some((0, u64::MAX)),
            _ => None,
        })
    }

    /// The shape of an array's elements.
    pub fn element(&'static self) -> Option<&'static Shape> {
        self.alternatives().iter().find_map(|shape| match shape {
            Shape::Array(element) => Some(*element),
            _ => None,
        })
    }

    /// The shape of a map's values.
    pub fn map_value(&'static self) -> Option<&'static Shape> {
        self.alternatives().iter().find_map(|shape| match shape {
            Shape::Map(value) => Some(*value),
            _ => None,
        })
    }

    /// The tables of the objects that may stand there, alone or in an array.
    pub fn objects(&'static self) -> impl Iterator<Item = &'static Object> {
        self.alternatives().iter().filter_map(|shape| match shape {
            Shape::Object(table) | Shape::Array(Shape::Object(table)) => Some(*table),
            _ => None,
        })
    }

    /// Whether it is an object of this table.
    pub fn is_object(&'static self, table: &'static Object) -> bool {
        self.any(|shape| matches!(shape, Shape::Object(own) if std::ptr::eq(*own, table)))
    }

    /// Whether a string may stand there.
    pub fn is_string(&'static self) -> bool {
        self.any(|shape| {
            matches!(
                shape,
                Shape::Text | Shape::Name | Shape::Address | Shape::Pattern(_) | Shape::Words(_) | Shape::AnyCase(_)
            )
        })
    }
}
