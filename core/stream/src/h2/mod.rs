//! HTTP/2 (RFC 9113): many streams on one connection.

mod frames;
mod guard;
mod settings;
mod tally;

pub use frames::PREFACE;
pub use guard::Guard;
pub use settings::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};
pub use tally::{Counts, FrameKind, Role};
