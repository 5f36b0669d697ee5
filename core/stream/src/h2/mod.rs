//! HTTP/2 (RFC 9113): many streams on one connection.

mod client;
mod frames;
mod guard;
mod server;
mod server_stream;
mod settings;
mod tally;

pub(crate) use client::Cut;
pub use client::{ClientConnection, ClientStream, Noticed, Watcher};
pub use frames::PREFACE;
pub use guard::Guard;
pub use server::{ConnectionFault, ServerConnection};
pub use server_stream::{Incoming, ServerStream};
pub use settings::{FrameLimit, FrameLimits, Http2Settings, KeepAlive};
pub use tally::{Counts, FrameKind, Role};
