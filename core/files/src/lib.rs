//! Files whose names an operator wrote down, and that may be something else
//! than they seem: what is read is a regular file of bounded size, and what is
//! removed is the socket that this process made.

#![forbid(unsafe_code)]

mod regular;
mod socket_file;
mod way;

pub use regular::{ReadError, read_bounded, read_regular};
pub use socket_file::{SocketFile, remove_stale};
pub use way::{Step, find_on_way};
