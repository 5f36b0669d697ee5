//! The end of a connection: by drain, age, idleness and silence.

use std::time::Duration;

use serde_json::json;
use sidegate_harness::{Call, Ending, Frames, Gate, H2Client, Origin, Proxy, Reply, Signal, code, flag, kind, until};

use super::{config, series, with};

/// An origin whose answers wait, and what lets them go.
fn held() -> (std::sync::Arc<Gate>, Origin) {
    let gate = std::sync::Arc::new(Gate::new());
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    (gate, origin)
}

fn goodbye(frames: &mut Frames) -> (u32, u32) {
    let frame = frames.next_of(|frame| frame.kind == kind::GOAWAY).unwrap();
    (u32::from_be_bytes(frame.payload[..4].try_into().unwrap()), frame.code().unwrap())
}

#[test]
fn a_drain_lets_streams_end_and_refuses_none() {
    let (gate, origin) = held();
    let mut proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/first", &[]);
    origin.wait("the first", |origin| origin.count() == 1);
    proxy.signal(Signal::TERM);
    assert_eq!(goodbye(&mut frames), (0x7fff_ffff, code::NO_ERROR));
    // On its way when the client learned of it.
    frames.request(3, flag::END_STREAM, "GET", "/late", &[]);
    origin.wait("the late one", |origin| origin.count() == 2);
    gate.open();
    let mut answered: Vec<u32> = (0..2)
        .map(|_| {
            let head = frames.next_of(|frame| frame.kind == kind::HEADERS).unwrap();
            assert_eq!(head.field(":status"), Some("200"));
            head.stream
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    assert!(proxy.wait_exit().success());
}

#[test]
fn a_drain_closes_idle_connections() {
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&config(&origin));
    let client = H2Client::connect(proxy.address());
    assert_eq!(client.get("/").status(), 200);
    proxy.signal(Signal::TERM);
    client.wait_end().unwrap();
    assert!(proxy.wait_exit().success());
}

#[test]
fn a_connection_of_age_takes_no_more() {
    let (gate, origin) = held();
    let proxy = Proxy::start(&with(&origin, json!({"max_connection_duration": "300ms"})));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(goodbye(&mut frames).1, code::NO_ERROR);
    gate.open();
    assert_eq!(frames.ending(1), Ending::Answered(200));
    while frames.next_of(|_| false).is_ok() {}
    // The next connection is served.
    assert_eq!(H2Client::connect(proxy.address()).get("/").status(), 200);
}

#[test]
fn streams_that_outlive_the_age_are_cut() {
    let (gate, origin) = held();
    let options = json!({"max_connection_duration": "200ms", "max_connection_duration_grace": "200ms"});
    let proxy = Proxy::start(&with(&origin, options));
    let client = H2Client::connect(proxy.address());
    let mut stream = client.open(&Call::get("/held")).unwrap();
    assert!(stream.message().is_err());
    let line = proxy.access_line("the cut stream", |line| line.path == "/held");
    assert!(line.has("DX") || line.status == 0, "{line:?}");
    gate.open();
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).in_listener("connection_idle_timeout", json!("300ms")));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(frames.ending(1), Ending::Answered(200));
    assert_eq!(goodbye(&mut frames).1, code::NO_ERROR);
    while frames.next_of(|_| false).is_ok() {}
    sidegate_harness::until("the close", || (series(&proxy, "downstream_connection_active") == 0).then_some(()));
}

/// Not while a stream is open, however silent.
#[test]
fn a_silent_stream_keeps_its_connection() {
    let (gate, origin) = held();
    let proxy = Proxy::start(&config(&origin).in_listener("connection_idle_timeout", json!("200ms")));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/", &[]);
    origin.wait("the request", |origin| origin.count() == 1);
    frames.wire().set_patience(Duration::from_millis(700));
    assert!(frames.next_of(|frame| frame.kind == kind::GOAWAY).is_err());
    frames.wire().set_patience(sidegate_harness::PATIENCE);
    gate.open();
    assert_eq!(frames.ending(1), Ending::Answered(200));
}

#[test]
fn a_client_that_does_not_answer_pings_is_gone() {
    let (gate, origin) = held();
    let keepalive = json!({"connection_keepalive": {"interval": "100ms", "timeout": "200ms"}});
    let proxy = Proxy::start(&with(&origin, keepalive));
    let client = H2Client::connect(proxy.address());
    let mut honest = client.open(&Call::get("/honest")).unwrap();
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/dead", &[]);
    // Reads, and answers nothing.
    while frames.next_frame().is_ok() {}
    let line = proxy.access_line("the dead one", |line| line.path == "/dead");
    assert!(line.has("DC"), "{line:?}");
    until("the count", || (series(&proxy, "downstream_http2_pings_timed_out_total") == 1).then_some(()));
    gate.open();
    assert_eq!(honest.message().unwrap().status(), 200);
}

/// An idle connection has nothing of an old configuration.
#[test]
fn a_reload_is_for_the_next_stream() {
    let origin = Origin::echo();
    let config = |body: &str| {
        super::config(&origin).virtual_host(
            "v",
            &["reloaded"],
            json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body}}]),
        )
    };
    let mut proxy = Proxy::start(&config("before"));
    let client = H2Client::connect(proxy.address());
    let get = || client.call(&Call::get("/").authority("reloaded")).text();
    assert_eq!(get(), "before");
    proxy.reload(&config("after"));
    sidegate_harness::until("the new body", || (get() == "after").then_some(()));
}
