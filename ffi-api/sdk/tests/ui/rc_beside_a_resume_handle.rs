//! A handle goes to any thread; what is not `Send` does not go with it.

use std::rc::Rc;

use sidegate_sdk::prelude::*;

fn thread(cx: &mut RequestHeaders<'_>, shared: Rc<u32>) -> HookResult {
    let handle = cx.resume_handle()?;
    std::thread::spawn(move || {
        let _ = shared;
        handle.resume()
    });
    Ok(Status::Pending)
}

fn queue() -> Result<Background<(ResumeHandle, Rc<u32>)>, ConfigError> {
    Background::start("queue", 1, |(handle, _): (ResumeHandle, Rc<u32>)| {
        let _ = handle.resume();
    })
}

fn main() {}
