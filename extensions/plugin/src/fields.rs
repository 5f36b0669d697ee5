//! Fields of a stream as a plugin sees them, and what it makes of them.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use sidegate_api::{BodyDirection, EditError, FilterCx, HeaderMapKind, Headers, Variable, VariableValue};
use sidegate_proto::mosn;

use crate::settings::{NameCase, UseSettings};
use crate::wire::{MapField, RequestWriter};

/// The one field whose values cannot be joined by commas, and by what they are.
const SET_COOKIE: &str = "set-cookie";
const COOKIES: &str = "\n";

/// Which parts of a message go to the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    Head,
    Whole,
}

/// Writes the call about a message of this direction.
pub(crate) fn write(cx: &FilterCx<'_>, direction: BodyDirection, parts: Parts, settings: &UseSettings) -> Bytes {
    let (head, trailers) = maps(direction);
    let body = cx.body(direction).filter(|_| parts == Parts::Whole);
    let room = 256 + cx.headers(head).byte_len() * 5 / 4 + 16 * cx.headers(head).len() + body.map_or(0, |b| b.len());
    let mut writer = RequestWriter::with_capacity(room);
    let mut name_buffer = String::new();
    if settings.pseudo_headers {
        for (name, variable) in pseudo_fields(direction) {
            if let Some(value) = cx.variable(*variable) {
                writer.entry(MapField::Header, name, &text(value));
            }
        }
    }
    if direction == BodyDirection::Request
        && let Some(host) = cx.header(HeaderMapKind::Request, b"host")
    {
        let name = written("host", settings.names, &mut name_buffer);
        writer.entry(MapField::Header, name, &String::from_utf8_lossy(host));
    }
    let mut map = |map, headers: &Headers| {
        for (at, (name, _)) in headers.iter().enumerate() {
            // The first of a name stands for all of them.
            let is_first = headers.iter().take(at).all(|(other, _)| other != name);
            if let (true, Ok(name)) = (is_first, std::str::from_utf8(name)) {
                let value = joined(headers, name);
                writer.entry(map, written(name, settings.names, &mut name_buffer), &value);
            }
        }
    };
    map(MapField::Header, cx.headers(head));
    if parts == Parts::Whole {
        map(MapField::Trailer, cx.headers(trailers));
        writer.body(body.map_or(&[], |body| body.as_slice()));
    }
    if settings.says_type {
        writer.kind(match direction {
            BodyDirection::Request => "request",
            BodyDirection::Response => "response",
        });
    }
    writer.finish()
}

/// Makes of a message what the plugin answered; an error says what cannot be
/// had.
pub(crate) fn apply(
    cx: &mut FilterCx<'_>,
    direction: BodyDirection,
    parts: Parts,
    response: &mosn::Response,
) -> Result<(), String> {
    let (head, trailers) = maps(direction);
    // Before anything is edited: one part may have two names.
    let changed = changes(&response.header, |name, value| match name.starts_with(':') {
        true => changes_pseudo(cx, direction, name, value),
        false => changes_field(cx, head, name, value),
    });
    for (name, value) in changed {
        let edited = match name.starts_with(':') {
            true => edit_pseudo(cx, direction, name, value),
            false => edit(cx, head, name, value),
        };
        edited.map_err(|error| format!("header {:?}: {error}", shown(name)))?;
    }
    if parts == Parts::Whole {
        for (name, value) in changes(&response.trailer, |name, value| changes_field(cx, trailers, name, value)) {
            edit(cx, trailers, name, value).map_err(|error| format!("trailer {:?}: {error}", shown(name)))?;
        }
        // On the wire an empty body is none.
        if !response.body.is_empty() {
            cx.replace_body(direction, &response.body)
                .map_err(|error| format!("body of {} bytes: {error}", response.body.len()))?;
        }
    }
    Ok(())
}

/// The entries that ask for a change, by name.
fn changes(answered: &HashMap<String, String>, is_change: impl Fn(&str, &str) -> bool) -> Vec<(&str, &str)> {
    let all = answered.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut changes: Vec<_> = all.filter(|(name, value)| is_change(name, value)).collect();
    changes.sort_unstable();
    changes
}

/// What a plugin sends back as it got it stays as it is, whatever may be edited.
fn changes_field(cx: &FilterCx<'_>, map: HeaderMapKind, name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_host = map == HeaderMapKind::Request && lower == "host";
    let known = match is_host {
        true => cx.header(map, b"host").map(String::from_utf8_lossy),
        false => cx.headers(map).contains(lower.as_bytes()).then(|| joined(cx.headers(map), &lower)),
    };
    match known {
        Some(known) => known != value,
        None => !value.is_empty(),
    }
}

