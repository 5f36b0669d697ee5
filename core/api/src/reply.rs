//! Replies that the proxy or a filter makes itself.

use crate::Headers;

/// A whole response made on this side: by a filter, by a route
/// (`direct_response`, `redirect`) or by the proxy for an error. It passes the
/// response filters like one from upstream.
#[derive(Debug, Default)]
pub struct LocalReply {
    /// 200 to 599.
    pub status: u16,
    /// Fields to send; framing fields are added by the codec.
    pub headers: Headers,
    /// Body bytes; dropped by the codec where the status or HEAD forbids them.
    pub body: Vec<u8>,
    /// Why, for the access log (`%response_details%`); never sent.
    pub details: &'static str,
}

impl LocalReply {
    /// A reply without headers and body.
    pub fn new(status: u16, details: &'static str) -> Self {
        LocalReply { status, details, ..Default::default() }
    }

    /// A plain-text reply.
    pub fn text(status: u16, details: &'static str, body: &str) -> Self {
        let mut reply = LocalReply::new(status, details);
        // A fresh map has room for one short field.
        let _ = reply.headers.add(b"content-type", b"text/plain; charset=utf-8");
        reply.body = body.as_bytes().to_vec();
        reply
    }
}
