//! What an endpoint answers.

use serde_json::Value;
use sidegate_api::ResponseHead;
use sidegate_protocol::http1::ResponseFraming;
use sidegate_telemetry::PageFormat;

use crate::SourceError;

/// Status, type and body.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    content_type: &'static str,
    body: String,
    /// Set for 405.
    allow: Option<&'static str>,
}

impl Reply {
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut body = text.into();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push('\n');
        }
        Reply { status, content_type: "text/plain; charset=utf-8", body, allow: None }
    }

    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self::text(200, text)
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::text(400, text)
    }

    pub(crate) fn json(value: &Value) -> Self {
        Reply { status: 200, content_type: "application/json", body: format!("{value:#}\n"), allow: None }
    }

    /// A page of metrics.
    pub(crate) fn metrics(text: String, format: PageFormat) -> Self {
        Reply { status: 200, content_type: format.content_type(), body: text, allow: None }
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let text = format!("method not allowed; use {allow}");
        Reply { allow: Some(allow), ..Self::text(405, text) }
    }

    /// What to send; to HEAD without the body that the length speaks of.
    pub(crate) fn into_parts(self, to_head: bool) -> (ResponseHead, ResponseFraming, String) {
        let mut head = ResponseHead { status: self.status, ..ResponseHead::default() };
        let length = self.body.len().to_string();
        let fields = [
            ("content-type", Some(self.content_type)),
            ("cache-control", Some("no-store")),
            ("x-content-type-options", Some("nosniff")),
            ("allow", self.allow),
            ("content-length", Some(&*length)),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                // So few and short ones always fit.
                let _ = head.headers.add(name.as_bytes(), value.as_bytes());
            }
        }
        match to_head {
            true => (head, ResponseFraming::NoBody, String::new()),
            false => (head, ResponseFraming::Length(self.body.len() as u64), self.body),
        }
    }
}

impl From<SourceError> for Reply {
    fn from(error: SourceError) -> Self {
        let status = match error {
            SourceError::NotFound(_) => 404,
            SourceError::BadRequest(_) => 400,
        };
        Self::text(status, error.to_string())
    }
}
