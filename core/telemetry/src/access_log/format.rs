//! The format of an access log line: text with `%name%` variables.

use std::fmt;

use sidegate_api::{Completion, StreamState};

use super::field::Field;
use crate::escape::write_value;
use crate::nearest::nearest;

/// A parsed format.
///
/// Text stands for itself, `%name%` for a variable and `%%` for a percent
/// sign. Each value is escaped, so that it can end neither a quoted part nor
/// the line; only values of headers and filters' variables may hold blanks, and
/// are best quoted. A value that is absent is `-`. Durations are milliseconds with
/// three decimals. Variables:
///
/// | name | value |
/// |---|---|
/// | `start_time` | when the request's first byte was there, RFC 3339 in UTC |
/// | `duration` | from there to the end of the stream |
/// | `response_received_duration` | from there to the upstream's first byte |
/// | `process_duration` | `duration` less the wait for that byte |
/// | `bytes_received`, `bytes_sent` | body bytes from and to the client |
/// | `protocol`, `method`, `scheme`, `authority`, `path`, `query`, `target` | of the request |
/// | `response_code` | status sent to the client |
/// | `response_flag`, `response_flags` | what went wrong, as short names |
/// | `response_details` | why the proxy replied itself |
/// | `reset_by` | who ended the stream early |
/// | `request_id` | `x-request-id` |
/// | `listener`, `virtual_host`, `route`, `upstream_cluster` | names |
/// | `upstream_host` | address of the host |
/// | `downstream_remote_address`, `downstream_remote_ip`, `downstream_local_address` | of the connection |
/// | `request_header_NAME`, `response_header_NAME` | first field of that name; `_` in NAME also matches `-` |
/// | `variable_NAME` | a variable that a filter set |
///
/// MOSN's `request_received_duration`, `request_finished_duration`,
/// `upstream_local_address` and `upstream_transport_failure_reason` are
/// accepted and, until they are measured, always `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogFormat {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Field(Field),
    /// Lower-case name; and the same with `_` as `-` if that differs.
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    Variable(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HeaderName {
    name: Box<str>,
    dashed: Option<Box<str>>,
}

/// A format was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No variable has that name.
    Unknown {
        /// The name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
        /// Byte in the format at which `%name%` starts.
        at: usize,
    },
    /// A `%` without its partner.
    Unclosed {
        /// Byte in the format at which the lonely `%` stands.
        at: usize,
    },
    /// A line feed or another control byte in the text.
    Control {
        /// Byte in the format at which it stands.
        at: usize,
    },
    /// Nothing to log.
    Empty,
}

impl AccessLogFormat {
    /// What is logged if no format is configured.
    pub const DEFAULT: &str = "%start_time% %downstream_remote_address% \"%method% %target% %protocol%\" \
        %response_code% flags=%response_flag% details=%response_details% host=%authority% \
        bytes_received=%bytes_received% bytes_sent=%bytes_sent% duration=%duration% \
        upstream_duration=%response_received_duration% upstream=%upstream_host% cluster=%upstream_cluster% \
        request_id=%request_id%";

    /// Reads a format. One line feed at its end is taken away: every line gets
    /// one anyway.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.is_empty() {
            return Err(FormatError::Empty);
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
            return Err(FormatError::Control { at });
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(before) = rest.find('%') {
            let at = text.len() - rest.len() + before;
            literal.push_str(&rest[..before]);
            let after = &rest[before + 1..];
            let Some(length) = after.find('%') else {
                return Err(FormatError::Unclosed { at });
            };
            let name = &after[..length];
            rest = &after[length + 1..];
            if name.is_empty() {
                literal.push('%');
                continue;
            }
            let part = Part::named(name).ok_or_else(|| FormatError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, Field::NAMES.iter().map(|(known, _)| *known)),
                at,
            })?;
            push_text(&mut parts, &mut literal);
            parts.push(part);
        }
        literal.push_str(rest);
        push_text(&mut parts, &mut literal);
        Ok(AccessLogFormat { parts: parts.into() })
    }

    /// Appends the line of one stream, without a line feed.
    pub fn write(&self, out: &mut Vec<u8>, stream: &StreamState, completion: &Completion) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field) => field.write(out, stream, completion),
                Part::RequestHeader(name) => write_value(out, name.find(|n| stream.request.headers.get(n))),
                Part::ResponseHeader(name) => write_value(out, name.find(|n| stream.response.headers.get(n))),
                Part::Variable(name) => write_value(out, stream.named.get(name.as_bytes()).unwrap_or_default()),
            }
        }
    }
}

impl Default for AccessLogFormat {
    fn default() -> Self {
        // A test holds that the default parses.
        Self::parse(Self::DEFAULT).unwrap_or(AccessLogFormat { parts: Box::default() })
    }
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        if let Some(header) = name.strip_prefix("request_header_") {
            return HeaderName::new(header).map(Part::RequestHeader);
        }
        if let Some(header) = name.strip_prefix("response_header_") {
            return HeaderName::new(header).map(Part::ResponseHeader);
        }
        if let Some(variable) = name.strip_prefix("variable_") {
            return (!variable.is_empty()).then(|| Part::Variable(variable.into()));
        }
        Field::named(name).map(Part::Field)
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

    fn find<'a>(&self, get: impl Fn(&[u8]) -> Option<&'a [u8]>) -> &'a [u8] {
        let exact = get(self.name.as_bytes());
        exact.or_else(|| get(self.dashed.as_ref()?.as_bytes())).unwrap_or_default()
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal).into()));
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Unknown { name, nearest, at } => {
                write!(f, "unknown variable `%{name}%` at byte {at}")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean `%{nearest}%`?"))
            }
            FormatError::Unclosed { at } => {
                write!(f, "`%` at byte {at} has no partner; write `%name%`, or `%%` for a percent sign")
            }
            FormatError::Control { at } => write!(f, "control character at byte {at}; a line is one line"),
            FormatError::Empty => f.write_str("the format is empty"),
        }
    }
}
