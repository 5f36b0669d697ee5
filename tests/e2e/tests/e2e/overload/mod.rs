//! What the proxy does when something runs short.

mod memory;
