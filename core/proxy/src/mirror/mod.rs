//! Copies of requests for other clusters.

mod copy;
pub(crate) mod fan;
