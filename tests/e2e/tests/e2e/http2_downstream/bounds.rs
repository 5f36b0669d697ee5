//! Limits and timeouts that hold for a request of any protocol.

use serde_json::json;
use sidegate_harness::{Call, ConfigBuilder, Ending, Frame, Frames, Gate, H2Client, Origin, Proxy, Reply, flag};

use super::{config, series, with};

#[test]
fn bodies_that_are_too_large() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).in_proxy("extend_config", json!({"max_request_body_size": 1000})));
    let client = H2Client::connect(proxy.address());
    assert_eq!(client.call(&Call::post("/fits", vec![b'b'; 1000])).status(), 200);
    let announced = Call::post("/announced", vec![b'b'; 1001]);
    assert_eq!(client.call(&announced).status(), 413);
    let open = Call::post("/open", vec![b'b'; 5000]).open();
    assert_eq!(client.call(&open).status(), 413);
    for path in ["/announced", "/open"] {
        let line = proxy.access_line(path, |line| line.path == path);
        assert!(line.has("TL"), "{line:?}");
    }
    assert_eq!(client.get("/next").status(), 200);
}

#[test]
fn heads_with_too_many_fields() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).limit("max_headers", 20));
    let client = H2Client::connect(proxy.address());
    let mut call = Call::get("/many");
    for number in 0..21 {
        call = call.header(&format!("x-{number}"), "1");
    }
    assert_eq!(client.call(&call).status(), 431);
    let line = proxy.access_line("431", |line| line.status == 431);
    assert_eq!((line.path.as_str(), line.details.as_str()), ("/many", "too_many_headers"));
    assert_eq!(client.get("/next").status(), 200);
}

/// 90 crumbs are one cookie, and one field upstream.
#[test]
fn crumbs_of_a_cookie() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    let crumbs: Vec<String> = (0..90).map(|number| format!("c{number}=v")).collect();
    let names: Vec<String> = (0..15).map(|number| format!("x-{number}")).collect();
    let mut fields: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", crumb.as_str())).collect();
    fields.extend(names.iter().map(|name| (name.as_str(), "1")));
    frames.request(1, flag::END_STREAM, "GET", "/", &fields);
    assert_eq!(frames.ending(1), Ending::Answered(200));
    assert_eq!(origin.last().head.all("cookie"), [crumbs.join("; ")]);
}

/// The crate answers by itself; that is counted.
#[test]
fn heads_that_are_too_large() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&with(&origin, json!({"max_header_list_size": 2048})));
    let client = H2Client::connect(proxy.address());
    let call = Call::get("/large").header("x", &"v".repeat(3000));
    let refused = client.try_call(&call).map(|message| message.status());
    assert!(matches!(refused, Ok(431) | Err(_)), "{refused:?}");
    assert_eq!(client.get("/next").status(), 200);
    sidegate_harness::until("the count", || {
        (series(&proxy, "downstream_http2_heads_refused_total") == 1).then_some(())
    });
}

#[test]
fn what_cannot_be_forwarded_is_refused_with_a_line() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let requests: [(&str, Fields<'_>, u16, &str); 4] = [
        ("/nul%00", &[], 400, "nul_in_path"),
        ("/host", &[("host", "other")], 400, "host_differs"),
        ("/edge", &[("x", " blank")], 400, "header_value_invalid"),
        ("/expect", &[("expect", "the unexpected")], 417, "expectation_unknown"),
    ];
    for (number, (path, fields, status, details)) in requests.into_iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        frames.request(stream, flag::END_STREAM, "GET", path, fields);
        assert_eq!(frames.ending(stream), Ending::Answered(status), "{path}");
        let line = proxy.access_line(details, |line| line.details == details);
        assert!(line.has("DPE") && line.status == status, "{line:?}");
    }
    assert_eq!(origin.count(), 0);
    assert!(frames.is_alive());
}

