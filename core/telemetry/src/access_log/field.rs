//! Variables, with and without parameters.

use sidegate_api::{Completion, StreamState};

use super::LogStyle;
use super::fact::Fact;
use super::mosn::MosnFact;
use super::needs::LogNeeds;
use super::value::Value;
use sidegate_api::nearest::nearest;

/// A variable of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Fact(Fact),
    Mosn(MosnFact),
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    /// A parameter of the query.
    Argument(Box<str>),
    Cookie(Box<str>),
    /// Set by a filter.
    Variable(Box<str>),
}

/// Lower-case name; and the same with `_` as `-` if that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderName {
    name: Box<str>,
    dashed: Option<Box<str>>,
}

const PREFIXES: [&str; 11] = [
    "request_header_",
    "response_header_",
    "request_arg_",
    "cookie_",
    "variable_",
    "Http1_request_header_",
    "Http1_request_arg_",
    "Http1_cookie_",
    "Http2_request_header_",
    "Http2_request_arg_",
    "Http2_cookie_",
];

impl Field {
    pub(super) fn named(name: &str, style: LogStyle) -> Option<Self> {
        if let Some(fact) = Fact::named(name) {
            return Some(match style {
                LogStyle::Own => Field::Fact(fact),
                LogStyle::Mosn => MosnFact::of_fact(fact).map_or(Field::Fact(fact), Field::Mosn),
            });
        }
        let prefix = PREFIXES.into_iter().find(|prefix| name.starts_with(prefix))?;
        let parameter = &name[prefix.len()..];
        if parameter.is_empty() {
            return None;
        }
        match prefix.trim_start_matches("Http1_").trim_start_matches("Http2_") {
            "request_header_" => HeaderName::new(parameter).map(Field::RequestHeader),
            "response_header_" => HeaderName::new(parameter).map(Field::ResponseHeader),
            "request_arg_" => Some(Field::Argument(parameter.into())),
            "cookie_" => Some(Field::Cookie(parameter.into())),
            _ => Some(Field::Variable(parameter.into())),
        }
    }

    /// The name that was probably meant.
    pub(super) fn nearest(name: &str) -> Option<String> {
        if let Some(fact) = nearest(name, Fact::NAMES.iter().map(|(known, _)| *known)) {
            return Some(fact.to_owned());
        }
        let with_parameter = PREFIXES.into_iter().find(|prefix| {
            let cut = name.floor_char_boundary(prefix.len());
            nearest(&name[..cut], [*prefix]).is_some()
        });
        with_parameter.map(|prefix| format!("{prefix}NAME"))
    }

    pub(super) fn needs(&self) -> LogNeeds {
        match self {
            Field::Fact(fact) => fact.needs(),
            Field::Mosn(fact) => fact.needs(),
            _ => LogNeeds::default(),
        }
    }

    pub(super) fn of<'a>(&'a self, stream: &'a StreamState, completion: &Completion) -> Value<'a> {
        match self {
            Field::Fact(fact) => fact.of(stream, completion),
            Field::Mosn(fact) => fact.of(stream, completion),
            Field::RequestHeader(name) => Value::text(name.find(|name| stream.request.headers.get(name))),
            Field::ResponseHeader(name) => Value::text(name.find(|name| stream.response.headers.get(name))),
            Field::Argument(name) => Value::word(argument(stream.request.query().unwrap_or_default(), name)),
            Field::Cookie(name) => {
                // HTTP/2 clients may send several fields.
                let fields = stream.request.headers.get_all(b"cookie");
                Value::text(fields.into_iter().find_map(|field| cookie(field, name.as_bytes())))
            }
            Field::Variable(name) => Value::text(stream.named.get(name.as_bytes())),
        }
    }
}

impl HeaderName {
    fn new(name: &str) -> Option<Self> {
        if !sidegate_api::is_token(name.as_bytes()) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let dashed = name.contains('_').then(|| name.replace('_', "-").into());
        Some(HeaderName { name: name.into(), dashed })
    }

    fn find<'a>(&self, get: impl Fn(&[u8]) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
        let exact = get(self.name.as_bytes());
        exact.or_else(|| get(self.dashed.as_ref()?.as_bytes()))
    }
}

/// The first parameter called `name`, as it was sent: percent signs are not
/// decoded, so that a logged value is what stood in the request.
fn argument<'a>(query: &'a str, name: &str) -> Option<&'a [u8]> {
    query.split('&').find_map(|pair| {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        (known == name).then_some(value.as_bytes())
    })
}

/// RFC 6265 section 5.4: pairs, separated by `;` and a blank.
fn cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        (&pair[..equals] == name).then(|| &pair[equals + 1..])
    })
}
