//! HTTP/1.0 and HTTP/1.1: one message after the other on a connection.

mod body;
mod client;
mod out;
mod server;

pub use client::Client;
pub use server::{Server, ServerError};
