//! Heads of responses on their way out.

use http::header;
use http::{Response, StatusCode};
use sidegate_api::{ResponseHead, is_hop_by_hop};

use crate::http1::ResponseFraming;

use super::encode::{EncodeError, NUMBER_BYTES, Values, encode_fields};

/// The head of a final response for the `h2` crate. `framing` says what of a
/// length is announced; `date` is added if the upstream sent none.
pub fn encode_response(
    head: &ResponseHead,
    framing: ResponseFraming,
    date: &[u8],
) -> Result<Response<()>, EncodeError> {
    let (mut response, mut values) = encode(head, date.len() + NUMBER_BYTES)?;
    let fields = response.headers_mut();
    if !fields.contains_key(header::DATE) {
        fields.insert(header::DATE, values.put(date)?);
    }
    match framing {
        ResponseFraming::NoBody | ResponseFraming::Length(0) if head.status == 204 => {}
        ResponseFraming::NoBody => {
            if let Some(length) = head.headers.get(b"content-length") {
                fields.insert(header::CONTENT_LENGTH, values.put(length)?);
            }
        }
        ResponseFraming::Length(length) => {
            fields.insert(header::CONTENT_LENGTH, values.put_number(length)?);
        }
        ResponseFraming::Chunked | ResponseFraming::UntilClose => {}
    }
    Ok(response)
}

/// The head of an informational response.
pub fn encode_interim(head: &ResponseHead) -> Result<Response<()>, EncodeError> {
    encode(head, 0).map(|(response, _)| response)
}

fn encode(head: &ResponseHead, more: usize) -> Result<(Response<()>, Values), EncodeError> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| EncodeError { part: "the status" })?;
    let (fields, values) = encode_fields(&head.headers, more, |name, _| match name {
        b"content-length" | b"trailer" | b"http2-settings" => false,
        name => !is_hop_by_hop(name),
    })?;
    *response.headers_mut() = fields;
    Ok((response, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn sent(status: u16, fields: &[(&str, &str)], framing: ResponseFraming) -> (u16, Vec<(String, String)>) {
        let mut head = ResponseHead { status, ..ResponseHead::default() };
        for (name, value) in fields {
            head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let response = encode_response(&head, framing, DATE).unwrap();
        let fields = response.headers().iter();
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (response.status().as_u16(), fields.collect())
    }

    fn pairs<const N: usize>(fields: [(&str, &str); N]) -> Vec<(String, String)> {
        fields.map(|(name, value)| (name.into(), value.into())).into()
    }

    #[test]
    fn fields_of_a_connection_stay_and_a_date_is_there() {
        let fields = [
            ("connection", "close"),
            ("keep-alive", "5"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "close"),
            ("trailer", "x"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("content-length", "7"),
        ];
        let date = std::str::from_utf8(DATE).unwrap();
        let expected = pairs([("set-cookie", "a=1"), ("set-cookie", "b=2"), ("date", date)]);
        assert_eq!(sent(200, &fields, ResponseFraming::Chunked), (200, expected));
        let own = [("date", "Mon, 07 Nov 1994 08:49:37 GMT")];
        let expected = pairs([own[0], ("content-length", "5")]);
        assert_eq!(sent(404, &own, ResponseFraming::Length(5)), (404, expected));
    }

    #[test]
    fn lengths_are_announced_where_they_may_be() {
        use ResponseFraming::{Chunked, Length, NoBody, UntilClose};
        for (status, framing, expected) in [
            (200, Length(5), Some("5")),
            (200, Length(0), Some("0")),
            (200, NoBody, Some("7")),
            (304, NoBody, Some("7")),
            (204, NoBody, None),
            (204, Length(0), None),
            (200, Chunked, None),
            (200, UntilClose, None),
        ] {
            let (_, fields) = sent(status, &[("content-length", "7"), ("date", "d")], framing);
            let length = fields.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.as_str());
            assert_eq!(length, expected, "{status} {framing:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        let head = ResponseHead { status: 99, ..ResponseHead::default() };
        assert!(encode_response(&head, ResponseFraming::NoBody, DATE).is_err());
    }
}
