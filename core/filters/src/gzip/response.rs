//! Which responses are compressed, and what their heads say then.

use sidegate_api::{EditError, FilterCx, HeaderMapKind::Response, Headers, StreamState};

use super::settings::Settings;

/// Whether this response is compressed for clients that take it.
pub(super) fn is_compressible(settings: &Settings, stream: &StreamState) -> bool {
    let headers = &stream.response.headers;
    // 206 is a part of other bytes; 204, 205 and 304 have none.
    !matches!(stream.response.status, 0..=199 | 204..=206 | 304)
        && !headers.contains(b"content-range")
        && !headers.has_token(b"cache-control", b"no-transform")
        && !is_encoded(headers)
        && headers.get(b"content-type").is_some_and(|value| settings.has_type(value))
        && length(stream).is_none_or(|length| length >= settings.min_length)
}

/// Whether this says of a response that it is as it was, and that one may have
/// been compressed. The type need not be said again.
pub(super) fn is_about_compressible(settings: &Settings, stream: &StreamState) -> bool {
    let headers = &stream.response.headers;
    stream.response.status == 304
        && !headers.has_token(b"cache-control", b"no-transform")
        && !is_encoded(headers)
        && headers.get(b"content-type").is_none_or(|value| settings.has_type(value))
}

fn is_encoded(headers: &Headers) -> bool {
    headers.get_all(b"content-encoding").any(|value| !value.trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// Bytes of body, if they are known: a reply of the proxy's own is there
/// already, an upstream announces its own or does not.
fn length(stream: &StreamState) -> Option<u64> {
    if !stream.response_body.is_empty() {
        return Some(stream.response_body.len() as u64);
    }
    let announced = stream.response.headers.get(b"content-length")?;
    std::str::from_utf8(announced).ok()?.parse().ok()
}

/// Says that the body is compressed and takes away what is true of the plain
/// bytes only.
pub(super) fn announce(cx: &mut FilterCx<'_>) -> Result<(), EditError> {
    cx.set_header(Response, b"content-encoding", b"gzip")?;
    for name in [&b"accept-ranges"[..], b"content-md5", b"content-digest", b"repr-digest", b"digest"] {
        cx.remove_header(Response, name)?;
    }
    weaken_etag(cx)
}

/// A strong tag promises the same bytes.
pub(super) fn weaken_etag(cx: &mut FilterCx<'_>) -> Result<(), EditError> {
    match cx.headers(Response).get(b"etag") {
        Some(tag) if !tag.starts_with(b"W/") => {
            let weak = [b"W/", tag].concat();
            cx.set_header(Response, b"etag", &weak)
        }
        _ => Ok(()),
    }
}

/// Tells caches that the answer depends on what the client takes.
pub(super) fn vary_by_encoding(cx: &mut FilterCx<'_>) -> Result<(), EditError> {
    let headers = cx.headers(Response);
    if headers.has_token(b"vary", b"accept-encoding") || headers.has_token(b"vary", b"*") {
        return Ok(());
    }
    cx.add_header(Response, b"vary", b"Accept-Encoding")
}
