//! How far each body has come through the filters.

use sidegate_api::BodyBuffer;

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
