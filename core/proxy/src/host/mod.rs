//! Hosts: which one, a connection to it, and what is counted of it.

pub(crate) mod choose;
pub(crate) mod connect;
mod count;
pub(crate) mod share;

pub(crate) use count::{ConnectionCount, RequestCount};
