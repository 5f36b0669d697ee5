//! Heads and trailers on their way out.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Uri, Version};
use sidegate_api::{Headers, Method, RequestHead, check_trailer, is_hop_by_hop};

use super::names;
use crate::http1::{Expect, Trailers};

/// A head that a filter or a route has made into something that HTTP/2 cannot
/// say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part} cannot be sent over HTTP/2")]
pub struct EncodeError {
    /// What of it.
    pub part: &'static str,
}

/// Values that together take no more than so many bytes are sent from one piece
/// of memory: one allocation instead of one each. More would be held for too
/// long by a single value that the compression remembers.
const SHARED_VALUES: usize = 4096;

/// The authority of the request before. A connection has few, and the `http`
/// crate checks each byte of one.
#[derive(Debug, Default)]
pub struct LastAuthority(Option<Authority>);

impl LastAuthority {
    fn get(&mut self, authority: &str) -> Result<Authority, EncodeError> {
        match &self.0 {
            Some(known) if known.as_str() == authority => Ok(known.clone()),
            _ => {
                let made = Authority::try_from(authority).map_err(|_| EncodeError { part: "the authority" })?;
                Ok(self.0.insert(made).clone())
            }
        }
    }
}

/// The head of a request for the `h2` crate. `:authority` comes from the
/// authority, `content-length` from `length`; that field, `host`, and those of
/// a connection are left out of the headers.
pub fn encode_request(
    head: &RequestHead,
    length: Option<u64>,
    expect: Expect,
    trailers: Trailers,
    last: &mut LastAuthority,
) -> Result<Request<()>, EncodeError> {
    let mut request = Request::new(());
    *request.method_mut() = method(&head.method)?;
    *request.version_mut() = Version::HTTP_2;
    let more = head.target().len() + NUMBER_BYTES;
    let (mut fields, mut values) = encode_fields(&head.headers, more, |name, _| match name {
        b"host" | b"content-length" | b"expect" | b"http2-settings" => false,
        name => !is_hop_by_hop(name),
    })?;
    *request.uri_mut() = uri(head, &mut values, last)?;
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, values.put_number(length)?);
    }
    if expect == Expect::Continue {
        fields.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
    }
    if trailers == Trailers::Wanted {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = fields;
    Ok(request)
}

/// Trailers, without those that may not stand there.
pub fn encode_trailers(trailers: &Headers) -> Result<HeaderMap, EncodeError> {
    encode_fields(trailers, 0, |name, value| check_trailer(name, value).is_ok()).map(|(fields, _)| fields)
}

