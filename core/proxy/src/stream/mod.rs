//! A stream: what all its phases share, whatever it does just now.

mod body;
pub(crate) mod client;
pub(crate) mod complete;
mod cookie;
pub(crate) mod held;
mod kit;
pub(crate) mod measured;
pub(crate) mod pace;
mod retry;
mod shared;
mod timers;
mod way;

pub(crate) use body::{Collected, Content, RequestBody, ResponseBody};
pub(crate) use client::ClientSide;
pub(crate) use cookie::NewCookie;
pub(crate) use held::{Held, PendingCount, SPARE_BYTES};
pub(crate) use kit::Kit;
pub(crate) use pace::Pace;
pub(crate) use retry::Retry;
pub(crate) use shared::{Answer, Arrival, Fate, Stream};
pub(crate) use timers::Timers;
pub(crate) use way::{Collecting, RequestWay, ResponseWay, Watched};
