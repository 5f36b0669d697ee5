//! Built-in stream filters. Each is registered by the server under its type.

#![forbid(unsafe_code)]

mod demo;

pub use demo::DemoBuilder;
