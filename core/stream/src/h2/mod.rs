//! HTTP/2 (RFC 9113): many streams on one connection.

mod settings;

pub use settings::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};
