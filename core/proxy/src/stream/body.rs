//! How far each body has come through the filters.

use sidegate_api::{BodyBuffer, EndOfStream};

/// One direction's body on its way through the filters that want it.
#[derive(Debug, Default)]
pub(crate) struct BodyPass {
    /// What there is of it outside the connection's buffer.
    pub(crate) hold: Hold,
    /// Bytes collected for a filter that wants all of them.
    pub(crate) whole: BodyBuffer,
    /// Filters (counted in the order in which they see this body) that a held
    /// body has passed.
    pub(crate) passed: usize,
}

/// Where a body's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hold {
    /// Still on the connection.
    #[default]
    Streaming,
    /// All of it, with its trailers, is in the stream's buffer.
    Whole,
    /// There is none but what filters put into the stream's buffer.
    Empty,
}

impl BodyPass {
    /// Whether all that there is of the body is in the stream's buffer.
    pub(crate) fn is_held(&self) -> bool {
        self.hold != Hold::Streaming
    }
}

/// How far the request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The next part of the body is wanted from the client.
    Reading,
    /// What a former attempt sent is on its way again; so much of it went.
    Again(usize),
    /// So many bytes of the client's buffer are on their way.
    Direct(usize),
    /// The stream's buffer is on its way; then more, or the end.
    Buffered(EndOfStream),
    /// All bytes are known; what waits is written out.
    Flushing,
    /// Everything is sent.
    Done,
    /// The upstream takes no more; its response may still come.
    Broken,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Download {
    /// The head is wanted.
    Head,
    /// As that, once the client has taken an informational response.
    Interim,
    /// The next part of the body is wanted.
    Reading,
    /// So many bytes of the upstream's buffer are on their way.
    Direct(usize),
    /// The stream's buffer is on its way; then more, or the end.
    Buffered(EndOfStream),
    /// All bytes are known; what waits is written out.
    Flushing,
}

impl Upload {
    /// Whether there is anything left to do. Asked before a call that would
    /// find out the same.
    #[inline]
    pub(crate) fn goes_on(self) -> bool {
        !matches!(self, Upload::Done | Upload::Broken)
    }

    /// What is left, without what was sent; `rest` where that is for the
    /// attempt to say.
    pub(crate) fn left(self, rest: Upload) -> Upload {
        match self {
            Upload::Again(_) | Upload::Broken => rest,
            Upload::Flushing | Upload::Done => Upload::Flushing,
            Upload::Reading | Upload::Direct(_) | Upload::Buffered(_) => self,
        }
    }
}
