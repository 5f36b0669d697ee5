//! What fields of requests, responses and trailers have in common.

use http::HeaderMap;

use crate::http1::error::RequestError;
use crate::http1::fields::{Known, classify};

/// Passes all fields to `take`, with what each is to the codec, and returns how
/// many bytes they would have in HTTP/1.
///
/// Names are tokens in lower case and values have no control bytes: `http` sees
/// to that. At most `max` fields pass; the crumbs of a cookie (RFC 9113 section
/// 8.2.3), which come in a row, count as one. What describes a connection is
/// refused (section 8.2.2).
pub(super) fn read(
    fields: &HeaderMap,
    max: usize,
    mut take: impl FnMut(Known, &str, &[u8]) -> Result<(), RequestError>,
) -> Result<usize, RequestError> {
    let (mut bytes, mut left, mut after_crumb) = (0, max, false);
    for (name, value) in fields {
        let (name, value) = (name.as_str(), value.as_bytes());
        let is_crumb = name == "cookie";
        if !(is_crumb && after_crumb) {
            left = left.checked_sub(1).ok_or(RequestError::new(431, "too_many_headers"))?;
        }
        after_crumb = is_crumb;
        bytes += name.len() + value.len() + 4;
        check_edges(value)?;
        match classify(name) {
            Known::Connection | Known::TransferEncoding | Known::Upgrade => {
                return Err(RequestError::bad("connection_field"));
            }
            // An announcement of trailers is of the whole way, and some servers read no other trailers than those. What
            // may not stand in trailers is not sent, announced or not.
            Known::Dropped if name == "trailer" => take(Known::EndToEnd, name, value)?,
            known => take(known, name, value)?,
        }
    }
    Ok(bytes)
}

/// RFC 9113 section 8.2.1: no blank at either end of a value. In HTTP/1 those
/// would be no part of it.
pub(super) fn check_edges(value: &[u8]) -> Result<(), RequestError> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    match is_blank(value.first()) || is_blank(value.last()) {
        true => Err(RequestError::bad("header_value_invalid")),
        false => Ok(()),
    }
}
