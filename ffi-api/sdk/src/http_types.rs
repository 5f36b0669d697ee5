//! The types of the `http` crate, for filters that already speak them. Header
//! names and values of that crate go wherever this one takes bytes.

use std::borrow::Cow;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use crate::{Headers, IntoBytes, Reply, ReplyStatus, Stream};

impl<'a> Stream<'a> {
    /// The method as the `http` crate has it. Feature `http`.
    ///
    /// ```
    /// # use sidegate_sdk::{prelude::*, testing::TestHost};
    /// # #[derive(serde::Deserialize)] struct ReadOnly {}
    /// # impl RequestFilter for ReadOnly {
    /// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
    ///     match cx.http_method() {
    ///         Some(method) if method.is_safe() => Ok(Status::Continue),
    ///         _ => cx.reply(Reply::new(http::StatusCode::METHOD_NOT_ALLOWED).header(http::header::ALLOW, "GET, HEAD")),
    ///     }
    /// }
    /// # }
    /// # let host = TestHost::new::<ReadOnly>(serde_json::json!({})).unwrap();
    /// assert_eq!(host.request("DELETE", "/", &[]).run().response.unwrap().header("allow"), Some("GET, HEAD"));
    /// ```
    pub fn http_method(&self) -> Option<Method> {
        Method::from_bytes(self.variable(crate::Variable::Method)?).ok()
    }

    /// Path and query as a URI. Feature `http`.
    pub fn http_uri(&self) -> Option<Uri> {
        Uri::try_from(self.variable(crate::Variable::Target)?).ok()
    }
}

impl<'s> Headers<'s> {
    /// A copy of all fields. Feature `http`.
    ///
    /// ```
    /// # use sidegate_sdk::{prelude::*, testing::TestHost};
    /// # #[derive(serde::Deserialize)] struct Count {}
    /// # impl RequestFilter for Count {
    /// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
    ///     let all: http::HeaderMap = cx.headers().to_http();
    ///     assert_eq!(all[http::header::HOST], "example.test");
    ///     Ok(Status::Continue)
    /// }
    /// # }
    /// # let host = TestHost::new::<Count>(serde_json::json!({})).unwrap();
    /// # assert_eq!(host.request("GET", "/", &[]).run().fault, None);
    /// ```
    pub fn to_http(&self) -> HeaderMap {
        let field = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?));
        let mut map = HeaderMap::new();
        for (name, value) in self.iter().filter_map(field) {
            map.append(name, value);
        }
        map
    }
}

impl ReplyStatus for StatusCode {
    fn code(self) -> u16 {
        self.as_u16()
    }
}

/// Status, fields and body of an `http` response. Feature `http`.
impl<'r, B: AsRef<[u8]>> From<&'r ::http::Response<B>> for Reply<'r> {
    fn from(response: &'r ::http::Response<B>) -> Self {
        let reply = Reply::new(response.status()).body(response.body().as_ref());
        response.headers().iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

impl<'r> IntoBytes<'r> for HeaderName {
    fn into_bytes(self) -> Cow<'r, [u8]> {
        Cow::Owned(self.as_str().as_bytes().to_vec())
    }
}

impl<'r> IntoBytes<'r> for &'r HeaderName {
    fn into_bytes(self) -> Cow<'r, [u8]> {
        Cow::Borrowed(self.as_str().as_bytes())
    }
}

impl<'r> IntoBytes<'r> for HeaderValue {
    fn into_bytes(self) -> Cow<'r, [u8]> {
        Cow::Owned(self.as_bytes().to_vec())
    }
}

impl<'r> IntoBytes<'r> for &'r HeaderValue {
    fn into_bytes(self) -> Cow<'r, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}
