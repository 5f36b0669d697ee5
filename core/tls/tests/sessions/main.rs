//! Sessions between two sides in memory: what they agree on, and what they
//! refuse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod agreement;
mod certificates;
mod choice;
mod floods;
mod hostile;
mod identities;
mod resumption;
mod revocation;
mod support;
mod traffic;
