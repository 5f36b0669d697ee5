//! Lets a request through if it carries every configured header with the
//! configured value, and answers 403 otherwise.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use sidegate_sdk::prelude::*;

/// Required value by header name: `{"User": "admin"}`. Names are compared
/// without case, values exactly; of several fields of one name all must match.
#[derive(serde::Deserialize)]
struct Auth(BTreeMap<String, String>);

impl RequestFilter for Auth {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        for (name, value) in &self.0 {
            let matches = |found: &[u8]| found == value.as_bytes();
            let mut values = cx.headers().get_all(name);
            // Which of several the upstream looks at is not known here.
            if !values.next().is_some_and(matches) || !values.all(matches) {
                return cx.reply(Reply::text(403, "forbidden\n"));
            }
        }
        Ok(Status::Continue)
    }
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(Auth);

#[cfg(test)]
mod tests;
