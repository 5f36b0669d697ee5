//! TLS contexts of listeners and clusters.

mod cluster;
mod common;
mod listener;
mod materials;

#[cfg(test)]
mod tests;

use crate::reader::Cursor;

pub(super) use cluster::cluster_context;
pub(super) use listener::{Tls, listener_tls};
pub(crate) use materials::Materials;

/// Sockets do not speak TLS yet, and clear text where TLS was asked for would
/// be worse than no start: a context that counts is an error, once everything
/// else that is wrong with it was said.
fn refuse(status: &Cursor<'_>) {
    status.unsupported("TLS is not available yet; expected `status` false or no TLS context, found true");
}
