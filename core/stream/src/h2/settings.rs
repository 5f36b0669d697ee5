//! The settings of a connection: in `api`, as clusters have them too.

pub use sidegate_api::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};
