//! Both directions of one attempt, in one poll function.

mod attempt;
pub(crate) mod bounds;
pub(crate) mod collect;
pub(crate) mod download;
pub(crate) mod drive;
pub(crate) mod tunnel;
pub(crate) mod upload;

pub(crate) use attempt::Attempt;
pub(crate) use drive::Event;
