//! The filters of `../../v1.0/c` on the safe SDK of today: `guard`, `whole`,
//! `stream`, `wait`, `worker`. What each does is said in the files in C.

#![forbid(unsafe_code)]

mod body;
mod guard;
mod wait;
mod worker;

sidegate_sdk::export! {
    "guard" => guard::Guard,
    "whole" => body::Whole,
    "stream" => body::Chunks,
    "wait" => wait::Waiter,
    "worker" => worker::Worker,
}
