//! Heads of `h2` as the harness shows those of HTTP/1.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Framing, Head};

/// The fields of a map, in order; bytes that are no ASCII as Latin-1.
pub(super) fn pairs(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|&byte| byte as char).collect();
    map.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The map of fields; panics on one that HTTP/2 has no way to send.
#[track_caller]
pub(super) fn map(fields: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let bytes: Vec<u8> = value.chars().map(|letter| letter as u8).collect();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(&bytes).unwrap());
    }
    map
}

/// A request's head: `:authority` as `host`, `:scheme` as it is, then fields.
pub(super) fn of_request(parts: &http::request::Parts) -> Head {
    let target = match (parts.uri.path_and_query(), &parts.method) {
        (Some(path), _) if parts.method != http::Method::CONNECT => path.as_str(),
        _ => parts.uri.authority().map_or("", |authority| authority.as_str()),
    };
    let mut fields = Vec::new();
    if let Some(authority) = parts.uri.authority() {
        fields.push(("host".to_owned(), authority.as_str().to_owned()));
    }
    if let Some(scheme) = parts.uri.scheme_str() {
        fields.push((":scheme".to_owned(), scheme.to_owned()));
    }
    fields.extend(pairs(&parts.headers));
    Head { start: format!("{} {target} HTTP/2", parts.method), fields }
}

pub(super) fn of_response(parts: &http::response::Parts) -> Head {
    Head { start: format!("HTTP/2 {}", parts.status.as_u16()), fields: pairs(&parts.headers) }
}

/// How a body is announced: [`Framing::Chunked`] stands for one that is open.
pub(super) fn framing(map: &HeaderMap, ended: bool) -> Framing {
    let length = map.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    match (ended, length) {
        (true, _) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    }
}
