//! The format of an access log line.

use serde_json::{Map, Value as Json};
use sidegate_api::{Completion, StreamState};

use super::fact::Fact;
use super::json::{JsonPart, compile};
use super::needs::LogNeeds;
use super::template::{FormatError, Piece, cut};

/// Whose way facts are written in, in lines of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogStyle {
    /// Our own.
    #[default]
    Own,
    /// MOSN's, for those who parse its logs.
    Mosn,
}

/// A parsed format: a line of text or a JSON object.
///
/// In text, `%name%` stands for a variable and `%%` for a percent sign. Each
/// value is escaped, so that it can end neither a quoted part nor the line; only
/// values of headers, cookies and filters' variables may hold blanks, and are
/// best quoted. A value that is absent is `-`.
///
/// A JSON format is an object whose strings are such text. A string that is one
/// variable alone becomes the variable's value: a number for sizes, statuses,
/// ports and durations, `null` where it is absent. Objects and arrays may be
/// nested; numbers, `true`, `false` and `null` stand for themselves. Lines are
/// in ASCII but for what the configuration itself holds: other characters of
/// values are `\u` escapes, and bytes that are no UTF-8 are U+FFFD.
///
/// Durations are milliseconds with three decimals. Variables, with MOSN's other
/// names for the same in parentheses:
///
/// | name | value |
/// |---|---|
/// | `start_time` | when the request's first byte was there, RFC 3339 in UTC |
/// | `duration` (`request_finished_duration`) | from there to the end of the stream |
/// | `request_received_duration` | from there until the request was read to its end |
/// | `request_forwarded_duration` | from there until it was handed to an upstream connection |
/// | `response_received_duration` | from there to the upstream's first byte |
/// | `process_time_duration` (`process_duration`) | what of `duration` the proxy took: until the request was forwarded, less attempts that failed, and from the upstream's first byte to the end |
/// | `request_length` | bytes of the request's head, and of its body as far as it was read |
/// | `bytes_received`, `bytes_sent` | body bytes from and to the client |
/// | `protocol` (`downstream_protocol`) | `HTTP/1.0`, `HTTP/1.1` or `HTTP/2` |
/// | `upstream_protocol` | the same, once an upstream connection is used |
/// | `connection_id`, `upstream_connection_id` | numbers of the connections, unique in the process |
/// | `trace_id` | of `traceparent`, or else `request_id` |
/// | `method` (`request_method`, `x-mosn-method`) | of the request |
/// | `scheme` (`request_scheme`, `x-mosn-scheme`) | `http` |
/// | `authority` (`x-mosn-host`) | host and port |
/// | `path` (`request_path`, `x-mosn-path`) | as it went upstream |
/// | `original_path` (`request_path_original`, `x-mosn-path-original`) | before rewrites |
/// | `query` (`request_arg`, `x-mosn-querystring`) | without `?` |
/// | `target` (`request_uri`) | path and query |
/// | `response_code` (`x-mosn-status`) | status sent to the client |
/// | `response_flag`, `response_flags` | what went wrong, as short names (MOSN: `true` or `false`) |
/// | `response_details` | why the proxy replied itself |
/// | `reply_filter`, `reply_module` | the filter that answered or failed, and the module it is from |
/// | `upstream_transport_failure_reason` | the same, if the upstream was the reason |
/// | `reset_by` | who ended the stream early |
/// | `request_id` | `x-request-id` |
/// | `listener` (`listener_name`), `listener_port` | of the listener |
/// | `virtual_host`, `route` (`route_name`), `upstream_cluster` | names |
/// | `upstream_host` | address of the host |
/// | `upstream_local_address` | our end of the connection to it |
/// | `upstream_attempts` | hosts that were tried, each as often as it was |
/// | `downstream_remote_address`, `downstream_remote_ip`, `downstream_local_address` | of the connection |
/// | `requested_server_name` | of TLS; absent in clear text |
/// | `tls_version`, `tls_cipher`, `tls_group`, `tls_alpn` | what was agreed on in TLS with the client |
/// | `tls_resumed` (`tls_session_reused`) | whether a session was resumed: `true` or `false` |
/// | `upstream_tls_version` and so on | the same of TLS with the host |
/// | `request_header_NAME`, `response_header_NAME` | first field of that name; `_` in NAME also matches `-` |
/// | `request_arg_NAME` | first parameter of the query, not decoded |
/// | `cookie_NAME` | cookie of the request |
/// | `variable_NAME` | a variable that a filter set |
///
/// `Http1_` or `Http2_` in front of `request_…` and `cookie_NAME` changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogFormat(Parts);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parts {
    Text(Box<[Piece]>),
    Json(Box<[JsonPart]>),
}

