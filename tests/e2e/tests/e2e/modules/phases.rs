//! Statuses and replies in each phase of a stream.

use std::time::{Duration, Instant};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Message, Origin, Proxy, Reply, TempDir, WireError, sidegate};

use super::{Module, faults};

/// A proxy with the module `fault`, whose filter does what `x-do` asks for.
fn proxy(origin: &Origin, module: &Module) -> Proxy {
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({})));
    Proxy::start(&config.timeout("filter_pending", "300ms"))
}

fn ask(proxy: &Proxy, what: &str) -> Result<Message, WireError> {
    let mut client = proxy.connect();
    client.send(format!("GET /{what} HTTP/1.1\r\nHost: a\r\nX-Do: {what}\r\n\r\n"));
    client.try_response("GET")
}

#[test]
fn each_status_does_what_it_says() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    for (what, wanted, flag) in [
        ("nothing", Some(200), "-"),
        ("stop", Some(200), "-"),
        ("reply", Some(418), "FR"),
        ("fault", Some(500), "FF"),
        ("badstatus", Some(500), "FF"),
        ("pending", Some(500), "FF"),
        ("terminate", None, "FT"),
    ] {
        let before = origin.count();
        match (ask(&proxy, what), wanted) {
            (Ok(got), Some(status)) => assert_eq!(got.status(), status, "{what}"),
            (Err(WireError::Closed | WireError::Reset), None) => {}
            (other, _) => panic!("{what}: {other:?}"),
        }
        assert_eq!(origin.count() - before, usize::from(wanted == Some(200)), "{what}");
        let line = proxy.access_line(what, |line| line.path == format!("/{what}"));
        assert!(if flag == "-" { line.flags.is_empty() } else { line.has(flag) }, "{what}: {line:?}");
    }
}

#[test]
fn a_reply_is_sent_as_it_was_made_and_passes_the_response_hooks() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    let got = ask(&proxy, "reply").unwrap();
    assert_eq!((got.status(), got.text().as_str()), (418, "short and stout"));
    assert_eq!((got.header("x-module"), got.header("x-fault-module")), (Some("fault"), Some("seen")));
}

#[test]
pub(crate) fn the_proxys_own_replies_pass_the_response_hooks() {
    let module = Module::compile("fault");
    let routes = json!([{"match": {"prefix": "/direct"}, "direct_response": {"status": 202}}]);
    let config = ConfigBuilder::empty().virtual_host("all", &["*"], routes).filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config);
    for (path, status) in [("/direct", 202), ("/none", 404)] {
        let got = proxy.get(path);
        assert_eq!((got.status(), got.header("x-fault-module")), (status, Some("seen")), "{path}");
    }
}

#[test]
fn illegal_replies_are_refused_one_by_one() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    assert_eq!(ask(&proxy, "badreply").unwrap().status(), 500, "it wanted to answer, so nothing passes");
    let got = ask(&proxy, "secondbest").unwrap();
    assert_eq!((got.status(), got.header("x-refused")), (203, Some("9")));
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_route_is_matched_again_after_an_edit() {
    let module = Module::compile("fault");
    let (first, second) = (Origin::echo(), Origin::echo());
    let routes = json!([
        {
            "match": {"prefix": "/", "headers": [{"name": "x-rematched", "value": "1"}]},
            "route": {"cluster_name": "second"}
        },
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
    ]);
    let config = ConfigBuilder::to_routes(first.address(), routes)
        .cluster("second", &[second.address()])
        .filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config);
    assert_eq!(ask(&proxy, "rematch").unwrap().status(), 200);
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn a_body_that_was_sent_goes_along_when_a_failure_has_the_route_matched_again() {
    let module = Module::compile_file("tests/e2e/modules/elsewhere.c");
    let (ill, well) = (Origin::http(|_| Reply::new(503)), Origin::echo());
    let routes = json!([
        {
            "match": {"prefix": "/", "headers": [{"name": "x-elsewhere", "value": "1"}]},
            "route": {"cluster_name": "well"}
        },
        {
            "match": {"prefix": "/"},
            "route": {"cluster_name": "ill", "retry_policy": {"retry_on": true, "num_retries": 3}}
        }
    ]);
    for setting in [json!({}), json!({"body": "whole"})] {
        let mut filter = module.entry("", &json!({}));
        filter["config"] = setting.clone();
        let config = ConfigBuilder::empty()
            .cluster("ill", &[ill.address()])
            .cluster("well", &[well.address()])
            .virtual_host("all", &["*"], routes.clone())
            .filter(filter);
        let proxy = Proxy::start(&config);
        let before = ill.count();
        let mut client = proxy.connect();
        for (framing, body) in
            [("Content-Length: 4", "body"), ("Transfer-Encoding: chunked", "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")]
        {
            client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
            let got = client.response();
            assert_eq!((got.status(), &got.json()["body"]), (200, &json!("body")), "{setting} {framing}");
        }
        assert_eq!(ill.count() - before, 2, "{setting}");
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200, "{setting}: the connection goes on");
    }
}

