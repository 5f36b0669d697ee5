//! Why a message was refused.

/// A request head was refused. The connection cannot be used for another
/// request: where this one ends is not known for certain.
///
/// The head then holds what was understood before the fault, for the access
/// log; an empty target means that even the request line was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request refused with {status}: {details}")]
pub struct RequestError {
    /// Status to answer with.
    pub status: u16,
    /// The reason in one word.
    pub details: &'static str,
}

/// A response head was refused; a proxy answers 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("response refused: {details}")]
pub struct ResponseError {
    /// The reason in one word.
    pub details: &'static str,
}

/// A body was refused or ended too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("body refused with {status}: {details}")]
pub struct BodyError {
    /// Status to answer with if it was a request's body and no answer has
    /// begun.
    pub status: u16,
    /// The reason in one word.
    pub details: &'static str,
}

impl RequestError {
    pub(crate) const fn new(status: u16, details: &'static str) -> Self {
        RequestError { status, details }
    }

    pub(crate) const fn bad(details: &'static str) -> Self {
        RequestError { status: 400, details }
    }
}

impl From<RequestError> for ResponseError {
    /// For rules that requests and responses share.
    fn from(error: RequestError) -> Self {
        ResponseError { details: error.details }
    }
}

impl BodyError {
    pub(crate) const fn bad(details: &'static str) -> Self {
        BodyError { status: 400, details }
    }

    pub(crate) const fn too_large(details: &'static str) -> Self {
        BodyError { status: 413, details }
    }
}
