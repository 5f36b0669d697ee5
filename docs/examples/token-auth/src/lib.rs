#![forbid(unsafe_code)]

use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Auth {
    token: String,
}

impl RequestFilter for Auth {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        match cx.headers().get("x-token") {
            Some(token) if token == self.token.as_bytes() => Ok(Status::Continue),
            _ => cx.reply(Reply::text(403, "forbidden\n")),
        }
    }
}

sidegate_sdk::export!(Auth);

#[cfg(test)]
mod tests {
    use super::*;
    use sidegate_sdk::testing::TestHost;

    #[test]
    fn asks_for_the_token() {
        let host = TestHost::new::<Auth>(serde_json::json!({"token": "s3cret"})).unwrap();
        assert_eq!(host.request("GET", "/", &[]).run().status(), Some(403));
        assert_eq!(host.request("GET", "/", &[("x-token", "s3cret")]).run().status(), Some(200));
    }
}
