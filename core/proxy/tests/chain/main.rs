//! The filter chain and the data path, driven over real sockets: scripted
//! filters in front of scripted origins, one process, no binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

mod changes;
mod choices;
mod connections;
mod counts;
mod early;
mod endings;
mod faults;
mod listeners;
mod mirrors;
mod order;
mod pending;
mod refusals;
mod replays;
mod request_bodies;
mod response_bodies;
mod retries;
mod slots;
mod statuses;
mod trailers;
mod tunnels;
mod upstream;
mod variables;
mod wishes;
