//! HTTP/2 as a proxy has to read and write it, over the heads of the `h2`
//! crate, which has done the framing and the compression.
//!
//! As strict as [`http1`](crate::http1), and what comes out is in the same
//! normal form: nobody behind it can tell which of the two a message came in.

mod encode;
mod response;

pub use encode::{EncodeError, encode_request, encode_trailers};
pub use response::{Follows, decode_response};
