//! Nothing of an ended stream can be changed.

use sidegate_sdk::prelude::*;

fn on_complete(cx: &mut Complete<'_>) {
    let _ = cx.set_named("late", "1");
    let _ = cx.request_mut();
    let _ = cx.resume_handle();
}

fn main() {}
