//! Who a client of TLS is.

use sidegate_sdk::prelude::*;

/// Shows the client's certificate as `x-peer-…` of the request, and refuses
/// whoever has none with 403 where `required` says so.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    #[serde(default)]
    required: bool,
}

impl RequestFilter for Peer {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        if self.required && cx.variable_str(Variable::TlsPeerVerified) != Some("true") {
            return cx.reply(Reply::new(403));
        }
        for (name, variable) in [
            ("x-peer-verified", Variable::TlsPeerVerified),
            ("x-peer-subject", Variable::TlsPeerSubject),
            ("x-peer-uri", Variable::TlsPeerUriSan),
            ("x-peer-spiffe", Variable::TlsPeerSpiffeId),
            ("x-peer-serial", Variable::TlsPeerSerial),
            ("x-peer-version", Variable::TlsVersion),
        ] {
            let value = cx.variable_str(variable).unwrap_or("-").to_owned();
            cx.headers_mut().set(name, value)?;
        }
        Ok(Status::Continue)
    }
}
