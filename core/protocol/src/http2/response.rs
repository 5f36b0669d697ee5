//! Heads of responses.

use http::{HeaderMap, StatusCode};
use sidegate_api::{HeadState, Method, ResponseHead};

use super::fields::check_edges;
use crate::http1::fields::{self, Known};
use crate::http1::{BodyLength, Limits, ResponseError};

/// Whether anything of its message follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The stream goes on.
    More,
    /// The head had `END_STREAM`.
    Nothing,
}

/// Takes a response's head over into `head`, whose former content is replaced,
/// and says how long its body is; [`BodyLength::UntilClose`] where only the end
/// of the stream will say so. Informational responses come out like others,
/// with a status below 200 and no body.
///
/// Names are in lower case and neither they nor values have control characters:
/// the `h2` crate has seen to that, and to the fields of a connection, which
/// HTTP/2 does not know. Their bytes are bounded by
/// `SETTINGS_MAX_HEADER_LIST_SIZE`.
pub fn decode_response(
    status: StatusCode,
    received: &HeaderMap,
    follows: Follows,
    limits: &Limits,
    request_method: &Method,
    head: &mut ResponseHead,
) -> Result<BodyLength, ResponseError> {
    head.status = 0;
    head.reason.clear();
    head.headers.clear();
    head.state = HeadState::Open;
    if received.len() > limits.max_headers {
        return Err(ResponseError { details: "too_many_headers" });
    }
    // RFC 9113 section 8.6.
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ResponseError { details: "upgrade_not_asked_for" });
    }
    let mut length = fields::Framing::default();
    for (name, value) in received {
        let (name, value) = (name.as_str(), value.as_bytes());
        match fields::classify(name) {
            // Host and Expect mean nothing in a response; they are content.
            Known::EndToEnd | Known::Host | Known::Expect => {
                check_edges(value)?;
                head.headers.add(name.as_bytes(), value).map_err(|_| TOO_LARGE)?;
            }
            Known::ContentLength => length.content_length(value)?,
            // RFC 9113 section 8.2.2; `h2` refuses them as well.
            Known::TransferEncoding | Known::Connection | Known::Upgrade => {
                return Err(ResponseError { details: "connection_field_in_http2" });
            }
            Known::Te | Known::Dropped => {}
        }
    }
    head.status = status.as_u16();
    let is_head = *request_method == Method::Head;
    let bodiless = is_head || matches!(head.status, 100..=199 | 204 | 304);
    let announced = length.content_length;
    // RFC 9110 section 8.6: 1xx and 204 may not announce a length.
    if let Some(announced) = announced.filter(|_| head.status >= 200 && head.status != 204) {
        let mut digits = itoa::Buffer::new();
        head.headers.add(b"content-length", digits.format(announced).as_bytes()).map_err(|_| TOO_LARGE)?;
    }
    let body = match (announced, follows) {
        _ if bodiless => BodyLength::None,
        (Some(0) | None, Follows::Nothing) => BodyLength::Length(0),
        (Some(_), Follows::Nothing) => return Err(ResponseError { details: "body_length_differs" }),
        (Some(length), Follows::More) => BodyLength::Length(length),
        (None, Follows::More) => BodyLength::UntilClose,
    };
    if limits.max_body.is_some_and(|max| matches!(body, BodyLength::Length(length) if length > max)) {
        return Err(ResponseError { details: "body_too_large" });
    }
    Ok(body)
}

const TOO_LARGE: ResponseError = ResponseError { details: "headers_too_large" };

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn decode(
        status: u16,
        fields: &[(&'static str, &'static str)],
        follows: Follows,
        method: Method,
    ) -> Result<(ResponseHead, BodyLength), &'static str> {
        let mut received = HeaderMap::new();
        for (name, value) in fields {
            received.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut head = ResponseHead::default();
        let status = StatusCode::from_u16(status).unwrap();
        let limits = Limits { max_body: Some(1000), max_headers: 4, ..Limits::default() };
        decode_response(status, &received, follows, &limits, &method, &mut head)
            .map(|body| (head, body))
            .map_err(|error| error.details)
    }

    fn body(status: u16, length: Option<&'static str>, follows: Follows, method: Method) -> BodyLength {
        let fields: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        decode(status, &fields, follows, method).unwrap().1
    }

    #[test]
    fn bodies_are_as_long_as_head_and_stream_say() {
        use Follows::{More, Nothing};
        for (status, length, follows, method, expected) in [
            (200, Some("5"), More, Method::Get, BodyLength::Length(5)),
            (200, None, More, Method::Get, BodyLength::UntilClose),
            (200, None, Nothing, Method::Get, BodyLength::Length(0)),
            (200, Some("0"), Nothing, Method::Get, BodyLength::Length(0)),
            (200, Some("0"), More, Method::Get, BodyLength::Length(0)),
            (200, Some("5"), Nothing, Method::Head, BodyLength::None),
            (204, None, Nothing, Method::Get, BodyLength::None),
            (304, Some("5"), Nothing, Method::Get, BodyLength::None),
            (103, Some("5"), More, Method::Get, BodyLength::None),
            (404, Some("5"), More, Method::Connect, BodyLength::Length(5)),
        ] {
            assert_eq!(body(status, length, follows, method), expected, "{status} {length:?} {follows:?}");
        }
    }

    #[test]
    fn lengths_are_kept_where_they_may_stand() {
        let length = |status, method| {
            let (head, _) = decode(status, &[("content-length", "5")], Follows::Nothing, method).unwrap();
            head.headers.get(b"content-length").map(<[u8]>::to_vec)
        };
        assert_eq!(length(200, Method::Head).as_deref(), Some(&b"5"[..]));
        assert_eq!(length(304, Method::Get).as_deref(), Some(&b"5"[..]));
        assert_eq!(length(204, Method::Get), None);
        assert_eq!(length(103, Method::Get), None);
    }

    #[test]
    fn what_two_readers_may_understand_differently_is_refused() {
        for (fields, details) in [
            (&[("content-length", "5"), ("content-length", "6")][..], "content_length_differs"),
            (&[("content-length", "+5")], "content_length_invalid"),
            (&[("content-length", "5")], "body_length_differs"),
            (&[("transfer-encoding", "chunked")], "connection_field_in_http2"),
            (&[("connection", "close")], "connection_field_in_http2"),
            (&[("upgrade", "websocket")], "connection_field_in_http2"),
            (&[("x", " padded")], "header_value_invalid"),
            (&[("a", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("d", "5")], "too_many_headers"),
        ] {
            assert_eq!(decode(200, fields, Follows::Nothing, Method::Get).unwrap_err(), details, "{fields:?}");
        }
        assert_eq!(decode(101, &[], Follows::More, Method::Get).unwrap_err(), "upgrade_not_asked_for");
        assert_eq!(
            decode(200, &[("content-length", "1001")], Follows::More, Method::Get).unwrap_err(),
            "body_too_large"
        );
    }

    #[test]
    fn fields_keep_their_order_and_those_of_a_connection_go() {
        let fields = [("x-b", "1"), ("keep-alive", "5"), ("x-a", "2"), ("x_forwarded_for", "3")];
        let (head, _) = decode(200, &fields, Follows::Nothing, Method::Get).unwrap();
        let kept: Vec<_> = head.headers.iter().collect();
        assert_eq!(kept, [(&b"x-b"[..], &b"1"[..]), (b"x-a", b"2")]);
    }
}
