//! Clients that take nothing, or leave.

use serde_json::json;
use sidegate_harness::{Call, Ending, Frames, Gate, H2Client, Origin, Proxy, Reply, code, flag, kind, setting, until};

use super::{config, series};

/// A window that stays shut holds up its own stream, for so long.
#[test]
fn a_window_that_stays_shut() {
    let origin = Origin::http(|_| Reply::ok(vec![b'r'; 1 << 20]));
    let proxy = Proxy::start(&config(&origin).timeout("response_write", "300ms"));
    let mut frames = Frames::connect_with(proxy.address(), &[(setting::INITIAL_WINDOW_SIZE, 10)]);
    frames.request(1, flag::END_STREAM, "GET", "/shut", &[]);
    let reset = frames.next_of(|frame| frame.kind == kind::RST_STREAM).unwrap();
    assert_eq!(reset.stream, 1);
    let line = proxy.access_line("the shut one", |line| line.path == "/shut");
    assert!(line.has("DC") || line.has("DT"), "{line:?}");
    assert!(frames.is_alive());
}

/// A client that reads nothing at all holds up all of its streams.
#[test]
fn a_client_that_reads_nothing() {
    let origin = Origin::http(|_| Reply::ok(vec![b'r'; 32 << 20]));
    let proxy = Proxy::start(&config(&origin).timeout("response_write", "500ms"));
    let whole = (1 << 31) - 1;
    let mut frames = Frames::connect_with(proxy.address(), &[(setting::INITIAL_WINDOW_SIZE, whole)]);
    frames.send(&sidegate_harness::Frame::window_update(0, whole - 65_535));
    frames.request(1, flag::END_STREAM, "GET", "/unread", &[]);
    let line = proxy.access_line("the unread one", |line| line.path == "/unread");
    assert!(line.has("DC") || line.has("DT"), "{line:?}");
    until("the close", || (series(&proxy, "downstream_connection_active") == 0).then_some(()));
}

/// Nobody works for a client that has reset its stream.
#[test]
fn a_stream_that_its_client_resets() {
    let gate = std::sync::Arc::new(Gate::new());
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let proxy = Proxy::start(&config(&origin));
    let client = H2Client::connect(proxy.address());
    let mut stream = client.open(&Call::get("/left")).unwrap();
    origin.wait("the request", |origin| origin.count() == 1);
    stream.reset(code::CANCEL);
    let line = proxy.access_line("the stream that was left", |line| line.path == "/left");
    assert!(line.has("DC") && line.status == 0, "{line:?}");
    until("the count", || (series(&proxy, "downstream_http2_resets_received_total") == 1).then_some(()));
    gate.open();
    assert_eq!(client.get("/next").status(), 200);
}

/// What is unread of a request that was answered is given up without an error.
#[test]
fn an_early_answer() {
    let origin = Origin::echo();
    let config = config(&origin).virtual_host(
        "v",
        &["early"],
        json!([{"match": {"prefix": "/"}, "direct_response": {"status": 403, "body": "no"}}]),
    );
    let proxy = Proxy::start(&config);
    let mut frames = Frames::connect(proxy.address());
    let block = sidegate_harness::block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "early"),
        ("content-length", "100"),
    ]);
    frames.send(&sidegate_harness::Frame::headers(1, 0, block));
    assert_eq!(frames.ending(1), Ending::Answered(403));
    assert_eq!(frames.ending(1), Ending::Reset(code::NO_ERROR));
    assert!(frames.is_alive());
}

/// An upstream that fails in the middle of its response: the client must not
/// take that for the end.
#[test]
fn a_response_that_is_cut() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        Ok(())
    });
    let proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    frames.request(1, flag::END_STREAM, "GET", "/cut", &[]);
    assert_eq!(frames.ending(1), Ending::Answered(200));
    // What came before the cut is not lost to it.
    let data = frames.next_of(|frame| matches!(frame.kind, kind::DATA | kind::RST_STREAM)).unwrap();
    assert_eq!((data.kind, data.flags, &*data.payload), (kind::DATA, 0, &b"half"[..]));
    assert!(matches!(frames.ending(1), Ending::Reset(_)));
    assert!(frames.is_alive());
}
