//! Replies that a filter makes itself.

use std::borrow::Cow;

use sidegate_abi as abi;

type Field<'r> = (Cow<'r, [u8]>, Cow<'r, [u8]>);

/// A whole response, for [`Stream::reply`](crate::Stream::reply). It borrows
/// what it is given or owns it, as the caller likes.
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// # use sidegate_sdk::testing::TestHost;
/// # #[derive(serde::Deserialize)] struct Gate { wait: u64 }
/// # impl RequestFilter for Gate {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let path = cx.path().unwrap_or("/").to_owned();
///     cx.reply(Reply::text(429, format!("{path} is busy\n")).header("retry-after", self.wait))
/// }
/// # }
/// # let host = TestHost::new::<Gate>(serde_json::json!({"wait": 3})).unwrap();
/// let response = host.request("GET", "/a", &[]).run().response.unwrap();
/// assert_eq!((response.status, response.text()), (429, "/a is busy\n"));
/// assert_eq!(response.header("retry-after"), Some("3"));
/// ```
#[derive(Debug, Clone)]
pub struct Reply<'r> {
    status: u16,
    headers: Vec<Field<'r>>,
    body: Cow<'r, [u8]>,
}

impl<'r> Reply<'r> {
    /// A reply without headers and body; the status is 200 to 599.
    pub fn new(status: impl ReplyStatus) -> Self {
        Reply { status: status.code(), headers: Vec::new(), body: Cow::Borrowed(&[]) }
    }

    /// A plain-text reply.
    pub fn text(status: impl ReplyStatus, text: impl IntoBytes<'r>) -> Self {
        Reply::new(status).header("content-type", "text/plain; charset=utf-8").body(text)
    }

    /// A JSON reply. Fails if `value` cannot be written as JSON, which in a
    /// hook is a fault: `cx.reply(Reply::json(403, &reason)?)`.
    ///
    /// ```
    /// # use sidegate_sdk::Reply;
    /// # fn main() -> Result<(), serde_json::Error> {
    /// let reply = Reply::json(403, &serde_json::json!({"error": "no token"}))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: serde::Serialize + ?Sized>(status: impl ReplyStatus, value: &T) -> serde_json::Result<Self> {
        let body = serde_json::to_vec(value)?;
        Ok(Reply::new(status).header("content-type", "application/json").body(body))
    }

    /// Adds a field. Framing and hop-by-hop fields belong to the host.
    pub fn header(mut self, name: impl IntoBytes<'r>, value: impl IntoBytes<'r>) -> Self {
        self.headers.push((name.into_bytes(), value.into_bytes()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl IntoBytes<'r>) -> Self {
        self.body = body.into_bytes();
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
            body: abi::Slice::from_bytes(&self.body),
        };
        send(&raw)
    }
}

/// The status of a [`Reply`]: a number, or `http::StatusCode` with the feature
/// `http`.
///
/// ```
/// # use sidegate_sdk::ReplyStatus;
/// assert_eq!(404.code(), 404);
/// ```
pub trait ReplyStatus {
    /// As a number.
    fn code(self) -> u16;
}

impl ReplyStatus for u16 {
    fn code(self) -> u16 {
        self
    }
}

/// What names, values and bodies of a [`Reply`] are made of: text and bytes,
/// borrowed or owned, and numbers, which become decimal text.
///
/// ```
/// # use sidegate_sdk::IntoBytes;
/// assert_eq!(*"text".into_bytes(), *b"text");
/// assert_eq!(*42_u64.into_bytes(), *b"42");
/// ```
pub trait IntoBytes<'r> {
    /// As bytes.
    fn into_bytes(self) -> Cow<'r, [u8]>;
}

macro_rules! into_bytes {
    ($($from:ty => |$value:ident| $bytes:expr),+ $(,)?) => {$(
        impl<'r> IntoBytes<'r> for $from {
            fn into_bytes(self) -> Cow<'r, [u8]> {
                let $value = self;
                $bytes
            }
        }
    )+};
}

into_bytes! {
    &'r str => |text| Cow::Borrowed(text.as_bytes()),
    &'r String => |text| Cow::Borrowed(text.as_bytes()),
    String => |text| Cow::Owned(text.into_bytes()),
    Cow<'r, str> => |text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    },
    &'r [u8] => |bytes| Cow::Borrowed(bytes),
    &'r Vec<u8> => |bytes| Cow::Borrowed(bytes.as_slice()),
    Vec<u8> => |bytes| Cow::Owned(bytes),
    Cow<'r, [u8]> => |bytes| bytes,
    u16 => |number| Cow::Owned(number.to_string().into_bytes()),
    u32 => |number| Cow::Owned(number.to_string().into_bytes()),
    u64 => |number| Cow::Owned(number.to_string().into_bytes()),
    usize => |number| Cow::Owned(number.to_string().into_bytes()),
}

impl<'r, const N: usize> IntoBytes<'r> for &'r [u8; N] {
    fn into_bytes(self) -> Cow<'r, [u8]> {
        Cow::Borrowed(self)
    }
}
