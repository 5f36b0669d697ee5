//! Our own protocol, `sidegate.plugin.v1`: every hook of a filter, for many HTTP
//! streams over one call.
//!
//! ```text
//!  settings                what the configuration says
//!  factory ▸ filter        a stream on its worker: which hook is told when
//!      ▸ encode, apply     from a stream to bytes, from an answer to a stream
//!  order                   what goes from a worker to the session, and back
//!  session ▸ table         the call, on the same worker; whose answer is whose
//! ```

mod apply;
mod encode;
mod factory;
mod filter;
mod hook;
mod known;
mod order;
mod session;
mod settings;
mod table;

pub(crate) use factory::StreamingFactory;
pub(crate) use settings::{STREAMING, StreamingSettings};