fn edit(cx: &mut FilterCx<'_>, map: HeaderMapKind, name: &str, value: &str) -> Result<(), EditError> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        _ if value.is_empty() => cx.remove_header(map, lower.as_bytes()).map(drop),
        SET_COOKIE => {
            cx.remove_header(map, lower.as_bytes())?;
            value.split(COOKIES).try_for_each(|one| cx.add_header(map, lower.as_bytes(), one.as_bytes()))
        }
        _ => cx.set_header(map, lower.as_bytes(), value.as_bytes()),
    }
}

fn changes_pseudo(cx: &FilterCx<'_>, direction: BodyDirection, name: &str, value: &str) -> bool {
    let known = pseudo_field(direction, name).and_then(|variable| cx.variable(variable));
    known.is_none_or(|known| text(known) != value)
}

fn edit_pseudo(cx: &mut FilterCx<'_>, direction: BodyDirection, name: &str, value: &str) -> Result<(), EditError> {
    let variable = pseudo_field(direction, name).ok_or(EditError::BadValue)?;
    cx.set_variable(variable, value.as_bytes())
}

fn pseudo_field(direction: BodyDirection, name: &str) -> Option<Variable> {
    pseudo_fields(direction).iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
}

fn pseudo_fields(direction: BodyDirection) -> &'static [(&'static str, Variable)] {
    match direction {
        BodyDirection::Request => &[
            (":method", Variable::Method),
            (":scheme", Variable::Scheme),
            (":authority", Variable::Authority),
            (":path", Variable::Target),
        ],
        BodyDirection::Response => &[(":status", Variable::Status)],
    }
}

fn text(value: VariableValue<'_>) -> Cow<'_, str> {
    match value {
        VariableValue::Bytes(bytes) => String::from_utf8_lossy(bytes),
        VariableValue::Integer(number) => number.to_string().into(),
    }
}

fn maps(direction: BodyDirection) -> (HeaderMapKind, HeaderMapKind) {
    match direction {
        BodyDirection::Request => (HeaderMapKind::Request, HeaderMapKind::RequestTrailers),
        BodyDirection::Response => (HeaderMapKind::Response, HeaderMapKind::ResponseTrailers),
    }
}

/// All values of a name as one, RFC 9110 section 5.3; what is no UTF-8 is
/// replaced, as protocol buffers have nothing else.
fn joined<'a>(headers: &'a Headers, name: &'a str) -> Cow<'a, str> {
    let separator = separator(name);
    let mut values = headers.get_all(name.as_bytes());
    let mut all = String::from_utf8_lossy(values.next().unwrap_or_default());
    for more in values {
        let all = all.to_mut();
        all.push_str(separator);
        all.push_str(&String::from_utf8_lossy(more));
    }
    all
}

/// What stands between values of one name that become one.
pub(crate) fn separator(name: &str) -> &'static str {
    match name {
        "cookie" => "; ",
        SET_COOKIE => COOKIES,
        _ => ", ",
    }
}

/// A name as it is written in calls.
fn written<'a>(name: &'a str, case: NameCase, buffer: &'a mut String) -> &'a str {
    if case == NameCase::Lower {
        return name;
    }
    buffer.clear();
    let mut is_first = true;
    for c in name.chars() {
        buffer.push(if is_first { c.to_ascii_uppercase() } else { c });
        is_first = c == '-';
    }
    buffer
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_go_does() {
        let mut buffer = String::new();
        for (name, canonical) in
            [("user-agent", "User-Agent"), ("x", "X"), ("a--b", "A--B"), ("x-1a", "X-1a"), ("etag", "Etag")]
        {
            assert_eq!(written(name, NameCase::Canonical, &mut buffer), canonical);
            assert_eq!(written(name, NameCase::Lower, &mut buffer), name);
        }
    }

    #[test]
    fn values_of_one_name_are_one_value() {
        let mut headers = Headers::new();
        for (name, value) in [("a", "1"), ("cookie", "x=1"), ("a", "2"), ("cookie", "y=2"), ("b", "3")] {
            headers.add(name.as_bytes(), value.as_bytes()).ok();
        }
        headers.add(b"c", b"\xff").ok();
        assert_eq!(joined(&headers, "a"), "1, 2");
        assert_eq!(joined(&headers, "cookie"), "x=1; y=2");
        assert_eq!(joined(&headers, "b"), "3");
        assert_eq!(joined(&headers, "c"), "\u{fffd}");
    }
}
