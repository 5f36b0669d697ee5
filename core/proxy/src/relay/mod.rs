//! Both directions of one attempt, in one poll function.

mod attempt;
mod bounds;
mod drive;
mod parts;
pub(crate) mod tunnel;

pub(crate) use attempt::Attempt;
pub(crate) use drive::{Goal, Reached, relay};