impl AccessLogFormat {
    /// What is logged if no format is configured.
    pub const DEFAULT: &str = "%start_time% %downstream_remote_address% \"%method% %target% %protocol%\" \
        %response_code% flags=%response_flag% details=%response_details% host=%authority% \
        bytes_received=%bytes_received% bytes_sent=%bytes_sent% duration=%duration% \
        upstream_duration=%response_received_duration% upstream=%upstream_host% cluster=%upstream_cluster% \
        request_id=%request_id%";

    /// What MOSN logs if no format is configured; the two blanks in a row are
    /// its own.
    pub const MOSN_DEFAULT: &str = "%start_time% %trace_id%  %connection_id% %upstream_connection_id% \
        %request_received_duration% %response_received_duration% %bytes_sent% %bytes_received% %protocol% \
        %response_code% %duration% %response_flag% %response_code% %upstream_local_address% \
        %downstream_local_address% %downstream_remote_address% %upstream_host%";

    /// What is logged if no format is configured, in this style.
    pub fn of_style(style: LogStyle) -> Self {
        match style {
            LogStyle::Own => Self::default(),
            // A test holds that it parses.
            LogStyle::Mosn => Self::parse_as(Self::MOSN_DEFAULT, style).unwrap_or_default(),
        }
    }

    /// Reads a text format in our own style.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Self::parse_as(text, LogStyle::Own)
    }

    /// Reads a text format. One line feed at its end is taken away: every line
    /// gets one anyway.
    pub fn parse_as(text: &str, style: LogStyle) -> Result<Self, FormatError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.is_empty() {
            return Err(FormatError::Empty);
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
            return Err(FormatError::Control { at });
        }
        Ok(AccessLogFormat(Parts::Text(cut(text, style)?.into())))
    }

    /// Reads a JSON format.
    pub fn json(object: &Map<String, Json>) -> Result<Self, FormatError> {
        Ok(AccessLogFormat(Parts::Json(compile(object)?)))
    }

    /// Names of the variables without parameters.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        Fact::NAMES.iter().map(|(name, _)| *name)
    }

    /// What has to be measured for it.
    pub fn needs(&self) -> LogNeeds {
        match &self.0 {
            Parts::Text(pieces) => pieces.iter().map(Piece::needs).collect(),
            Parts::Json(parts) => parts.iter().map(JsonPart::needs).collect(),
        }
    }

    /// Appends the line of one stream, without a line feed.
    pub fn write(&self, out: &mut Vec<u8>, stream: &StreamState, completion: &Completion) {
        match &self.0 {
            Parts::Text(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                        Piece::Field(field) => field.of(stream, completion).write_text(out),
                    }
                }
            }
            Parts::Json(parts) => {
                for part in parts {
                    match part {
                        JsonPart::Text(text) => out.extend_from_slice(text.as_bytes()),
                        JsonPart::Whole(field) => field.of(stream, completion).write_json(out),
                        JsonPart::Within(field) => field.of(stream, completion).write_in_json(out),
                    }
                }
            }
        }
    }
}

impl Default for AccessLogFormat {
    fn default() -> Self {
        // A test holds that the default parses.
        Self::parse(Self::DEFAULT).unwrap_or(AccessLogFormat(Parts::Text(Box::default())))
    }
}

impl Piece {
    fn needs(&self) -> LogNeeds {
        match self {
            Piece::Text(_) => LogNeeds::default(),
            Piece::Field(field) => field.needs(),
        }
    }
}

impl JsonPart {
    fn needs(&self) -> LogNeeds {
        match self {
            JsonPart::Text(_) => LogNeeds::default(),
            JsonPart::Whole(field) | JsonPart::Within(field) => field.needs(),
        }
    }
}