#[test]
fn a_body_that_stops_coming_is_408() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).timeout("request_body", "300ms"));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, 0, "POST", "/slow", &[]).send(&Frame::data(1, 0, "some"));
    frames.request(3, flag::END_STREAM, "GET", "/fast", &[]);
    assert_eq!(frames.ending(3), Ending::Answered(200));
    assert_eq!(frames.ending(1), Ending::Answered(408));
    let line = proxy.access_line("408", |line| line.status == 408);
    assert!(line.has("DT"), "{line:?}");
    assert!(frames.is_alive());
}

/// The head of a request is bounded in time, however its frames come.
#[test]
fn a_head_that_does_not_end() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).timeout("request_header", "300ms"));
    let block = sidegate_harness::block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
    for (kind, whole) in [("no end", false), ("half a frame", true)] {
        let mut frames = Frames::connect(proxy.address());
        // Another stream was there before: the connection is not idle.
        frames.request(1, flag::END_STREAM, "GET", "/", &[]);
        assert_eq!(frames.ending(1), Ending::Answered(200));
        let head = Frame::new(sidegate_harness::kind::HEADERS, flag::END_STREAM, 3, block.clone()).to_bytes();
        frames.wire().send(if whole { &head[..head.len() - 1] } else { &head[..] });
        let ending = frames.ending(3);
        assert!(matches!(ending, Ending::GoneAway(_)), "{kind}: {ending:?}");
    }
    sidegate_harness::until("the count", || {
        (series(&proxy, "downstream_http2_refused_slow_head_total") == 2).then_some(())
    });
}

#[test]
fn streams_above_the_limit_are_refused() {
    let gate = std::sync::Arc::new(Gate::new());
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let proxy = Proxy::start(&with(&origin, json!({"max_concurrent_streams": 2})));
    let mut frames = Frames::connect(proxy.address());
    // A client that knows the limit keeps it; one that does not is told.
    for stream in [1, 3, 5] {
        frames.request(stream, flag::END_STREAM, "GET", "/", &[]);
    }
    assert_eq!(frames.ending(5), Ending::Reset(sidegate_harness::code::REFUSED_STREAM));
    gate.open();
    for _ in 0..2 {
        let head = frames.next_of(|frame| frame.kind == sidegate_harness::kind::HEADERS).unwrap();
        assert_eq!(head.field(":status"), Some("200"));
    }
}

#[test]
fn a_panic_is_its_streams_own() {
    let origin = Origin::echo();
    let entry = json!({"type": "loadso", "config": {},
        "so_config": {"so_path": sidegate_harness::artifact("libpanicky.so"), "on_fault": "reply-500"}});
    let proxy = Proxy::start(&config(&origin).filter(entry));
    let client = H2Client::connect(proxy.address());
    let mut other = client.open_for_body(&Call::post("/other", "")).unwrap();
    for hook in ["request_headers", "request_body", "response_headers", "complete", "drop"] {
        let status = client.call(&Call::post("/", "hello").header("x-panic", hook)).status();
        let expected = if matches!(hook, "complete" | "drop") { 200 } else { 500 };
        assert_eq!(status, expected, "{hook}");
    }
    let cut = client.try_call(&Call::post("/", "hello").header("x-panic", "response_body"));
    assert!(cut.is_err(), "a cut response must not look whole");
    other.send("still here").unwrap();
    other.finish().unwrap();
    assert_eq!(other.message().unwrap().json()["body"], "still here");
}

/// More streams than the process may have: 503 for those above.
#[test]
fn streams_of_all_connections_are_bounded() {
    let gate = std::sync::Arc::new(Gate::new());
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let config: ConfigBuilder = config(&origin).top("overload", json!({"streams": 2}));
    let proxy = Proxy::start(&config);
    let client = H2Client::connect(proxy.address());
    let mut first: Vec<_> = (0..2).map(|_| client.open(&Call::get("/held")).unwrap()).collect();
    origin.wait("both", |origin| origin.count() == 2);
    assert_eq!(client.get("/over").status(), 503);
    gate.open();
    for stream in &mut first {
        assert_eq!(stream.message().unwrap().status(), 200);
    }
    assert_eq!(client.get("/again").status(), 200);
}
