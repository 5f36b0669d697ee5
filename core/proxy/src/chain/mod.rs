//! The filters of one stream, and the calls into them.

mod filter_chain;
mod hook;
mod waiting;

pub(crate) use filter_chain::{CallEnv, FilterChain, Verdict};
use filter_chain::{discard, report};
pub(crate) use hook::Hook;
