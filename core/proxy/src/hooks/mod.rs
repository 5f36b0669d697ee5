//! Parts of messages on their way past filters.

pub(crate) mod pending;
pub(crate) mod walk;

pub(crate) use walk::{Next, Step};
