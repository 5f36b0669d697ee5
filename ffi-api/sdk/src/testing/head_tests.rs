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
    // The last function of 1.0 is missing.
    table.size = std::mem::offset_of!(abi::HostTable, fault) as u64;
    let refused = TestHost::with_table::<Lonely>(table, json!({}), 1).unwrap_err();
    assert!(refused.message.contains("function table has"), "{refused}");
    let mut table = table::HOST;
    table.abi_major = 2;
    let refused = TestHost::with_table::<Lonely>(table, json!({}), 1).unwrap_err();
    assert_eq!(refused.message, "the host speaks ABI 2.1, expected 1.x");
}

/// Sets the replies that the request names, one after the other, does not look
/// at what it is answered, and then does what `x-then` says.
struct Guard;

struct GuardFilter;

impl FilterFactory for Guard {
    type Config = NoConfig;
    type Filter<'f> = GuardFilter;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Guard)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> GuardFilter {
        GuardFilter
    }
}

fn guard(cx: &mut Stream<'_>, hook: &[u8]) -> HookResult {
    if cx.request().get("x-in") != Some(hook) {
        return Ok(Status::Continue);
    }
    let replies = String::from_utf8_lossy(cx.request().get("x-reply").unwrap_or_default()).into_owned();
    let then = cx.request().get("x-then").map(<[u8]>::to_vec);
    for reply in replies.split(", ") {
        let (status, field) = reply.split_once(' ').unwrap_or((reply, "x-ok"));
        let _ = cx.set_reply(Reply::new(status.parse::<u16>().unwrap()).header(field, "1"));
    }
    match then.as_deref() {
        Some(b"stop") => Ok(Status::Stop),
        Some(b"pending") => cx.resume_handle()?.resume().map(|()| Status::Pending).map_err(Into::into),
        Some(b"terminate") => Ok(Status::Terminate),
        Some(b"fault") => bail!("on purpose"),
        Some(b"panic") => panic!("on purpose"),
        _ => Ok(Status::Continue),
    }
}

impl Filter for GuardFilter {
    const HOOKS: Hooks =
        Hooks::new().request_headers(Phase::BeforeRoute).response_headers().response_body(BodyMode::Observe);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        guard(cx, b"request")
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        guard(cx, b"response")
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        guard(cx, b"response-body")
    }
}

/// Wants what its configuration says, which may be nothing.
struct Idle(Hooks);

struct IdleFilter;

impl FilterFactory for Idle {
    type Config = std::collections::BTreeMap<String, bool>;
    type Filter<'f> = IdleFilter;

    fn new(config: Self::Config, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Idle(if config.is_empty() { Hooks::new() } else { Hooks::new().complete() }))
    }

    fn filter(&self, _: &FilterEnv<'_>) -> IdleFilter {
        IdleFilter
    }

    fn hooks(&self) -> Hooks {
        self.0
    }
}

impl Filter for IdleFilter {
    const HOOKS: Hooks = Hooks::new();
}

#[test]
fn a_filter_that_wants_nothing_is_refused() {
    assert!(TestHost::new::<Idle>(json!({"complete": true})).is_ok());
    let refused = TestHost::new::<Idle>(json!({})).unwrap_err();
    assert!(refused.message.contains("would never be called"), "{refused:?}");
}

#[test]
fn a_reply_that_does_not_go_out_lets_nothing_pass() {
    let host = TestHost::new::<Guard>(json!({})).unwrap();
    let run = |hook: &str, reply: &str, then: &str| {
        let headers = [("x-in", hook), ("x-reply", reply), ("x-then", then)];
        host.request("GET", "/", &headers).respond(200, &[]).respond_body("hello").run()
    };
    for hook in ["request", "response"] {
        for then in ["stop", "continue", "pending", "terminate", "fault", "panic"] {
            for refused in ["99", "403 connection", "403, 600"] {
                let outcome = run(hook, refused, then);
                assert_eq!(outcome.status(), Some(500), "{refused} in {hook}, then {then}");
                assert!(outcome.fault.unwrap().starts_with("its call `reply` was refused: "));
                assert_eq!(outcome.upstream.is_some(), hook == "response");
            }
            let outcome = run(hook, "600, 403", then);
            let wanted = match then {
                "stop" => Some(403),
                "terminate" => None,
                _ => Some(500),
            };
            assert_eq!(outcome.status(), wanted, "in {hook}, then {then}");
        }
    }
    let refused = run("request", "403 Content-Length", "stop").fault.unwrap();
    assert_eq!(
        refused,
        "its call `reply` was refused: field `Content-Length`: framing and hop-by-hop fields belong to the host; \
         then the hook answered Stop"
    );
    assert_eq!(run("response-body", "403", "stop").status(), None, "a head is out");
    assert_eq!(run("nowhere", "403", "stop").status(), Some(200));
}

