//! Body bytes are lent without copying, so a change takes them away.

use sidegate_sdk::prelude::*;

fn slices(cx: &mut RequestBody<'_>) -> HookResult {
    let slices = cx.body().slices()?;
    cx.body_mut().drain(1)?;
    drop(slices);
    Ok(Status::Continue)
}

fn within_one_view(cx: &mut ResponseBody<'_>) -> HookResult {
    let mut body = cx.body_mut();
    let slices = body.as_ref().slices()?;
    body.append("more")?;
    drop(slices);
    Ok(Status::Continue)
}

fn main() {}
