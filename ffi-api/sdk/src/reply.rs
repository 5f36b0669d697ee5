//! Replies that a filter makes itself.

use sidegate_abi as abi;

/// A whole response, for [`Stream::reply`](crate::Stream::reply).
///
/// ```
/// # use sidegate_sdk::Reply;
/// let reply = Reply::new(403).header("x-reason", "token").body("no token\n");
/// ```
#[derive(Debug, Clone)]
pub struct Reply<'r> {
    status: u16,
    headers: Vec<(&'r [u8], &'r [u8])>,
    body: &'r [u8],
}

impl<'r> Reply<'r> {
    /// A reply without headers and body; the status is 200 to 599.
    pub fn new(status: u16) -> Self {
        Reply { status, headers: Vec::new(), body: &[] }
    }

    /// A plain-text reply.
    pub fn text(status: u16, text: &'r str) -> Self {
        Reply::new(status).header("content-type", "text/plain; charset=utf-8").body(text)
    }

    /// Adds a field. Framing and hop-by-hop fields belong to the host.
    pub fn header<N, V>(mut self, name: &'r N, value: &'r V) -> Self
    where
        N: AsRef<[u8]> + ?Sized,
        V: AsRef<[u8]> + ?Sized,
    {
        self.headers.push((name.as_ref(), value.as_ref()));
        self
    }

    /// Sets the body.
    pub fn body<B: AsRef<[u8]> + ?Sized>(mut self, body: &'r B) -> Self {
        self.body = body.as_ref();
        self
    }

    /// Lends the raw reply to `send`.
    pub(crate) fn with_raw<R>(&self, send: impl FnOnce(*const abi::Reply) -> R) -> R {
        let headers: Vec<abi::Header> = self
            .headers
            .iter()
            .map(|(name, value)| abi::Header {
                name: abi::Slice::from_bytes(name),
                value: abi::Slice::from_bytes(value),
            })
            .collect();
        let raw = abi::Reply {
            size: std::mem::size_of::<abi::Reply>() as u64,
            status: u32::from(self.status),
            flags: 0,
            headers: headers.as_ptr(),
            headers_len: headers.len() as u64,
            body: abi::Slice::from_bytes(self.body),
        };
        send(&raw)
    }
}