/// Waives what the request's header `x-waive` names, and shows what came of it.
struct Waiving;

struct WaivingFilter;

impl FilterFactory for Waiving {
    type Config = NoConfig;
    type Filter<'f> = WaivingFilter;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Waiving)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> WaivingFilter {
        WaivingFilter
    }
}

fn show(cx: &mut Stream<'_>, hook: &str, waived: Result<(), HostError>) -> HookResult {
    cx.set_named(hook, format!("{waived:?}"))?;
    Ok(Status::Continue)
}

impl Filter for WaivingFilter {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .response_headers()
        .response_body(BodyMode::Stream)
        .response_trailers()
        .complete();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let waived = cx.waive_request_body();
        let target = cx.original_target().map(<[u8]>::to_vec);
        cx.set_variable(Variable::Path, "/rewritten")?;
        assert_eq!(cx.original_target().map(<[u8]>::to_vec), target);
        show(cx, "request", waived)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        let waived = cx.waive_response_body();
        show(cx, "response", waived)
    }
}

#[test]
fn a_waived_body_is_not_shown_and_older_hosts_say_that_they_cannot() {
    let run = |host: &TestHost| {
        let request = host.request("GET", "/as/sent", &[]).respond(200, &[]);
        request.respond_body("hello").respond_trailers(&[("x-t", "1")]).run()
    };
    let outcome = run(&TestHost::new::<Waiving>(json!({})).unwrap());
    assert_eq!(outcome.hooks(), ["on_request_headers", "on_response_headers", "on_complete", "destroy"]);
    assert_eq!((outcome.named("request"), outcome.named("response")), (Some("Err(NotNow)"), Some("Ok(())")));
    let response = outcome.response.unwrap();
    assert_eq!((response.text(), response.trailers.len()), ("hello", 1));

    // A host of 1.0: a module built for 1.1 works with it.
    let mut table = table::HOST;
    table.size = std::mem::offset_of!(abi::HostTable, body_waive) as u64;
    table.abi_minor = 0;
    let outcome = run(&TestHost::with_table::<Waiving>(table, json!({}), 1).unwrap());
    assert_eq!(outcome.named("response"), Some("Err(Unsupported)"));
    assert!(outcome.hooks().contains(&"on_response_body") && outcome.hooks().contains(&"on_response_trailers"));
}

/// Sets trailers in the hook that `x-in` names.
struct Trailing;

struct TrailingFilter;

impl FilterFactory for Trailing {
    type Config = NoConfig;
    type Filter<'f> = TrailingFilter;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Trailing)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> TrailingFilter {
        TrailingFilter
    }
}

impl Filter for TrailingFilter {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_body(BodyMode::Observe)
        .response_headers()
        .response_body(BodyMode::Observe);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        match cx.request().get("x-in") {
            Some(b"head") => cx.request_trailers_mut().set("x-t", "1")?,
            Some(b"expect") => cx.headers_mut().set("expect", "100-continue")?,
            _ => {}
        }
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        if cx.request().get("x-in") == Some(b"body") {
            cx.request_trailers_mut().set("x-t", "1")?;
        }
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        if cx.request().get("x-in") == Some(b"response") {
            cx.response_trailers_mut().set("x-t", "1")?;
        }
        Ok(Status::Continue)
    }
}

#[test]
fn trailers_are_taken_where_they_can_be_sent() {
    let host = TestHost::new::<Trailing>(json!({})).unwrap();
    let run = |method: &str, at: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = [("x-in", at)].iter().chain(headers).copied().collect();
        host.request(method, "/", &headers).body("hello").run()
    };
    let length = &[("content-length", "5")][..];
    assert_eq!(run("POST", "head", length).upstream.unwrap().trailers.len(), 1, "it becomes a chunked message");
    assert_eq!(run("POST", "body", &[]).upstream.unwrap().trailers.len(), 1);
    assert!(run("POST", "body", length).fault.unwrap().contains("not possible"), "the head is out");
    assert_eq!(run("GET", "response", &[]).response.unwrap().trailers.len(), 1);
    assert!(run("HEAD", "response", &[]).fault.is_some());
    assert!(run("GET", "expect", &[]).fault.unwrap().contains("belong to the host"));
}
