//! Several filters in one module, in an edition that wants `unsafe` in
//! attributes spelled out.

#![forbid(unsafe_code)]

use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct One {}

#[derive(serde::Deserialize)]
struct Two {}

impl RequestFilter for One {
    fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult {
        Ok(Status::Continue)
    }
}

impl RequestFilter for Two {
    fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult {
        Ok(Status::Continue)
    }
}

sidegate_sdk::export! {
    "one" => One,
    "two" => Two,
}

fn main() {}
