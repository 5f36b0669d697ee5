//! What an endpoint answers.

use std::fmt;
use std::pin::Pin;

use serde_json::Value;
use sidegate_api::ResponseHead;
use sidegate_protocol::http1::ResponseFraming;
use sidegate_telemetry::{Page, PageFormat};

use crate::SourceError;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Status, type and body.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    content_type: &'static str,
    body: ReplyBody,
    /// Set for 405.
    allow: Option<String>,
    /// A strong one, with its quotes.
    etag: Option<String>,
}

/// The bytes of a body.
pub(crate) enum ReplyBody {
    /// All of them.
    Whole(String),
    /// Too many to have at once: each piece is made when the one before is
    /// written.
    Pieces(Box<dyn Iterator<Item = String> + Send>),
}

/// A reply, or the work that ends with one.
pub(crate) enum Answer {
    /// It is there.
    Now(Reply),
    /// Somebody else works on it. It goes on if the client does not wait.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer::Now(reply)
    }
}

impl Reply {
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut body = text.into();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push('\n');
        }
        Reply { status, content_type: TEXT, body: ReplyBody::Whole(body), allow: None, etag: None }
    }

    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self::text(200, text)
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::text(400, text)
    }

    pub(crate) fn json(value: &Value) -> Self {
        let body = ReplyBody::Whole(format!("{value:#}\n"));
        Reply { status: 200, content_type: JSON, body, allow: None, etag: None }
    }

    /// The same, of text that comes in pieces.
    pub(crate) fn json_pieces(pieces: impl Iterator<Item = String> + Send + 'static) -> Self {
        Self::pieces(JSON, pieces)
    }

    /// Lines that come in pieces.
    pub(crate) fn lines(pieces: impl Iterator<Item = String> + Send + 'static) -> Self {
        Self::pieces(TEXT, pieces)
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Reply { status, ..self }
    }

    /// The same with an entity tag, which needs no escaping.
    pub(crate) fn with_etag(self, tag: &str) -> Self {
        Reply { etag: Some(format!("\"{tag}\"")), ..self }
    }

    /// A page of metrics.
    pub(crate) fn metrics(page: Page, format: PageFormat) -> Self {
        Self::pieces(format.content_type(), page)
    }

    fn pieces(content_type: &'static str, mut pieces: impl Iterator<Item = String> + Send + 'static) -> Self {
        // One piece is the rule, and its length can be told.
        let first = pieces.next().unwrap_or_default();
        let body = match pieces.next() {
            None => ReplyBody::Whole(first),
            Some(second) => ReplyBody::Pieces(Box::new([first, second].into_iter().chain(pieces))),
        };
        Reply { status: 200, content_type, body, allow: None, etag: None }
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let text = format!("method not allowed; use {allow}");
        Reply { allow: Some(allow), ..Self::text(405, text) }
    }

    /// What to send; to HEAD without the body that the length speaks of.
    pub(crate) fn into_parts(self, to_head: bool) -> (ResponseHead, ResponseFraming, ReplyBody) {
        let mut head = ResponseHead { status: self.status, ..ResponseHead::default() };
        let (framing, length) = match &self.body {
            ReplyBody::Whole(body) => (ResponseFraming::Length(body.len() as u64), Some(body.len().to_string())),
            ReplyBody::Pieces(_) => (ResponseFraming::Chunked, None),
        };
        let fields = [
            ("content-type", Some(self.content_type)),
            ("cache-control", Some("no-store")),
            ("x-content-type-options", Some("nosniff")),
            ("allow", self.allow.as_deref()),
            ("etag", self.etag.as_deref()),
            ("content-length", length.as_deref()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                // So few and short ones always fit.
                let _ = head.headers.add(name.as_bytes(), value.as_bytes());
            }
        }
        match to_head {
            true => (head, ResponseFraming::NoBody, ReplyBody::Whole(String::new())),
            false => (head, framing, self.body),
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyBody::Whole(body) => f.debug_tuple("Whole").field(body).finish(),
            ReplyBody::Pieces(_) => f.write_str("Pieces(..)"),
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
