//! Codecs: they turn bytes into heads and bodies and back. They do no I/O
//! and allocate nothing for an ordinary message, so they can be driven by any
//! transport, tested with plain byte slices and fuzzed.

#![forbid(unsafe_code)]

pub mod http1;
pub mod http2;
