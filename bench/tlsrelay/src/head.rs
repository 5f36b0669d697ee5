//! Where a message ends.

use tokio::io::AsyncReadExt;

use crate::Failure;

/// What is to be known of a request or a response.
pub(crate) struct Head {
    /// Its length.
    pub(crate) bytes: usize,
    /// The length of its body.
    pub(crate) body: usize,
    /// Whether the connection goes on after it.
    pub(crate) keeps: bool,
}

impl Head {
    /// Reads into `buffer` until a head is whole.
    pub(crate) async fn read(from: &mut (impl AsyncReadExt + Unpin), buffer: &mut Vec<u8>) -> Result<Head, Failure> {
        loop {
            if let Some(head) = Head::parse(buffer)? {
                return Ok(head);
            }
            if from.read_buf(buffer).await? == 0 {
                return Err("cut".into());
            }
        }
    }

    fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let status = if bytes.starts_with(b"HTTP/") {
            let mut response = httparse::Response::new(&mut fields);
            response.parse(bytes)?
        } else {
            let mut request = httparse::Request::new(&mut fields);
            request.parse(bytes)?
        };
        let httparse::Status::Complete(bytes) = status else { return Ok(None) };
        let field = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let body = match field("content-length") {
            Some(length) => std::str::from_utf8(length.value)?.trim().parse()?,
            None => 0,
        };
        let keeps = field("connection").is_none_or(|field| !field.value.eq_ignore_ascii_case(b"close"));
        Ok(Some(Head { bytes, body, keeps }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_where_messages_end() {
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
        let head = Head::parse(&[request, &b"he"[..]].concat()).unwrap().unwrap();
        assert_eq!((head.bytes, head.body, head.keeps), (request.len(), 5, false));
        assert!(Head::parse(&request[..20]).unwrap().is_none());
        let head = Head::parse(b"HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.body, head.keeps), (22, true));
        assert!(Head::parse(b"\x00\r\n\r\n").is_err());
    }
}
