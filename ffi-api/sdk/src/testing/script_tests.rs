//! Streams from scripts, workers, clocks, and what is recorded.

use std::cell::Cell;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::prelude::*;

crate::labels! { enum Kind: "kind" { First = "first", Later = "later" } }

/// Shows all that a script can set.
struct Show {
    seen: Family<Counter, Kind>,
}

struct ShowFilter<'f>(&'f Show);

impl FilterFactory for Show {
    type Config = NoConfig;
    type Filter<'f> = ShowFilter<'f>;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Show { seen: env.family("show_total", &[("of", "requests")])? })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> ShowFilter<'f> {
        ShowFilter(self)
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        RouteObject::parse::<String>(config)
    }

    fn worker_state(&self, worker: u32) -> Option<WorkerObject> {
        Some(WorkerObject::new(Cell::new(worker * 100)))
    }
}

impl Filter for ShowFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute).request_body(BodyMode::Stream);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let count = cx.worker_state::<Cell<u32>>().or_fault("no worker state")?;
        count.set(count.get() + 1);
        self.0.seen[if count.get() % 100 == 1 { Kind::First } else { Kind::Later }].inc();
        let shown = format!(
            "{} {} {:?} {:?} {:?} {:?}",
            count.get(),
            cx.authority().or_fault("no authority")?,
            cx.query(),
            cx.client_ip().or_fault("no address")?,
            cx.named_str("tenant"),
            cx.route_config::<String>(),
        );
        cx.headers_mut().set("x-shown", shown)?;
        let second = cx.logger().monotonic().as_secs().to_string();
        cx.headers_mut().set("x-second", second)?;
        if cx.path() == Some("/wait") {
            std::mem::forget(cx.resume_handle()?);
            return Ok(Status::Pending);
        }
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        cx.body_mut().drain(1)?;
        cx.body_mut().append("+")?;
        Ok(Status::Continue)
    }
}

const SCRIPT: &str = r#"
    # All directives at once.
    request POST /path?q=1
    Host: a.test
    x-list: 1
    x-list: 2
    body "a\\\"\n\x00\xff"
    body "b"
    trailer x-sum: 7
    worker 1
    route "gold"
    named tenant = blue and green
    variable DownstreamRemoteIp = 10.0.0.7
    response 201
    location: /made
    body "made"
    trailer x-end: yes

    request GET /
    worker 1
    advance 5000
    request GET /wait
    leave
"#;

#[test]
fn a_script_sets_everything() {
    let host = TestHost::with_workers::<Show>(json!({}), 2).unwrap();
    let outcomes = host.play(SCRIPT).unwrap();
    assert_eq!(outcomes.len(), 3);
    let upstream = outcomes[0].upstream.as_ref().unwrap();
    assert_eq!(
        upstream.header("x-shown"),
        Some(r#"101 a.test Some("q=1") 10.0.0.7 Some("blue and green") Some("gold")"#)
    );
    let list = upstream.headers.iter().filter(|(name, _)| name == "x-list").map(|(_, value)| value.as_str());
    assert_eq!(list.collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(upstream.body, b"\\\"\n\0\xff++");
    assert_eq!(upstream.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let response = outcomes[0].response.as_ref().unwrap();
    assert_eq!((response.status, response.header("location"), response.text()), (201, Some("/made"), "made"));
    assert_eq!(response.trailers, [("x-end".to_owned(), "yes".to_owned())]);

    let second = |outcome: &Outcome| outcome.upstream.as_ref().unwrap().header("x-second").unwrap().parse::<u64>();
    let shown = outcomes[1].upstream.as_ref().unwrap().header("x-shown").unwrap();
    assert!(shown.starts_with("102 example.test None 127.0.0.1 None None"), "{shown}");
    assert_eq!(outcomes[2].hooks(), ["on_request_headers", "destroy"]);
    assert_eq!(outcomes[2].response, None, "the client left");
    assert_eq!(host.metric("show_total", &[("of", "requests"), ("kind", "first")]), Some(2.0));
    assert_eq!(host.metric("show_total", &[("of", "requests"), ("kind", "later")]), Some(1.0));

    let before = second(&host.request("GET", "/", &[]).run()).unwrap();
    host.advance(Duration::from_secs(1000));
    assert!(second(&host.request("GET", "/", &[]).run()).unwrap() >= before + 1000);
}

#[test]
fn what_a_filter_did_is_recorded() {
    let host = TestHost::with_workers::<Show>(json!({}), 1).unwrap();
    let outcome = host.request("POST", "/", &[]).body("x".repeat(100)).run();
    let did = outcome.did();
    assert!(did[0].starts_with("on_request_headers: set request header x-shown: 1 example.test"), "{did:?}");
    assert_eq!(
        did[2..],
        ["on_request_body: drain 1 bytes of request body", "on_request_body: append \"+\" to request body"]
    );
}

#[test]
fn wrong_lines_are_named() {
    let host = TestHost::new::<Show>(json!({})).unwrap();
    for (script, line, words) in [
        ("x: 1", 1, "expected `request METHOD TARGET`"),
        ("request GET", 1, "expected `request METHOD TARGET`"),
        ("\nrequest GET / HTTP/1.1", 2, "expected `request METHOD TARGET`"),
        ("request GET /\nnonsense", 2, "expected `name: value` or a directive, found `nonsense`"),
        ("request GET /\nbody \"a\\q\"", 2, "expected one of"),
        ("request GET /\nbody \"a\\x4\"", 2, "expected one of"),
        ("request GET /\nbody \"a\\x4g\"", 2, "two hexadecimal digits"),
        ("request GET /\nbody \"", 2, "double quotes"),
        ("request GET /\nresponse ok", 2, "expected a number, found `ok`"),
        ("request GET /\nroute {", 2, "expected JSON"),
        ("request GET /\nroute 7", 2, "`route` is refused"),
        ("request GET /\nnamed a", 2, "expected `NAME = VALUE`"),
        ("request GET /\nvariable Paht = /", 2, "no variable `Paht`"),
        ("request GET /\nworker 1", 2, "no worker 1"),
        ("advance soon", 1, "expected a number"),
    ] {
        let error = host.play(script).unwrap_err();
        assert_eq!(error.line, line, "{script}: {error}");
        assert!(error.message.contains(words), "{script}: {error}");
    }
    let error = host.play_file("no/such/script").unwrap_err();
    assert!(error.to_string().starts_with("no/such/script: "), "{error}");
}
