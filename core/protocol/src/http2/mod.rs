//! HTTP/2 as a proxy has to read and write it, over the heads of the `h2`
//! crate, which has done the framing and the compression.
//!
//! As strict as [`http1`](crate::http1), and what comes out is in the same
//! normal form: nobody behind it can tell which of the two a message came in.
//! What is written has no field that describes a connection.

mod encode;
mod encode_response;
mod fields;
mod names;
mod request;
mod response;
mod trailers;

pub use encode::{EncodeError, LastAuthority, encode_request, encode_trailers};
pub use encode_response::{encode_interim, encode_response};
pub use request::decode_request;
pub use response::{Follows, decode_response};
pub use trailers::decode_trailers;
