//! Request heads, and hosts that lack something.

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::prelude::*;

/// Checks reading and writing of everything a request head has.
#[derive(Deserialize)]
struct Reader {}

impl RequestFilter for Reader {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        assert_eq!(cx.headers().get("HOST"), Some(&b"a.test"[..]));
        assert_eq!(cx.headers().get_all("x").count(), 12);
        assert!(cx.headers().get_all("x").eq((0..12)
            .map(|i| i.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(|s| s.as_bytes())));
        assert_eq!(cx.headers().get_all("y").collect::<Vec<_>>(), [b"one"]);
        assert_eq!(cx.headers().get_all("none").count(), 0);
        assert_eq!(cx.headers().iter().count(), 14);
        assert_eq!(cx.headers_mut().remove("X")?, 12);
        assert_eq!(cx.headers_mut().set("bad name", ""), Err(HostError::BadName));
        assert_eq!(cx.headers_mut().add("a", "b\r\nc: d"), Err(HostError::BadValue));
        assert_eq!(cx.response_mut().set("a", "b"), Err(HostError::NotNow));
        assert_eq!(cx.variable(Variable::Query), Some(&b"q=1"[..]));
        assert_eq!(cx.number(NumberVariable::Status), None);
        cx.set_variable(Variable::Path, "/other")?;
        assert_eq!(cx.variable_str(Variable::Target), Some("/other?q=1"));
        assert_eq!(cx.set_variable(Variable::Path, "other"), Err(HostError::BadValue));
        assert_eq!(cx.set_variable(Variable::Scheme, "https"), Err(HostError::NotNow));
        assert_eq!(cx.named("shared"), None);
        cx.set_named("shared", b"\0bytes")?;
        assert_eq!(cx.named("shared"), Some(&b"\0bytes"[..]));
        assert!(cx.set_reply(Reply::new(103)).is_err());
        assert!(cx.set_reply(Reply::new(200).header("connection", "close")).is_err());
        Ok(Status::Continue)
    }
}

#[test]
fn request_heads_are_read_and_written() {
    let host = TestHost::new::<Reader>(json!({})).unwrap();
    let values: Vec<String> = (0..12).map(|i| i.to_string()).collect();
    let mut headers: Vec<(&str, &str)> = values.iter().map(|value| ("X", value.as_str())).collect();
    headers.extend([("Host", "a.test"), ("Y", "one")]);
    let outcome = host.request("GET", "/path?q=1", &headers).run();
    assert_eq!(outcome.fault, None);
    let upstream = outcome.upstream.unwrap();
    assert_eq!((upstream.target.as_str(), upstream.authority.as_str()), ("/other?q=1", "a.test"));
    assert_eq!(upstream.headers, [("y".to_owned(), "one".to_owned())]);
}

/// Meets a host that lacks what it asks for.
#[derive(Deserialize)]
struct Lonely {}

impl RequestFilter for Lonely {
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        assert_eq!(cx.headers_mut().set("a", "b"), Err(HostError::Unsupported));
        assert_eq!(cx.headers().get("host"), None);
        assert_eq!(cx.resume_handle().err(), Some(HostError::Unsupported));
        cx.reply(Reply::new(200))
    }
}

#[test]
fn absent_host_functions_are_errors_and_short_tables_are_refused() {
    let mut table = table::HOST;
    table.header_set = None;
    table.header_get = None;
    table.resume_handle = None;
    table.reply = None;
    let host = TestHost::with_table::<Lonely>(table, json!({}), 1).unwrap();
    let outcome = host.request("GET", "/", &[]).run();
    assert_eq!(outcome.fault.as_deref(), Some("not supported by this host"));

    let mut table = table::HOST;
    table.size -= 8;
    let refused = TestHost::with_table::<Lonely>(table, json!({}), 1).unwrap_err();
    assert!(refused.message.contains("function table has"), "{refused}");
    let mut table = table::HOST;
    table.abi_major = 2;
    let refused = TestHost::with_table::<Lonely>(table, json!({}), 1).unwrap_err();
    assert_eq!(refused.message, "the host speaks ABI 2.0, expected 1.x");
}
