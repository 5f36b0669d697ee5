use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
pub struct Guard {
    user: String,
}

impl RequestFilter for Guard {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        if cx.headers().contains("x-terminate") {
            return Ok(Status::Terminate);
        }
        if cx.headers().contains("x-fault") {
            return Err(Fault::new("asked for a fault"));
        }
        if cx.headers().get_all("User").any(|value| value == self.user.as_bytes()) {
            return Ok(Status::Continue);
        }
        cx.reply(Reply::text(403, "forbidden\n"))
    }
}
