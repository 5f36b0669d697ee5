//! What requests and responses share in reading their fields: framing,
//! persistence, and the fields that never travel on.

use sidegate_api::{Headers, Protocol, is_token};

use super::Persistence;
use super::error::RequestError;

/// Names in `Connection` that are looked up in the head; a list longer than
/// that would only buy an attacker time.
const MAX_NOMINATED: usize = 32;

/// What a field is to the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Host,
    Expect,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Te,
    /// Concerns this connection only, or pretends to be another field.
    Dropped,
    /// Travels on.
    EndToEnd,
}

/// Sorts a field by its name. This runs for every field of every message, and
/// length and first letter tell nearly all of them from the known ones.
pub(crate) fn classify(name: &str) -> Known {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let first = name.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
    match (name.len(), first) {
        (2, b't') if is("te") => Known::Te,
        (4, b'h') if is("host") => Known::Host,
        (6, b'e') if is("expect") => Known::Expect,
        (7, b'u') if is("upgrade") => Known::Upgrade,
        (7, b't') if is("trailer") => Known::Dropped,
        (10, b'c') if is("connection") => Known::Connection,
        (10, b'k') if is("keep-alive") => Known::Dropped,
        (14, b'c') if is("content-length") => Known::ContentLength,
        (14, b'h') if is("http2-settings") => Known::Dropped,
        (16, b'p') if is("proxy-connection") => Known::Dropped,
        (17, b't') if is("transfer-encoding") => Known::TransferEncoding,
        (_, b'c' | b'k' | b'p' | b't' | b'x') if name.bytes().any(|b| b == b'_') && is_disguised(name) => {
            Known::Dropped
        }
        _ => Known::EndToEnd,
    }
}

/// Whether `name` reads as a framing or identity field once `_` is taken for
/// `-`, as CGI-like upstreams do.
fn is_disguised(name: &str) -> bool {
    const DISGUISES: [&str; 7] = [
        "content-length",
        "transfer-encoding",
        "x-real-ip",
        "x-request-id",
        "keep-alive",
        "proxy-connection",
        "x-forwarded-",
    ];
    DISGUISES.iter().any(|known| {
        let open = known.ends_with('-');
        (if open { name.len() > known.len() } else { name.len() == known.len() })
            && name.bytes().zip(known.bytes()).all(|(n, k)| n.eq_ignore_ascii_case(&k) || (n == b'_' && k == b'-'))
    })
}

/// What `Connection` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) persistence: Persistence,
    /// Whether `upgrade` is among its options.
    pub(crate) names_upgrade: bool,
}

/// The framing fields of one head.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    connection_fields: bool,
}

impl Framing {
    /// Takes one `Content-Length` value: digits, or a list of equal ones.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        for item in value.split(|&b| b == b',') {
            let length = parse_length(trim_blanks(item)).ok_or(RequestError::bad("content_length_invalid"))?;
            if self.content_length.replace(length).is_some_and(|before| before != length) {
                return Err(RequestError::bad("content_length_differs"));
            }
        }
        Ok(())
    }

    /// Takes one `Transfer-Encoding` value: one `chunked` is all that passes.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        if self.chunked {
            return Err(RequestError::bad("transfer_encoding_repeated"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            // A well-formed coding we do not know, alone or under `chunked`,
            // is no error of the client's.
            let inner = match value.iter().rposition(|&b| b == b',') {
                Some(comma) if trim_blanks(&value[comma + 1..]).eq_ignore_ascii_case(b"chunked") => {
                    trim_blanks(&value[..comma])
                }
                _ => value,
            };
            let unknown = is_token(inner) && !inner.eq_ignore_ascii_case(b"chunked");
            let status = if unknown { 501 } else { 400 };
            return Err(RequestError::new(status, "transfer_encoding_unsupported"));
        }
        self.chunked = true;
        Ok(())
    }

    /// Notes that there is a `Connection` field for [`Framing::finish`].
    pub(crate) fn has_connection_field(&mut self) {
        self.connection_fields = true;
    }

    /// Checks the framing as a whole, writes the one `content-length` and
    /// removes what `Connection` names.
    pub(crate) fn finish(
        &self,
        version: Protocol,
        fields: &[httparse::Header<'_>],
        headers: &mut Headers,
    ) -> Result<Hop, RequestError> {
        if self.chunked && self.content_length.is_some() {
            return Err(RequestError::bad("content_length_with_transfer_encoding"));
        }
        if self.chunked && version == Protocol::Http10 {
            return Err(RequestError::bad("transfer_encoding_in_http10"));
        }
        let mut hop = Hop {
            persistence: match version {
                Protocol::Http10 => Persistence::Close,
                Protocol::Http11 | Protocol::Http2 => Persistence::KeepAlive,
            },
            names_upgrade: false,
        };
        if self.connection_fields {
            hop = apply_connection(hop, fields, headers)?;
        }
        if let Some(length) = self.content_length {
            let mut digits = itoa::Buffer::new();
            add(headers, b"content-length", digits.format(length).as_bytes())?;
        }
        Ok(hop)
    }
}

/// Whether one `TE` value has `trailers` (RFC 9110 section 10.1.4).
pub(crate) fn wants_trailers(value: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|item| trim_blanks(item).eq_ignore_ascii_case(b"trailers"))
}

/// Adds a field whose number and size the head's limits bound already.
pub(crate) fn add(headers: &mut Headers, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
    headers.add(name, value).map_err(|_| RequestError::new(431, "headers_too_large"))
}

fn apply_connection(default: Hop, fields: &[httparse::Header<'_>], headers: &mut Headers) -> Result<Hop, RequestError> {
    let mut names_upgrade = false;
    let (mut close, mut keep_alive, mut nominated) = (false, false, 0);
    for field in fields.iter().filter(|field| classify(field.name) == Known::Connection) {
        for option in field.value.split(|&b| b == b',').map(trim_blanks) {
            if option.eq_ignore_ascii_case(b"close") {
                close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                // The field itself is not among the headers yet.
                names_upgrade = true;
            } else if !option.is_empty() {
                nominated += 1;
                remove_nominated(option, nominated, headers)?;
            }
        }
    }
    let persistence = match (close, keep_alive) {
        (true, _) => Persistence::Close,
        (false, true) => Persistence::KeepAlive,
        (false, false) => default.persistence,
    };
    Ok(Hop { persistence, names_upgrade })
}

fn remove_nominated(option: &[u8], count: usize, headers: &mut Headers) -> Result<(), RequestError> {
    if count > MAX_NOMINATED {
        return Err(RequestError::bad("connection_too_long"));
    }
    if !is_token(option) {
        return Err(RequestError::bad("connection_invalid"));
    }
    let framing: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];
    if framing.iter().any(|name| option.eq_ignore_ascii_case(name)) {
        return Err(RequestError::bad("connection_names_framing"));
    }
    headers.remove(option);
    Ok(())
}

/// 1*DIGIT without overflow.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |length, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// Trims OWS, which is blank and tab and nothing else.
pub(crate) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_wanted_by_name() {
        for (value, wanted) in [
            ("trailers", true),
            ("gzip, Trailers ,x", true),
            ("trailers;q=0.5", false),
            ("", false),
            ("trailer", false),
        ] {
            assert_eq!(wants_trailers(value.as_bytes()), wanted, "{value}");
        }
    }
}
