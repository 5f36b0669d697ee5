//! What the host lends is gone when the stream is changed.

use sidegate_sdk::prelude::*;

fn header(cx: &mut RequestHeaders<'_>) -> HookResult {
    let user = cx.headers().get("user");
    cx.headers_mut().remove("user")?;
    drop(user);
    Ok(Status::Continue)
}

fn within_one_view(cx: &mut RequestHeaders<'_>) -> HookResult {
    let mut headers = cx.headers_mut();
    let user = headers.get("user");
    headers.set("user", "other")?;
    drop(user);
    Ok(Status::Continue)
}

fn all_fields(cx: &mut RequestHeaders<'_>) -> HookResult {
    for (name, _) in cx.headers() {
        cx.headers_mut().remove(name)?;
    }
    Ok(Status::Continue)
}

fn variable(cx: &mut RequestHeaders<'_>) -> HookResult {
    let path = cx.path();
    cx.set_variable(Variable::Path, "/other")?;
    drop(path);
    Ok(Status::Continue)
}

fn named(cx: &mut RequestHeaders<'_>) -> HookResult {
    let tenant = cx.named("tenant");
    cx.set_named("tenant", "other")?;
    drop(tenant);
    Ok(Status::Continue)
}

fn main() {}