#[test]
pub(crate) fn a_filter_sees_the_settings_of_its_route() {
    let module = Module::compile_file("tests/e2e/modules/route.c");
    let origin = Origin::echo();
    let config = ConfigBuilder::empty()
        .cluster("origin", &[origin.address()])
        .virtual_host_object(json!({
            "name": "all",
            "domains": ["*"],
            "per_filter_config": {"libroute": "of the host"},
            "routers": [
                {
                    "match": {"prefix": "/own"},
                    "route": {"cluster_name": "origin"},
                    "per_filter_config": {"libroute": "of the route"}
                },
                {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
            ]
        }))
        .filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config);
    for (path, wanted) in [("/own", "of the route"), ("/other", "of the host")] {
        assert_eq!(proxy.get(path).status(), 200, "{path}");
        assert_eq!(origin.last().head.get("x-route"), Some(wanted), "{path}");
    }
}

#[test]
fn bad_settings_of_a_route_are_a_configuration_error() {
    let module = Module::compile_file("tests/e2e/modules/route.c");
    let dir = TempDir::new();
    let config = ConfigBuilder::empty()
        .virtual_host_object(json!({
            "name": "all", "domains": ["*"], "per_filter_config": {"libroute": 7},
            "routers": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
        }))
        .filter(module.entry("", &json!({})));
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    let output = outcome.output();
    assert!(output.contains("per_filter_config") && output.contains("expected a string"), "{output}");
}

#[test]
fn a_host_is_chosen_again() {
    let module = Module::compile("fault");
    let (a, b) = (Origin::echo(), Origin::echo());
    let config = ConfigBuilder::empty()
        .cluster("origin", &[a.address(), b.address()])
        .virtual_host("all", &["*"], json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}]))
        .filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config);
    for _ in 0..4 {
        assert_eq!(ask(&proxy, "rechoose").unwrap().status(), 200);
    }
    assert_eq!(a.count() + b.count(), 4, "each request reached one host");
}

#[test]
fn matching_again_for_ever_ends() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    let start = Instant::now();
    assert_eq!(ask(&proxy, "loop").unwrap().status(), 500);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(&proxy, "nothing").unwrap().status(), 200);
}

#[test]
fn response_hooks_decide_about_responses() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    for (what, wanted) in [("reply", Some(418)), ("fault", Some(500)), ("badstatus", Some(500)), ("terminate", None)] {
        let mut client = proxy.connect();
        client.send(format!("GET /r-{what} HTTP/1.1\r\nHost: a\r\nX-Do-Response: {what}\r\n\r\n"));
        match (client.try_response("GET"), wanted) {
            (Ok(got), Some(status)) => {
                assert_eq!(got.status(), status, "{what}");
                assert!(!got.text().contains("x-do-response"), "{what}: the origin's body is not mixed in");
            }
            (Err(WireError::Closed | WireError::Reset), None) => {}
            (other, _) => panic!("{what}: {other:?}"),
        }
    }
    // What was not read of the origin's answers must not be given to others.
    for number in 0..4 {
        assert_eq!(proxy.get(&format!("/{number}")).json()["target"], format!("/{number}"));
    }
    assert_eq!(faults(&proxy), Some(2));
}

#[test]
fn a_fault_in_the_response_follows_the_policy() {
    let module = Module::compile("fault");
    for (policy, wanted) in [("reply-500", Some(500)), ("pass", Some(200)), ("reset", None)] {
        let origin = Origin::echo();
        let filter = module.entry("", &json!({"on_fault": policy}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Do-Response: fault\r\n\r\n");
        match (client.try_response("GET"), wanted) {
            (Ok(got), Some(status)) => assert_eq!(got.status(), status, "{policy}"),
            (Err(WireError::Closed | WireError::Reset), None) => {}
            (other, _) => panic!("{policy}: {other:?}"),
        }
    }
}
