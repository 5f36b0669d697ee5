//! Downstream connections, from their first byte to their last.

pub(crate) mod h1;
