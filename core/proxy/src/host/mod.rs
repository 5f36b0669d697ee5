//! Hosts: which one, a connection to it, and what is counted of it.

mod asker;
pub(crate) mod choose;
pub(crate) mod connect;
mod count;
mod dial;
mod forward;
mod share;

pub(crate) use asker::{Asker, pause};
pub(crate) use count::{ConnectionCount, RequestCount};
pub(crate) use forward::Forward;
