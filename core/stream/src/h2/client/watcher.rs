//! What is told of an upstream connection, and to whom.

use crate::OnClose;
use crate::h2::FrameKind;

/// Why a connection ended that we ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A ping was not answered.
    Silent,
    /// It sent too many frames of a kind.
    Flood(FrameKind),
}

/// What happened on a connection, for who counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// The host said that it takes no more requests on it.
    GoAway,
    /// The host said that it has not looked at a request.
    NotProcessed,
    /// A ping was not answered.
    PingTimedOut,
    /// It sent too many frames of a kind.
    Flood(FrameKind),
}

/// Told what happens on a connection.
pub trait Watcher: OnClose {
    /// This has happened.
    fn noticed(&self, what: Noticed);
}
