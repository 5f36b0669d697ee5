//! What an endpoint answers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::Value;
use sidegate_telemetry::PageFormat;

use crate::SourceError;

/// Status, type and body.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    /// Set for 405.
    allow: Option<&'static str>,
}

impl Reply {
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut body = text.into();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push('\n');
        }
        Reply { status, content_type: "text/plain; charset=utf-8", body, allow: None }
    }

    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self::text(StatusCode::OK, text)
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn json(value: &Value) -> Self {
        Reply { status: StatusCode::OK, content_type: "application/json", body: format!("{value:#}\n"), allow: None }
    }

    /// A page of metrics.
    pub(crate) fn metrics(text: String, format: PageFormat) -> Self {
        Reply { status: StatusCode::OK, content_type: format.content_type(), body: text, allow: None }
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let text = format!("method not allowed; use {allow}");
        Reply { allow: Some(allow), ..Self::text(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<SourceError> for Reply {
    fn from(error: SourceError) -> Self {
        let status = match error {
            SourceError::NotFound(_) => StatusCode::NOT_FOUND,
            SourceError::BadRequest(_) => StatusCode::BAD_REQUEST,
        };
        Self::text(status, error.to_string())
    }
}