/// The fields that `travels` lets pass, and where values may lie that the
/// caller adds: so many bytes more.
pub(super) fn encode_fields(
    headers: &Headers,
    more: usize,
    travels: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(HeaderMap, Values), EncodeError> {
    let bytes = headers.iter().map(|(_, value)| value.len()).sum::<usize>() + more;
    let mut values = Values(if bytes <= SHARED_VALUES { BytesMut::with_capacity(bytes) } else { BytesMut::new() });
    // More for what the caller adds.
    let mut fields = HeaderMap::with_capacity(headers.len() + 3);
    for (name, value) in headers.iter().filter(|(name, value)| travels(name, value)) {
        let mut value = values.put(value)?;
        if names::is_of_one_message(name) {
            // What the `http` crate calls sensitive is not remembered by either side.
            value.set_sensitive(true);
        }
        let name = names::encode(name).ok_or(EncodeError { part: "a field's name" })?;
        fields.try_append(name, value).map_err(|_| EncodeError { part: "the number of fields" })?;
    }
    Ok((fields, values))
}

/// The piece of memory in which values lie.
pub(super) struct Values(BytesMut);

impl Values {
    pub(super) fn put(&mut self, value: &[u8]) -> Result<HeaderValue, EncodeError> {
        HeaderValue::from_maybe_shared(self.put_bytes(value)).map_err(|_| EncodeError { part: "a field's value" })
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Bytes {
        let Values(shared) = self;
        if shared.capacity() < bytes.len() || bytes.is_empty() {
            return Bytes::copy_from_slice(bytes);
        }
        shared.extend_from_slice(bytes);
        shared.split().freeze()
    }

    pub(super) fn put_number(&mut self, number: u64) -> Result<HeaderValue, EncodeError> {
        self.put(itoa::Buffer::new().format(number).as_bytes())
    }
}

/// Digits of the greatest number.
pub(super) const NUMBER_BYTES: usize = 20;

fn method(method: &Method) -> Result<http::Method, EncodeError> {
    Ok(match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Options => http::Method::OPTIONS,
        Method::Patch => http::Method::PATCH,
        Method::Trace => http::Method::TRACE,
        Method::Connect => http::Method::CONNECT,
        Method::Other(token) => {
            http::Method::from_bytes(token.as_bytes()).map_err(|_| EncodeError { part: "the method" })?
        }
    })
}

fn uri(head: &RequestHead, values: &mut Values, last: &mut LastAuthority) -> Result<Uri, EncodeError> {
    let path = match PathAndQuery::from_maybe_shared(values.put_bytes(head.target().as_bytes())) {
        Ok(path) => path,
        Err(_) => escaped(head.target())?,
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if head.scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(last.get(&head.authority)?);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| EncodeError { part: "the target" })
}

/// A target with bytes that RFC 3986 leaves out and clients send nevertheless,
/// percent-encoded: it means the same.
#[cold]
fn escaped(target: &str) -> Result<PathAndQuery, EncodeError> {
    let mut text = Vec::with_capacity(target.len() + 64);
    for &byte in target.as_bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble & 15)];
                text.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
            }
            byte => text.push(byte),
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(text)).map_err(|_| EncodeError { part: "the target" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, authority: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.method = method;
        head.authority.push_str(authority);
        head.set_target(target);
        for (name, value) in fields {
            head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    fn sent(head: &RequestHead, length: Option<u64>, expect: Expect) -> (String, Vec<(String, String)>) {
        let request = encode_request(head, length, expect, Trailers::Unasked, &mut LastAuthority::default()).unwrap();
        let fields = request.headers().iter();
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        (format!("{} {}", request.method(), request.uri()), fields)
    }

    #[test]
    fn pseudo_fields_come_from_the_head() {
        let post = head(Method::Post, "a:81", "/p?q=1", &[("x", "1"), ("host", "b"), ("x", "2"), ("cookie", "a=1; b")]);
        let pairs = [("x", "1"), ("x", "2"), ("cookie", "a=1; b"), ("content-length", "5")];
        let fields: Vec<_> = pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        assert_eq!(sent(&post, Some(5), Expect::None), ("POST http://a:81/p?q=1".into(), fields));
    }

    #[test]
    fn fields_of_a_connection_stay_and_wishes_are_said() {
        let fields = [
            ("connection", "close"),
            ("keep-alive", "5"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "close"),
            ("content-length", "7"),
            ("expect", "100-continue"),
            ("te", "gzip"),
        ];
        let get = head(Method::Get, "a", "/", &fields);
        assert_eq!(sent(&get, None, Expect::None).1, []);
        let request =
            encode_request(&get, None, Expect::Continue, Trailers::Wanted, &mut LastAuthority::default()).unwrap();
        let fields: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("expect", &b"100-continue"[..]), ("te", b"trailers")]);
    }

    #[test]
    fn targets_that_clients_send_are_made_into_ones_that_may_be_sent() {
        for (target, expected) in
            [("/a<b>`{|}^\"?c=\\<d>é", None), ("/a%20b/;x=1,2?a=b&c=%41[]", Some("/a%20b/;x=1,2?a=b&c=%41[]"))]
        {
            let request = encode_request(
                &head(Method::Get, "a", target, &[]),
                None,
                Expect::None,
                Trailers::Unasked,
                &mut LastAuthority::default(),
            )
            .unwrap();
            let path = request.uri().path_and_query().unwrap().as_str();
            match expected {
                Some(expected) => assert_eq!(path, expected),
                None => assert_eq!(path, "/a%3Cb%3E%60%7B%7C%7D%5E%22?c=%5C%3Cd%3E%C3%A9"),
            }
        }
        let options = encode_request(
            &head(Method::Options, "a", "*", &[]),
            None,
            Expect::None,
            Trailers::Unasked,
            &mut LastAuthority::default(),
        )
        .unwrap();
        assert_eq!(options.uri().path_and_query().unwrap().as_str(), "*");
    }

    #[test]
    fn authorities_may_change_from_request_to_request() {
        let mut last = LastAuthority::default();
        for authority in ["a", "a", "b:80", "a"] {
            let get = head(Method::Get, authority, "/", &[]);
            let request = encode_request(&get, None, Expect::None, Trailers::Unasked, &mut last).unwrap();
            assert_eq!(request.uri().authority().unwrap(), authority);
        }
    }

    #[test]
    fn many_long_values_are_sent_as_well() {
        let long = "v".repeat(SHARED_VALUES);
        let get = head(Method::Get, "a", "/", &[("a", &long), ("b", "2"), ("c", "")]);
        let fields = sent(&get, None, Expect::None).1;
        assert_eq!(fields, [("a".into(), long), ("b".into(), "2".into()), ("c".into(), String::new())]);
    }

    #[test]
    fn what_cannot_be_said_is_an_error_and_no_panic() {
        for (authority, target, part) in
            [("", "/", "the authority"), ("a b", "/", "the authority"), ("a", "no-slash", "the target")]
        {
            let error = encode_request(
                &head(Method::Get, authority, target, &[]),
                None,
                Expect::None,
                Trailers::Unasked,
                &mut LastAuthority::default(),
            )
            .unwrap_err();
            assert_eq!(error.part, part, "{authority:?} {target:?}");
        }
    }

    #[test]
    fn trailers_are_those_that_may_stand_there() {
        let mut trailers = Headers::new();
        for (name, value) in [("grpc-status", "0"), ("host", "a"), ("set-cookie", "a=1")] {
            trailers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let sent = encode_trailers(&trailers).unwrap();
        assert_eq!(sent.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["grpc-status"]);
    }
}
