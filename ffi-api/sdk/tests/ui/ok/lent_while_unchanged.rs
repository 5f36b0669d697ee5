//! What may be kept: everything, until a change; settings, across changes.

#![forbid(unsafe_code)]

use sidegate_sdk::prelude::*;

fn hook(cx: &mut RequestHeaders<'_>) -> HookResult {
    let max = cx.route_config::<u64>().copied();
    let state = cx.worker_state::<std::cell::Cell<u64>>();
    let (user, path, all) = (cx.headers().get("user"), cx.path(), cx.headers().get_all("a"));
    assert!(user.is_some() && path.is_some() && all.count() == 0);
    cx.headers_mut().set("max", format!("{max:?}"))?;
    if let Some(state) = state {
        state.set(1);
    }
    let handle = cx.resume_handle()?;
    std::thread::spawn(move || handle.resume());
    Ok(Status::Pending)
}

fn main() {
    let _ = hook;
}
