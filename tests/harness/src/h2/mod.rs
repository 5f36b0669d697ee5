//! HTTP/2 peers: some that keep the rules, over the crate `h2`, and one whose
//! frames the test decides.

mod client;
mod driver;
mod frames;
mod head;
mod hpack;
mod origin;

use std::fmt;

pub use client::{H2Client, H2Stream};
pub use frames::{Ending, Frame, Frames, code, flag, kind, setting};
pub use hpack::{block, literal};
pub use origin::{H2Exchange, H2Origin};

/// Why a stream came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum H2Error {
    /// The peer reset the stream with this error code.
    Reset(u32),
    /// The peer ended the connection with this error code.
    GoneAway(u32),
    /// The connection ended otherwise, or the peer broke a rule.
    Closed(String),
    /// Nothing came in time.
    Timeout,
}

impl From<h2::Error> for H2Error {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_remote() && error.is_reset() => H2Error::Reset(reason.into()),
            Some(reason) if error.is_remote() && error.is_go_away() => H2Error::GoneAway(reason.into()),
            _ => H2Error::Closed(error.to_string()),
        }
    }
}

impl fmt::Display for H2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            H2Error::Reset(code) => write!(f, "stream reset with code {code}"),
            H2Error::GoneAway(code) => write!(f, "GOAWAY with code {code}"),
            H2Error::Closed(why) => write!(f, "connection ended: {why}"),
            H2Error::Timeout => f.write_str("timed out"),
        }
    }
}

#[cfg(test)]
mod tests;
