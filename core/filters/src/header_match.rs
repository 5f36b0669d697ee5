//! MOSN's conditions on request headers.

use regex::bytes::Regex;
use sidegate_api::{StreamState, is_token};

use crate::settings::{Object, Shape, Table, key, required};

/// One condition: the first field of that name, or `host`.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatch {
    name: Box<[u8]>,
    value: ValueMatch,
}

#[derive(Debug, Clone)]
enum ValueMatch {
    Equals(Box<[u8]>),
    Regex(Regex),
}

pub(crate) static HEADER_MATCH: Table = Table::new(
    "A condition on a request header.",
    &[
        required("name", Shape::Name, "a header name", "Its name; `host` is the authority."),
        key("value", Shape::Text, "empty", "What its first field must be, or a pattern that is found in it."),
        key("regex", Shape::Bool, "`false`", "Whether `value` is a pattern; anchor it with `^` and `$`."),
    ],
);

impl HeaderMatch {
    /// Reads an object of [`HEADER_MATCH`].
    pub(crate) fn read(object: &Object<'_>) -> Option<HeaderMatch> {
        let name = object.get("name").and_then(|s| s.parsed(header_name))?;
        let regex = object.get("regex").and_then(|s| s.bool()).unwrap_or_default();
        let value = match object.get("value") {
            Some(value) if regex => ValueMatch::Regex(value.regex(pattern)?),
            Some(value) => ValueMatch::Equals(value.text()?.as_bytes().into()),
            None => ValueMatch::Equals([].into()),
        };
        Some(HeaderMatch { name, value })
    }

    /// Whether the request agrees.
    pub(crate) fn agrees(&self, stream: &StreamState) -> bool {
        let request = &stream.request;
        let found = match &*self.name {
            b"host" => Some(request.authority.as_bytes()).filter(|authority| !authority.is_empty()),
            name => request.headers.get(name),
        };
        match (&self.value, found) {
            (_, None) => false,
            (ValueMatch::Equals(value), Some(found)) => **value == *found,
            (ValueMatch::Regex(regex), Some(found)) => regex.is_match(found),
        }
    }
}

/// A header name in lower case.
pub(crate) fn header_name(text: &str) -> Result<Box<[u8]>, &'static str> {
    match is_token(text.as_bytes()) {
        true => Ok(text.to_ascii_lowercase().into_bytes().into()),
        false => Err("expected a header name"),
    }
}

/// A header name in lower case that filters may set and remove.
pub(crate) fn changeable_header_name(text: &str) -> Result<Box<[u8]>, &'static str> {
    let name = header_name(text)?;
    match sidegate_api::check_filter_header(&name, b"") {
        Ok(()) if *name != *b"host" => Ok(name),
        _ => Err("expected a header that is neither `host` nor of framing or the connection"),
    }
}

/// A regular expression over bytes.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let shown = error.to_string();
        // The last line says what is wrong, those before it draw where.
        let reason = shown.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("expected a regular expression ({reason})")
    })
}
