//! TLS contexts of listeners and clusters.

mod brought;
mod cluster;
mod common;
mod listener;
mod materials;

#[cfg(test)]
mod tests;

pub(super) use cluster::cluster_context;
pub(super) use listener::{Tls, listener_tls};
pub use materials::ContextMaker;
pub(crate) use materials::Materials;
