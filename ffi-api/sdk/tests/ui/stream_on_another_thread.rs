//! A stream belongs to its worker's thread.

use sidegate_sdk::prelude::*;

fn hook(cx: &mut RequestHeaders<'_>) {
    std::thread::scope(|scope| {
        scope.spawn(|| cx.is_end());
    });
}

fn main() {}
