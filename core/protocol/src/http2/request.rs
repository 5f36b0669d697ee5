//! Heads of requests.

use http::request::Parts;
use sidegate_api::{Headers, Protocol, RequestHead};

use crate::http1::error::RequestError;
use crate::http1::fields::{self, Framing, Known};
use crate::http1::request::{self, RequestMeta};
use crate::http1::target::{self, Scratch, TargetForm};
use crate::http1::{BodyLength, Expect, Limits, Persistence, Trailers, Upgrade, authority};

use super::{Follows, fields as section};

/// Reads a request's head into `head`, whose former content is replaced except
/// for the scheme: the transport decides that, not the client (it is set to
/// `http` if empty).
///
/// After an error `head` holds what was understood before the fault, as far as
/// logs are concerned.
pub fn decode_request(
    parts: &Parts,
    follows: Follows,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<RequestMeta, RequestError> {
    request::clear(head);
    let mut scratch = Scratch::default();
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let method = parts.method.as_str();
    if request::request_line(method, target, limits, head, &mut scratch)? == TargetForm::NamesHost {
        return Err(RequestError::bad("target_invalid"));
    }
    // In any case (RFC 3986 section 3.1).
    let is_ours = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if parts.uri.scheme_str().is_some_and(|scheme| !is_ours(scheme)) {
        return Err(RequestError::bad("scheme_unsupported"));
    }
    let form = read_authority(parts, head)?;
    let fields = read_fields(parts, form, limits, head)?;
    let body = match (fields.content_length, follows) {
        (Some(length), _) if limits.max_body.is_some_and(|max| length > max) => {
            return Err(RequestError::new(413, "body_too_large"));
        }
        (None, Follows::Nothing) => BodyLength::None,
        (Some(0), Follows::Nothing) => BodyLength::Length(0),
        (Some(_), Follows::Nothing) => return Err(RequestError::bad("content_length_differs")),
        (Some(length), Follows::More) => BodyLength::Length(length),
        (None, Follows::More) => BodyLength::Chunked,
    };
    // Nobody waits to send a body that does not exist.
    let bodiless = matches!(body, BodyLength::None | BodyLength::Length(0));
    let expect = if bodiless { Expect::None } else { fields.expect };
    // As a request line and a Host field would have them.
    let line = method.len() + target.len() + head.authority.len() + 24;
    Ok(RequestMeta {
        head_bytes: u32::try_from(line + fields.bytes).unwrap_or(u32::MAX),
        version: Protocol::Http2,
        body,
        persistence: Persistence::KeepAlive,
        expect,
        trailers: fields.trailers,
        upgrade: Upgrade::None,
    })
}

/// `:authority` takes the place of Host (RFC 9113 section 8.3.1).
fn read_authority(parts: &Parts, head: &mut RequestHead) -> Result<TargetForm, RequestError> {
    let Some(named) = parts.uri.authority() else { return Ok(TargetForm::NeedsHost) };
    authority::check(named.as_str()).map_err(RequestError::bad)?;
    target::set_authority(head, named.as_str());
    Ok(TargetForm::NamesHost)
}

struct Fields {
    content_length: Option<u64>,
    expect: Expect,
    trailers: Trailers,
    bytes: usize,
}

fn read_fields(
    parts: &Parts,
    form: TargetForm,
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Fields, RequestError> {
    let mut framing = Framing::default();
    let (mut hosts, mut cookies) = (0, 0);
    let mut expect = Expect::None;
    let mut trailers = Trailers::Unasked;
    let bytes = section::read(&parts.headers, limits.max_headers, |known, name, value| {
        match known {
            Known::EndToEnd if name == "cookie" => {
                if cookies > 0 {
                    join(&mut head.headers, b"; ")?;
                    join(&mut head.headers, value)?;
                } else {
                    fields::add(&mut head.headers, b"cookie", value)?;
                }
                cookies += 1;
            }
            Known::EndToEnd => fields::add(&mut head.headers, name.as_bytes(), value)?,
            Known::Host => {
                hosts += 1;
                read_host(value, form, hosts, head)?;
            }
            Known::ContentLength => framing.content_length(value)?,
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                // Kept to be read; upstream it goes by `expect`.
                expect = Expect::Continue;
                head.headers.remove(b"expect");
                fields::add(&mut head.headers, b"expect", value)?;
            }
            Known::Expect => return Err(RequestError::new(417, "expectation_unknown")),
            // The only value that HTTP/2 knows.
            Known::Te => trailers = Trailers::Wanted,
            Known::Dropped | Known::Connection | Known::TransferEncoding | Known::Upgrade => {}
        }
        Ok(())
    })?;
    if hosts == 0 && form == TargetForm::NeedsHost {
        return Err(RequestError::bad("host_missing"));
    }
    framing.finish(Protocol::Http2, &[], &mut head.headers)?;
    Ok(Fields { content_length: framing.content_length, expect, trailers, bytes })
}

/// Crumbs come in a row, so the cookie is the last field.
fn join(headers: &mut Headers, part: &[u8]) -> Result<(), RequestError> {
    headers.extend_last(part).map_err(|_| RequestError::new(431, "headers_too_large"))
}

/// A Host beside `:authority` must say the same, or somebody behind us might
/// go by it.
fn read_host(value: &[u8], form: TargetForm, count: usize, head: &mut RequestHead) -> Result<(), RequestError> {
    request::read_host(value, form, count, head)?;
    match head.authority.as_bytes().eq_ignore_ascii_case(value) {
        true => Ok(()),
        false => Err(RequestError::bad("host_differs")),
    }
}
