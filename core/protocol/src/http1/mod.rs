//! HTTP/1.0 and HTTP/1.1 as a proxy has to read and write them.
//!
//! The decoders are strict: whatever two parsers might understand differently
//! (line ends, lengths, codings, hosts, chunk sizes) is refused, and what
//! belongs to one connection only is removed before anyone sees the message.
//! What they hand out is in one normal form: path without dot segments,
//! authority instead of `host`, at most one `content-length`.
//!
//! Field names with `_` that would read as a framing or identity field if `_`
//! were `-` (`X_Forwarded_For`) are dropped: CGI-like upstreams cannot tell
//! the two apart, so such a name could smuggle in what the proxy writes.

pub(crate) mod authority;
mod body;
mod chunk_line;
mod date;
mod encode;
pub(crate) mod error;
pub(crate) mod fields;
mod head_search;
mod lines;
mod reason;
pub(crate) mod request;
mod response;
pub(crate) mod target;
mod trailers;
mod upgrade;

pub use body::{BodyDecoder, BodyStep, Gathered};
pub use date::{DateCache, http_date};
pub use encode::{
    CHUNK_END, CONTINUE, ChunkPrefix, ResponseFraming, encode_last_chunk, encode_request_head, encode_response_head,
};
pub use error::{BodyError, RequestError, ResponseError};
pub use reason::reason_phrase;
pub use request::{RequestDecoder, RequestMeta, only_blank_lines};
pub use response::{ResponseDecoder, ResponseMeta};
pub use upgrade::{Upgrade, UpgradeProtocol};

use sidegate_api::Slashes;

/// What a peer may send at most, and how its paths are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Slashes that follow each other in a request's path.
    pub slashes: Slashes,
    /// Bytes of a head, from the first byte of its first line to the end of
    /// the blank line.
    pub max_head_bytes: usize,
    /// Fields in a head, and in a trailer section.
    pub max_headers: usize,
    /// Bytes of a body after decoding.
    pub max_body: Option<u64>,
    /// Bytes after the size in one chunk line. All lines of a body together
    /// may have sixteen times that plus as many bytes as the body itself, so
    /// that one-byte chunks with extensions stay bounded.
    pub max_chunk_extension_bytes: usize,
    /// Bytes of a trailer section, line ends included.
    pub max_trailer_bytes: usize,
    /// Whether somebody wants to know how field names were written.
    pub spelling: Spelling,
    /// Which bytes a request's target may have.
    pub target_bytes: TargetBytes,
}

/// What becomes of the case of field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// It is forgotten.
    #[default]
    Forget,
    /// It can be asked for beside the names, which are in lower case.
    Keep,
}

/// Bytes of a request's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetBytes {
    /// ASCII: the rest must be percent-encoded (RFC 3986).
    #[default]
    Strict,
    /// UTF-8, which some clients send as it is, passes as sent.
    Lenient,
}

/// How exactly a sender keeps to the grammar of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Grammar {
    /// To the letter. Requests always are: what two parsers understand
    /// differently is how they are smuggled.
    #[default]
    Strict,
    /// Blanks may stand behind a chunk's size, as some servers pad it.
    Padded,
    /// As that, and lines may end with LF alone.
    BareLineFeeds,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            slashes: Slashes::default(),
            max_head_bytes: 8192,
            max_headers: 100,
            max_body: None,
            max_chunk_extension_bytes: 256,
            max_trailer_bytes: 4096,
            spelling: Spelling::Forget,
            target_bytes: TargetBytes::Strict,
        }
    }
}

/// What decoding a head came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<M> {
    /// More bytes are needed; none were consumed. Call again with the same
    /// bytes and more after them.
    Partial,
    /// The head is complete.
    Complete {
        /// Bytes of the buffer that the head took.
        consumed: usize,
        /// What does not belong into the head itself.
        meta: M,
    },
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes follow.
    Length(u64),
    /// `transfer-encoding: chunked`
    Chunked,
    /// Whatever comes until the peer closes (responses only).
    UntilClose,
}

/// Whether a connection can carry another message after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It can.
    KeepAlive,
    /// It is closed after this message.
    Close,
}

/// Whether a request's sender takes trailers with the response (`TE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trailers {
    /// It does not say so.
    #[default]
    Unasked,
    /// It says so, for itself and whoever is behind it.
    Wanted,
}

/// What a request's sender wants to see before it sends the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    None,
    /// `100 Continue`.
    Continue,
}
